"""One recipe looked at from all sides: cooked, gated, measured, predicted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from datachef.core.contracts.reward import Score
from datachef.core.recipe.resolving import Loaded
from datachef.reward.guardrails import GuardrailFindings
from datachef.reward.sampled_run import SampledCorpus


@dataclass(frozen=True)
class Assessment:
    """A score with everything that it was made from.

    `corpus` is None and `features` are empty for a recipe that did not run; `findings` are those of
    the guardrails, where there are limits.
    """

    score: Score
    loaded: Loaded
    corpus: SampledCorpus | None = None
    features: Mapping[str, float] = field(default_factory=dict)
    findings: GuardrailFindings | None = None
