"""The contracts of rewards and evaluation backends.

A reward predicts what a recipe will score, and how sure that is. An evaluation backend measures
what recipes really score, and fits the proxy of a reward to it; `chef evolve` uses both.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from math import sqrt
from pathlib import Path
from statistics import fmean, stdev
from typing import Any, Protocol

from datachef.core.contracts.source import SourceError
from datachef.core.distribution import extra
from datachef.core.errors import (
    MissingPackageError,
    Problem,
    RecipeError,
    UnavailableError,
    optional_package,
)
from datachef.core.system.failures import causes, environment_failure


@dataclass(frozen=True)
class Score:
    """A prediction, never a bare number.

    `value` is what a policy climbs: in [-1, 1] the pessimistic prediction (`predicted` less a
    multiple of `uncertainty`), in [-2, -1) for a recipe that a gate or guardrail stopped, higher
    the further it came. `predicted` is the expected measured score in [0, 1], `interval` where that
    lies with the probability that the reward promises, and `parts` what it is made of, by name.
    `gate` names the gate that stopped the recipe, `reasons` say why in words, and `off_support`
    tells that nothing like the recipe was measured. `schema` is the form of the rows that were
    scored, empty where the recipe did not come so far. `features` describe the recipe as numbers:
    recipes whose features are alike are expected to score alike.
    """

    value: float
    predicted: float | None = None
    uncertainty: float = 0.0
    interval: tuple[float, float] | None = None
    parts: Mapping[str, float] = field(default_factory=dict)
    gate: str = ""
    reasons: tuple[str, ...] = ()
    off_support: bool = False
    schema: str = ""
    features: Mapping[str, float] = field(default_factory=dict)


class Reward(ABC):
    """Scores recipes for one task, without training on what they make."""

    @abstractmethod
    def score(self, recipe: Mapping[str, Any], base_dir: Path) -> Score:
        """The score of one recipe, given as plain data; its relative paths start at `base_dir`.

        The same recipe, data and seed give the same score. The recipe is not changed.
        """

    def score_all(self, recipes: Iterable[Mapping[str, Any]], base_dir: Path) -> list[Score]:
        """The scores of several recipes, in their order."""
        return [self.score(recipe, base_dir) for recipe in recipes]

    def close(self) -> None:  # noqa: B027 - not every reward holds something
        """Ends processes and gives back what the reward held."""


@dataclass(frozen=True)
class RewardConfig:
    """What a registered reward is built from.

    `task` is a task.yaml file; `pool` restricts recipes to the sources of a pool.yaml; relative
    paths among the options start at `folder`; results are cached in `cache`; `plugin_files` are
    loaded in addition to installed plugins; `options` are the reward's own, as plain data.
    """

    task: Path
    pool: Path | None
    folder: Path
    cache: Path
    plugin_files: tuple[str, ...] = ()
    seed: int = 0
    options: Mapping[str, Any] = field(default_factory=dict)


class Measurement(Protocol):
    """What a recipe scored with one seed: `score` in [0, 1], higher is better; `scores` by metric.

    `score_name` says what was scored; only scores of one name can be compared. `chance`, `base` and
    `ceiling` are the scores of who knows nothing, of the untrained base model and of who answers
    everything right; None where unknown. `recipe_key` is equal for recipes that make the same
    corpus. `seconds` is what measuring took when it was done, however long ago that was.
    """

    @property
    def recipe_key(self) -> str: ...

    @property
    def seed(self) -> int: ...

    @property
    def score(self) -> float: ...

    @property
    def score_name(self) -> str: ...

    @property
    def chance(self) -> float | None: ...

    @property
    def base(self) -> float | None: ...

    @property
    def ceiling(self) -> float | None: ...

    @property
    def scores(self) -> Mapping[str, float]: ...

    @property
    def seconds(self) -> float: ...


@dataclass(frozen=True)
class ProxyFidelity:
    """How well a proxy ranks recipes that it was not fitted to.

    `correlation` is Spearman's, every recipe left out once, with its 95% interval from `low` to
    `high`; `recipes` is the number of measured recipes.
    """

    recipes: int
    correlation: float
    low: float
    high: float


class EvaluationBackend(ABC):
    """Measures recipes for one task by training on their corpora.

    Measurements outlive the process: what was measured before an interruption is not repeated.
    """

    @abstractmethod
    def reward(self, proxy: Path | None) -> Reward:
        """A reward with the proxy that `refit` saved in a file; None: the reward without one, by
        what is known of other tasks where the backend has measured any.

        Built again from the same file, it gives the same scores.
        """

    @abstractmethod
    def measure(self, recipe: Path, seeds: Sequence[int]) -> Sequence[Measurement]:
        """The measurements of a recipe file, one per seed and in their order.

        Raises `DatachefError` for a recipe that cannot be measured.
        """

    @abstractmethod
    def refit(self, target: Path, last: Path | None) -> Path | None:
        """Fits a proxy to all measurements and writes it to `target`, atomically.

        Returns the file of the proxy to go on with: `target`, or `last`, that of the one fitted
        before, where the new one predicts worse what was held out from both. None where there are
        too few measurements.
        """

    @abstractmethod
    def fidelity(self, proxy: Path) -> ProxyFidelity | None:
        """How well a proxy that `refit` returned ranks what was measured, every recipe by one that
        was fitted without it; None where there are too few.

        May take minutes.
        """


@dataclass(frozen=True)
class EvaluationConfig:
    """What a registered evaluation backend is built from.

    `reward_name` is the registered reward that the policy is trained on, and `reward` its
    configuration, with the task, the pool, the cache and the seed. `output` is the folder of the
    run, for what the backend keeps; `options` are the backend's own, as plain data, whose relative
    paths start at `reward.folder`.
    """

    reward_name: str
    reward: RewardConfig
    output: Path
    options: Mapping[str, Any] = field(default_factory=dict)


# Problems that the same recipe may not have tomorrow, or on another machine.
CODES = frozenset(("missing_package", "unreachable", "changed_input"))


def unavailable(error: BaseException) -> bool:
    """Whether an exception is, or was raised for, something outside of the recipe."""
    return environment_failure(error) is not None or any(map(_is_outside, causes(error)))


def refuse_unavailable(problems: Iterable[Problem]) -> None:
    """Raises `UnavailableError` where a problem is none of the recipe itself."""
    for problem in problems:
        if problem.code in CODES:
            raise UnavailableError(problem.message, problem.hint)


def _is_outside(error: BaseException) -> bool:
    if isinstance(error, RecipeError):
        return any(problem.code in CODES for problem in error.problems)
    if isinstance(error, SourceError):
        return error.code in CODES
    return isinstance(error, UnavailableError | MissingPackageError)


def mean_interval(values: Sequence[float], coverage: float = 0.95) -> tuple[float, float] | None:
    """The interval of the mean by Student's t, with that coverage.

    None for fewer than two values: one cannot tell how far apart others would lie. Raises
    `MissingPackageError` without SciPy.
    """
    if len(values) < 2:
        return None
    t = optional_package("scipy.stats", extra("reward"), "an interval of a mean").t
    half = float(t.ppf((1 + coverage) / 2, len(values) - 1)) * stdev(values) / sqrt(len(values))
    return (fmean(values) - half, fmean(values) + half)
