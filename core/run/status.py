"""What the runs of a cache are doing, or did, in files that any process and machine can read.

Each run keeps two records in `runs` of the cache: what it is made of, written once, and how far it
is, written every few seconds. As long as it lives, it holds the lock of their name.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from datachef.core.contracts.engine import RunObserver
from datachef.core.run.progress import PeriodicObserver, State
from datachef.core.system.atomic import read_record, write_record
from datachef.core.system.lock import Holder, holder_of, locked

# Of both records: those of another version are not read.
STATUS_VERSION = 1
_RUNS = "runs"
_STATE, _RESULTS = ".state.json", ".results.json"


@dataclass(frozen=True)
class KnownRun:
    """A run of a cache, as its records tell.

    `progress` is the state of `ProgressTracker.to_data` when the run was last seen, `holder` its
    process, `lives` whether that is there now, as far as can be told from here. `recipe_file` is
    the file of the recipe.
    """

    run: str
    recipe_file: str
    started: datetime
    seen: datetime
    holder: Holder
    lives: bool
    progress: Mapping[str, Any]

    @property
    def folder(self) -> Path:
        """Where its corpus goes."""
        return Path(self.progress["folder"])

    @property
    def state(self) -> State | Literal["lost"]:
        """`lost` where the process ended without saying so: it was killed, or the machine."""
        state: State = self.progress["state"]
        return "lost" if state == "running" and not self.lives else state

    def to_data(self) -> dict[str, Any]:
        """The run as JSON-ready data."""
        now = datetime.now(UTC)
        return {
            **self.progress,
            "state": self.state,
            "recipe_file": self.recipe_file,
            "started": self.started.isoformat(timespec="seconds"),
            "last_sign_of_life": self.seen.isoformat(timespec="seconds"),
            "seconds_since_sign_of_life": round((now - self.seen).total_seconds(), 1),
            "holder": asdict(self.holder),
        }


def known_runs(root: Path) -> list[KnownRun]:
    """The runs of a cache, the latest first; of those of one recipe into one folder, the last."""
    found = []
    for path in (root / _RUNS).glob(f"*{_STATE}"):
        run = path.name.removesuffix(_STATE)
        record = read_record(path, run)
        if record is None or record["version"] != STATUS_VERSION:
            continue
        found.append(
            KnownRun(
                run,
                record["recipe_file"],
                datetime.fromisoformat(record["started"]),
                datetime.fromisoformat(record["seen"]),
                Holder(**record["holder"]),
                holder_of(root / _RUNS / run) is not None,
                record["progress"],
            )
        )
    return sorted(found, key=lambda run: run.started, reverse=True)


def results_of(root: Path, run: str) -> list[str]:
    """The keys of all results that a run needs; none where that is not known."""
    found: list[str] = read_record(root / _RUNS / f"{run}{_RESULTS}", run) or []
    return found


@contextmanager
def followed(
    root: Path, run: str, recipe_file: str, folder: Path, keys: Iterable[str]
) -> Iterator[RunObserver]:
    """An observer that keeps the state of a run in the cache; while the block runs, it lives.

    Earlier runs of the recipe into the same folder are forgotten.
    """
    for known in known_runs(root):
        same = (known.recipe_file, known.folder) == (recipe_file, folder)
        if same and not known.lives:
            forget_run(root, known.run)
    with locked(root / _RUNS / run):
        write_record(root / _RUNS / f"{run}{_RESULTS}", root, run, sorted(keys))
        yield _StateRecord(root, run, recipe_file)


def forget_run(root: Path, run: str) -> None:
    """Removes the records of a run that has ended."""
    for suffix in (_STATE, _RESULTS):
        with suppress(OSError):
            (root / _RUNS / f"{run}{suffix}").unlink()
    with suppress(OSError), locked(root / _RUNS / run):
        pass  # what a killed process left of its lock goes with it


class _StateRecord(PeriodicObserver):
    """Keeps how far a run is in the cache."""

    def __init__(self, root: Path, run: str, recipe_file: str) -> None:
        super().__init__()
        self._root, self._run = root, run
        self._known = {
            "version": STATUS_VERSION,
            "recipe_file": recipe_file,
            "started": datetime.now(UTC).isoformat(),
            "holder": asdict(Holder.this()),
        }

    def show(self, progress: Mapping[str, Any]) -> None:
        seen = {"seen": datetime.now(UTC).isoformat(), "progress": progress}
        path = self._root / _RUNS / f"{self._run}{_STATE}"
        write_record(path, self._root, self._run, self._known | seen)
