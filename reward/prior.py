"""What to expect of a recipe where nothing was measured yet."""

from __future__ import annotations

import math
from collections.abc import Mapping

from datachef.reward.features.measure import BITS_PER_BYTE, LOG_UNIQUE_TOKENS
from datachef.reward.proxy import Prediction

# A model learns from a corpus of this many tokens about half of what it could from a huge one.
HALF_TOKENS = 50_000
# Nothing calibrates a prior: it says where in [0, 1] a recipe stands, and that it is not sure.
UNCERTAINTY = 0.25


def prior(features: Mapping[str, float]) -> Prediction:
    """The probability per byte that the corpus's own n-grams give to the gold answers of the task's
    examples; always marked as off the support.

    Without examples to resemble, the amount of different data is all there is to go by.
    """
    bits = features.get(BITS_PER_BYTE, math.nan)
    if math.isnan(bits):
        tokens = math.expm1(features.get(LOG_UNIQUE_TOKENS, 0.0))
        name, value = "enough_data", tokens / (tokens + HALF_TOKENS)
    else:
        name, value = "likeness", 2.0**-bits
    return Prediction(
        value=value,
        uncertainty=UNCERTAINTY,
        low=max(0.0, value - 2 * UNCERTAINTY),
        high=min(1.0, value + 2 * UNCERTAINTY),
        off_support=True,
        parts={name: value},
    )
