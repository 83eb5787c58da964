"""The journal of a run: a file per finished round, which is there whole or not at all.

Whatever is not in it is done again after a restart. Training goes on from its checkpoint as if it
had never stopped, rewards say the same again, and a laboratory remembers what it measured: so a run
that was killed ends with the journal of one that was not, but for the seconds.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any, TypeVar

import orjson
from pydantic import BaseModel, ValidationError

from datachef.core.atomic import write_atomically
from datachef.core.errors import DatachefError
from datachef.policy.evolve.records import Contender, Round, Trust
from datachef.policy.evolve.settings import EvolveSettings

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
