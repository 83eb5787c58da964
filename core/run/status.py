"""What the runs of a cache are doing, or did, in files that any process and machine can read.

Each run keeps two records in `runs` of the cache that has its results: what it is made of, written
once, and how far it is, written every few seconds. As long as it lives, it holds the lock of their
name in the cache on disk.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from datachef.core.contracts.engine import RunObserver
from datachef.core.errors import RunError
from datachef.core.run.progress import PeriodicObserver, State
from datachef.core.system.atomic import sealed, unsealed
from datachef.core.system.folder import Folder, LocalFolder
from datachef.core.system.lock import Holder, holder_of, locked

# Of both records: those of another version are not read.
STATUS_VERSION = 1
_RUNS = "runs"
_STATE, _RESULTS = ".state.json", ".results.json"
# Seconds between two writings, on a disk and behind a URL, where each costs money; and after how
# many without any a run is taken for dead where there are no locks.
_EVERY, _EVERY_REMOTE, _SILENT = 5.0, 30.0, 180.0


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
    def folder(self) -> str:
        """Where its corpus goes, a path or a URL."""
        folder: str = self.progress["folder"]
        return folder

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


def known_runs(folder: Folder) -> list[KnownRun]:
    """The runs of a cache, the latest first; of those of one recipe into one folder, the last."""
    found = []
    for name in (file.name for file in folder.files(_RUNS)):
        if not name.endswith(_STATE):
            continue
        run = name.removeprefix(f"{_RUNS}/").removesuffix(_STATE)
        record = unsealed(run, folder.content(name))
        if record is not None and record["version"] == STATUS_VERSION:
            started, seen = (datetime.fromisoformat(record[n]) for n in ("started", "seen"))
            lives, holder = _lives(folder, run, seen), Holder(**record["holder"])
            file, progress = record["recipe_file"], record["progress"]
            found.append(KnownRun(run, file, started, seen, holder, lives, progress))
    return sorted(found, key=lambda run: run.started, reverse=True)


def _lives(folder: Folder, run: str, seen: datetime) -> bool:
    if isinstance(folder, LocalFolder):
        return holder_of(folder.root / _RUNS / run) is not None
    return (datetime.now(UTC) - seen).total_seconds() < _SILENT


def results_of(folder: Folder, run: str) -> list[str]:
    """The keys of all results that a run needs; none where that is not known."""
    found: list[str] = unsealed(run, folder.content(_name(run, _RESULTS))) or []
    return found


@contextmanager
def followed(
    folder: Folder, cache: Path, run: str, recipe_file: str, output: str, keys: Iterable[str]
) -> Iterator[RunObserver]:
    """An observer that keeps the state of a run in a cache; while the block runs, it lives.

    `cache` is this machine's. Earlier runs of the recipe into the same output are forgotten.
    """
    for known in known_runs(folder):
        same = (known.recipe_file, known.folder) == (recipe_file, output)
        if same and not known.lives:
            _forget(folder, cache, known.run)
    with locked(cache / _RUNS / run):
        folder.put_bytes(sealed(run, sorted(keys)), _name(run, _RESULTS))
        yield _StateRecord(folder, run, recipe_file)


def _forget(folder: Folder, cache: Path, run: str) -> None:
    for suffix in (_STATE, _RESULTS):
        folder.remove(_name(run, suffix))
    with suppress(OSError, RunError), locked(cache / _RUNS / run):
        pass  # what a killed process left of its lock goes with it


def _name(run: str, suffix: str) -> str:
    return f"{_RUNS}/{run}{suffix}"


class _StateRecord(PeriodicObserver):
    """Keeps how far a run is in the cache."""

    def __init__(self, folder: Folder, run: str, recipe_file: str) -> None:
        super().__init__(_EVERY_REMOTE if folder.remote else _EVERY)
        self._folder, self._run = folder, run
        self._known = {
            "version": STATUS_VERSION,
            "recipe_file": recipe_file,
            "started": datetime.now(UTC).isoformat(),
            "holder": asdict(Holder.this()),
        }

    def show(self, progress: Mapping[str, Any]) -> None:
        seen = {"seen": datetime.now(UTC).isoformat(), "progress": progress}
        self._folder.put_bytes(sealed(self._run, self._known | seen), _name(self._run, _STATE))
