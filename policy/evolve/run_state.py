"""The state of a run: its records on disk, its budget and its progress.

Each finished part is a file that exists completely or not at all. A part without a file is done
again after a restart: training continues from its checkpoint, rewards give the same scores, and the
evaluation backend remembers its measurements. So a run that was killed ends in the same state as
one that was not, except for the seconds.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean
from typing import Any, TypeVar

import orjson
from pydantic import BaseModel, ConfigDict, ValidationError

from datachef.core.contracts.reward import Measurement, ProxyFidelity
from datachef.core.errors import DatachefError
from datachef.core.system.atomic import write_atomically
from datachef.core.system.progress import progress_to
from datachef.policy.settings import EvolveSettings

BITS = "bits_per_byte"


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Candidate(_Record):
    """A recipe, the value that the reward gave it, and what it predicts, with an interval."""

    recipe: dict[str, Any]
    value: float
    predicted: float | None = None
    interval: tuple[float, float] | None = None


class SeedMeasurement(_Record):
    """The measurement of a recipe with one seed; see `core.contracts.reward.Measurement`."""

    seed: int
    score: float
    score_name: str = ""
    chance: float | None = None
    base: float | None = None
    ceiling: float | None = None
    scores: dict[str, float]
    seconds: float = 0.0

    @classmethod
    def of(cls, found: Measurement) -> SeedMeasurement:
        """What an evaluation backend measured."""
        return cls(
            seed=found.seed, score=found.score, score_name=found.score_name,
            chance=found.chance, base=found.base, ceiling=found.ceiling,
            scores=dict(found.scores), seconds=found.seconds,
        )  # fmt: skip


class CandidateMeasurement(Candidate):
    """The measurements of a candidate with several seeds, or the reason why there are none.

    `key` is the same for recipes that make the same corpus, which share their measurements.
    """

    key: str = ""
    measured: tuple[SeedMeasurement, ...] = ()
    failure: str = ""

    @property
    def name(self) -> str:
        """The name of the recipe."""
        return str(self.recipe["name"])

    @property
    def score(self) -> float:
        """The mean over seeds. Raises `StatisticsError` if nothing was measured."""
        return fmean(one.score for one in self.measured)

    @property
    def bits(self) -> float | None:
        """The mean bits per byte; None if they were not measured."""
        found = [one.scores[BITS] for one in self.measured if BITS in one.scores]
        return fmean(found) if found else None


class Round(_Record):
    """A finished round; number 0 comes before the first training.

    `step` is the step of the policy, `calls` and `seconds` are totals of all rounds so far. `proxy`
    names the file of the proxy that the round climbed, `fitted` of the one to go on with, which is
    that of an earlier round where the new fit was worse; they are empty while the reward is as
    configured. `fidelity` says how well the fitted proxy ranks recipes that were held out; None
    where too few were measured.
    """

    number: int
    step: int
    calls: int
    seconds: float
    proxy: str
    candidates: tuple[Candidate, ...]
    measurements: tuple[CandidateMeasurement, ...]
    fitted: str
    fidelity: ProxyFidelity | None = None

    def climbed(self, threshold: float) -> str:
        """The proxy that the next round climbs: the fitted one if it ranks what was held out, and
        otherwise none."""
        ranks = self.fidelity is not None and self.fidelity.low > threshold
        return self.fitted if ranks else ""


class MethodResult(_Record):
    """What a method of the comparison found.

    `calls` are its reward calls, and `value` is the best value of its recipes by the last proxy.
    `chosen_among` is the number of recipes that were measured to choose one; `final` is the chosen
    one, measured with fresh seeds, or None if none could be measured. `evaluations` are those that
    the rounds did not make.
    """

    method: str
    calls: int
    value: float
    chosen_among: int
    evaluations: int
    final: CandidateMeasurement | None


@dataclass(frozen=True)
class EvolveResult:
    """The result of a run: its rounds, from number 0; the results of all methods, the policy first;
    why the run ended, and the seconds it took over all restarts."""

    rounds: tuple[Round, ...]
    method_results: tuple[MethodResult, ...]
    ended: str
    seconds: float


# Settings that may change when a run is continued, or that are only locations.
FREE: Any = {
    "output": True, "rounds": True, "budget": True, "baselines": True, "human_recipes": True,
    "final_seeds": True, "measured_per_baseline": True,
    "train": {"output", "tasks", "steps", "save_steps", "batch", "report_to"},
}  # fmt: skip

R = TypeVar("R", bound=BaseModel)


class RunState:
    """The records of a run in a folder, and its clock."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._since = time.monotonic()
        self._before = self._kept_seconds()

    def open(self, settings: EvolveSettings, space: str) -> None:
        """Continues a run, or starts one; `space` is the fingerprint of the space.

        Raises `DatachefError` if the folder has a run with other settings or another space.
        """
        chosen: dict[str, Any] = settings.model_dump(mode="json", exclude=FREE)
        chosen["space"] = space
        path = self._folder / "settings.json"
        if path.exists():
            known = _loaded(path)
            other = sorted(_differing(known, chosen))
            if other:
                raise DatachefError(
                    f"{self._folder.parent} holds a run with other settings: {', '.join(other)}",
                    "give this run another output, or the settings of that one",
                )
        else:
            _write(path, chosen)

    def rounds(self) -> list[Round]:
        """The finished rounds in their order."""
        paths = sorted(self._folder.glob("round-*.json"))
        return [_read(path, Round) for path in paths]

    def add(self, finished: Round) -> None:
        """Saves a finished round."""
        _write(self._folder / f"round-{finished.number:04d}.json", finished.model_dump())

    def method_result(self, name: str) -> MethodResult | None:
        """What a method found, by the name it was saved under; None if it has no result yet."""
        path = self._folder / f"compared-{name}.json"
        return _read(path, MethodResult) if path.exists() else None

    def add_method_result(self, name: str, found: MethodResult) -> None:
        """Saves what a method found."""
        _write(self._folder / f"compared-{name}.json", found.model_dump())

    @property
    def seconds(self) -> float:
        """Seconds spent on the run, over all restarts."""
        return self._before + time.monotonic() - self._since

    @property
    def saved_seconds(self) -> float:
        """The same when it was last saved."""
        return self._before

    def save_clock(self) -> None:
        """Saves the seconds spent so far."""
        _write(self._folder / "clock.json", {"seconds": self.seconds})

    def _kept_seconds(self) -> float:
        path = self._folder / "clock.json"
        found = _loaded(path).get("seconds", 0.0) if path.exists() else 0.0
        return float(found) if isinstance(found, int | float) else 0.0


def _differing(known: dict[str, Any], chosen: dict[str, Any], within: str = "") -> list[str]:
    """The names of settings that differ."""
    found: list[str] = []
    for name in {*known, *chosen}:
        one, other = known.get(name), chosen.get(name)
        if name == "train" and isinstance(one, dict) and isinstance(other, dict):
            found += _differing(one, other, "train.")
        elif one != other:
            found.append(within + name)
    return found


def _write(path: Path, data: Any) -> None:
    raw = orjson.dumps(data, option=orjson.OPT_INDENT_2 | orjson.OPT_NON_STR_KEYS)
    write_atomically(path, raw + b"\n")


def _loaded(path: Path) -> dict[str, Any]:
    """Raises `DatachefError` for a file that does not hold an object of JSON."""
    raw = path.read_bytes()
    try:
        data = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise _no_record(path, str(error)) from error
    if not isinstance(data, dict):
        raise _no_record(path, "it is no object")
    return data


def _read(path: Path, record: type[R]) -> R:
    """Raises `DatachefError` for a file that is no such record."""
    try:
        return record.model_validate(_loaded(path))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise _no_record(path, f"{where}: {first['msg']}") from error


def _no_record(path: Path, why: str) -> DatachefError:
    return DatachefError(
        f"{path} is no record of a run: {why}", "remove it, and its part of the run is done again"
    )


def evaluations(rounds: Sequence[Round], found: Sequence[CandidateMeasurement] = ()) -> int:
    """The number of trainings of a base model in finished rounds and for what was `found` since."""
    measurements = [*(each for one in rounds for each in one.measurements), *found]
    return sum({each.key: len(each.measured) for each in measurements}.values())


def measuring_seconds(measurements: Sequence[CandidateMeasurement]) -> float:
    """What the measurements took, when they were made."""
    return sum(seed.seconds for each in measurements for seed in each.measured)


@dataclass(frozen=True)
class RunProgress:
    """What a run is `doing`, in words, and how far it is.

    `mean` is the mean value of the last step, `best` the best value of the round, and `measured`
    the best measured score. `calls`, `evaluations` and `seconds` are totals. `forecast` says what
    the run is going to take.
    """

    doing: str
    round: int = 0
    rounds: int = 0
    step: int = 0
    steps: int = 0
    mean: float | None = None
    best: float | None = None
    measured: float | None = None
    calls: int = 0
    evaluations: int = 0
    seconds: float = 0.0
    forecast: str = ""


OnProgress = Callable[[RunProgress], None]


class ProgressReporter:
    """Reports the progress of a run whenever it changes, and saves the time."""

    def __init__(self, state: RunState, on_progress: OnProgress | None) -> None:
        self._state = state
        self._on_progress = on_progress
        self.progress = RunProgress("starting")
        self._part = "starting"

    @contextmanager
    def details(self) -> Iterator[None]:
        """Reports also what is told within, as a detail of what was reported last."""
        with progress_to(lambda detail: self._report(f"{self._part}: {detail}")):
            yield

    def report(self, doing: str, **changes: Any) -> None:
        """Reports what the run is doing now, and what changed."""
        self._part = doing
        self._report(doing, **changes)

    def _report(self, doing: str, **changes: Any) -> None:
        self._state.save_clock()
        self.progress = replace(self.progress, doing=doing, seconds=self._state.seconds, **changes)
        if self._on_progress is not None:
            self._on_progress(self.progress)

    @property
    def seconds(self) -> float:
        """Seconds spent on the run, over all restarts."""
        return self._state.seconds
