"""The score of a recipe file with what is shown beside it, as data and line by line."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from datachef.core.contracts.reward import Score
from datachef.core.recipe.contributions import Contribution
from datachef.reward.features import describe_feature
from datachef.reward.guardrails import Violation
from datachef.reward.text_measures import SIGNALS


class Quantiles(NamedTuple):
    """A signal of the rows: its tenth, median and nine tenths, and what it means."""

    name: str
    low: float
    middle: float
    high: float
    meaning: str


@dataclass(frozen=True)
class ScoreResult:
    """The score of a recipe file with what is shown beside it.

    `features` and `measures` (of guardrails) are what the reward computed, `violations` the limits
    that are broken; `ran` says whether the recipe got so far that variants of it can be scored,
    `note` says how far to trust the score. `meanings` are those of the features of plugins, and
    `reference` what is known of scores of the task: `score_name`, `chance`, `base`, `ceiling`.
    """

    path: Path
    score: Score
    ran: bool
    features: Mapping[str, float] = field(default_factory=dict)
    measures: Mapping[str, float] = field(default_factory=dict)
    violations: Sequence[Violation] = ()
    note: str = ""
    meanings: Mapping[str, str] = field(default_factory=dict)
    reference: Mapping[str, Any] = field(default_factory=dict)

    def to_data(self, contributions: Sequence[Contribution]) -> dict[str, Any]:
        """As plain data, with what each source and step adds."""
        return {
            "recipe": str(self.path),
            **asdict(self.score),
            "features": dict(self.features or self.score.features),
            "measures": dict(self.measures),
            "violations": [asdict(violation) for violation in self.violations],
            "reference": dict(self.reference),
            "contributions": [part.to_data() for part in contributions],
        }

    def known_features(self) -> Iterator[tuple[str, float, str]]:
        """The features that are known, with what they mean, without quantiles of signals."""
        for name, value in self.features.items():
            if ".q" not in name and not math.isnan(value):
                yield name, value, self.meanings.get(name) or describe_feature(name)

    def signals(self) -> Iterator[Quantiles]:
        """The signals of the rows."""
        for name, (meaning, _) in SIGNALS.items():
            if f"{name}.q50" in self.features:
                low, middle, high = (self.features[f"{name}.q{q}"] for q in (10, 50, 90))
                yield Quantiles(name, low, middle, high, meaning)

    def lines(self) -> Iterator[tuple[str, str, str]]:
        """What the score is made of, line by line: its name, its value, and what it is."""
        for name, value in self.score.parts.items():
            yield f"prediction of {name}", f"{value:.4f}", ""
        for name, value, meaning in self.known_features():
            yield name, f"{value:.4f}", meaning
        for each in self.signals():
            said = f"{each.meaning}; {each.low:.4f} to {each.high:.4f} for 80% of the rows"
            yield each.name, f"{each.middle:.4f}", said
        for name, value in self.measures.items():
            yield name, f"{value:.4f}", "guardrail"
