"""What a run keeps of itself: plain data, one file each."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean
from typing import Any, TypeVar

import orjson
from pydantic import BaseModel, ConfigDict, ValidationError

from datachef.core.contracts.reward import ProxyFidelity
from datachef.core.errors import DatachefError
from datachef.core.system.atomic import write_atomically
from datachef.policy.settings import EvolveSettings

BITS = "bits_per_byte"


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Trust(_Record):
    """The fidelity of a proxy fitted to what was measured; None where that is too little."""

    fidelity: ProxyFidelity | None


class Candidate(_Record):
    """A recipe, and what the reward said of it."""

    recipe: dict[str, Any]
    value: float


class Seeded(_Record):
    """A true measurement with one seed."""

    seed: int
    score: float
    scores: dict[str, float]


class Trial(Candidate):
    """A candidate that was measured with some seeds, or why it could not be.

    `key` is the same for recipes that make the same corpus, whose measurements are the same ones.
    """

    key: str = ""
    measured: tuple[Seeded, ...] = ()
    failure: str = ""

    @property
    def name(self) -> str:
        """The recipe's."""
        return str(self.recipe["name"])

    @property
    def score(self) -> float:
        """The mean over seeds. Raises `StatisticsError` where nothing was measured."""
        return fmean(one.score for one in self.measured)

    @property
    def bits(self) -> float | None:
        """The mean bits per byte, where they were measured."""
        found = [one.scores[BITS] for one in self.measured if BITS in one.scores]
        return fmean(found) if found else None


class Round(_Record):
    """A finished round; number 0 is what was known before the first.

    `step` is that of the policy, `calls` counts the reward calls of all rounds so far, `seconds`
    those spent so far. `proxy` names the file that scored the round, `fitted` the one that was
    fitted after it; empty where the reward is as configured.
    """

    number: int
    step: int
    calls: int
    seconds: float
    proxy: str
    candidates: tuple[Candidate, ...]
    trials: tuple[Trial, ...]
    fitted: str


class Contender(_Record):
    """What a method found, by the last proxy and by measurement.

    It made `calls` reward calls; `value` is the best that the last proxy thinks of its recipes.
    `chosen_among` were measured to choose one of them; `final` is the chosen one, measured with
    seeds of its own, None where nothing could be measured. `evaluations` are those beyond the
    rounds.
    """

    method: str
    calls: int
    value: float
    chosen_among: int
    evaluations: int
    final: Trial | None


# What may change when a run goes on, and what only tells where things are.
FREE: Any = {
    "output": True, "rounds": True, "budget": True, "baselines": True, "persons": True,
    "final_seeds": True, "measured_per_baseline": True,
    "train": {"output", "tasks", "steps", "save_steps", "batch", "report_to"},
}  # fmt: skip

R = TypeVar("R", bound=BaseModel)


class Journal:
    """Records in a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._since = time.monotonic()
        self._before = self._kept_seconds()

    def open(self, settings: EvolveSettings, space: str) -> None:
        """Takes up a run, or begins one. Raises `DatachefError` where the one that is there has
        other settings or another space, told by its fingerprint."""
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
        """The finished rounds, in their order."""
        paths = sorted(self._folder.glob("round-*.json"))
        return [_read(path, Round) for path in paths]

    def add(self, finished: Round) -> None:
        """Keeps a finished round."""
        _write(self._folder / f"round-{finished.number:04d}.json", finished.model_dump())

    def trust(self, after: int) -> Trust | None:
        """How far to trust the proxy after a round, if that was found out."""
        path = self._folder / f"trust-{after:04d}.json"
        return _read(path, Trust) if path.exists() else None

    def add_trust(self, after: int, found: Trust) -> None:
        """Keeps how far to trust the proxy."""
        _write(self._folder / f"trust-{after:04d}.json", found.model_dump())

    def contender(self, name: str) -> Contender | None:
        """What a method found, by the name that it was kept under."""
        path = self._folder / f"compared-{name}.json"
        return _read(path, Contender) if path.exists() else None

    def add_contender(self, name: str, found: Contender) -> None:
        """Keeps what a method found."""
        _write(self._folder / f"compared-{name}.json", found.model_dump())

    @property
    def seconds(self) -> float:
        """Seconds spent on the run, over all restarts."""
        return self._before + time.monotonic() - self._since

    def tick(self) -> None:
        """Keeps the seconds spent so far."""
        _write(self._folder / "clock.json", {"seconds": self.seconds})

    def _kept_seconds(self) -> float:
        path = self._folder / "clock.json"
        found = _loaded(path).get("seconds", 0.0) if path.exists() else 0.0
        return float(found) if isinstance(found, int | float) else 0.0


def _differing(known: dict[str, Any], chosen: dict[str, Any], within: str = "") -> list[str]:
    """The names of settings that are not the same."""
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
        f"{path} is no record of a run: {why}", "remove it, and what it told is done again"
    )


def evaluations(rounds: Sequence[Round]) -> int:
    """How many trainings of a base model finished rounds took."""
    found = {trial.key: len(trial.measured) for one in rounds for trial in one.trials}
    return sum(found.values())


class Spending:
    """Holds a run against its budget. Answers why it has to stop, in words; empty where it may go
    on."""

    def __init__(self, settings: EvolveSettings, journal: Journal) -> None:
        self._settings = settings
        self._journal = journal

    def before_round(self, rounds: Sequence[Round]) -> str:
        """After some rounds. One whose calls would not be enough is not begun."""
        settings, limit = self._settings, self._settings.budget.reward_calls
        needed = settings.calls_per_round + (0 if rounds[-1].number else settings.cold_calls)
        if limit is not None and rounds[-1].calls + needed > limit:
            return f"another round would take more than {limit:,} reward calls"
        return self.before_measuring(evaluations(rounds))

    def before_measuring(self, made: int) -> str:
        """After so many evaluations; those of the comparison are set aside."""
        budget = self._settings.budget
        if budget.minutes is not None and self._journal.seconds >= 60 * budget.minutes:
            return f"the {budget.minutes:g} minutes are over"
        if budget.evaluations is None:
            return ""
        left = budget.evaluations - self._settings.reserved - made
        if left < self._settings.seeds:
            return f"the {budget.evaluations:,} evaluations are made, or kept for the comparison"
        return ""


@dataclass(frozen=True)
class State:
    """What a run is `doing`, in words, and how far it came.

    `mean` and `best` are values of the last step's recipes and of the round's best one; `measured`
    is the best score of a recipe of the policy. `calls`, `evaluations` and `seconds` are spent.
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


Told = Callable[[State], None]


class Teller:
    """Tells how a run stands whenever something happened, and keeps the time."""

    def __init__(self, journal: Journal, told: Told | None) -> None:
        self._journal = journal
        self._told = told
        self.state = State("starting")

    def tell(self, doing: str, **changes: Any) -> None:
        """Tells what is done now, and what changed."""
        self._journal.tick()
        self.state = replace(self.state, doing=doing, seconds=self._journal.seconds, **changes)
        if self._told is not None:
            self._told(self.state)

    @property
    def seconds(self) -> float:
        """Seconds spent on the run so far."""
        return self._journal.seconds
