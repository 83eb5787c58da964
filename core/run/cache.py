"""What lies in a cache: whose results, how large, when they were last used, and whether intact."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

from datachef.core.errors import RunError
from datachef.core.run.file_store import RESULTS, FileStore, record_name
from datachef.core.run.status import KnownRun, known_runs, results_of
from datachef.core.run.store import Store
from datachef.core.system.atomic import unsealed
from datachef.core.system.folder import LocalFolder


@dataclass
class CachedResult:
    """The files of one result. `recipes` are those whose last runs need it, `used` is when the last
    of these began, or when it was made; a living run may need a `needed` one at any time."""

    key: str
    files: list[Path] = field(default_factory=list)
    bytes: int = 0
    used: float = 0.0
    recipes: set[str] = field(default_factory=set)
    needed: bool = False


class CacheContents:
    """The results in a cache, by key, and the `runs` that it knows.

    `others` are the bytes of what it holds besides, by folder: answers of language models, samples
    of sources. Nothing of that is pruned: it was paid for, or is small.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self._folder = LocalFolder(root)
        self.runs = known_runs(self._folder)
        self.results = _results(root / RESULTS)
        self.others = _others(root)
        for run in self.runs:
            self._mark(run)

    def _mark(self, run: KnownRun) -> None:
        for key in results_of(self._folder, run.run):
            record = unsealed(key, self._folder.content(record_name(key)))
            for needed in (key, *((record or {}).get("signals", ()))):
                if (result := self.results.get(needed)) is not None:
                    result.recipes.add(run.progress["recipe"])
                    result.used = max(result.used, run.started.timestamp())
                    result.needed = result.needed or run.lives

    @property
    def bytes(self) -> int:
        """Of all results."""
        return sum(result.bytes for result in self.results.values())

    def prunable(
        self,
        *,
        recipe: str | None = None,
        unused: bool = False,
        older_than: timedelta | None = None,
        most_bytes: int | None = None,
    ) -> list[CachedResult]:
        """The results that all conditions apply to and no living run needs, used longest ago first.

        `recipe` means those that no other recipe needs, `unused` those that none does, and
        `most_bytes` so many of the oldest that the results together are not larger.
        """
        found = [result for result in self.results.values() if not result.needed]
        if recipe is not None:
            found = [result for result in found if result.recipes == {recipe}]
        if unused:
            found = [result for result in found if not result.recipes]
        if older_than is not None:
            limit = (datetime.now() - older_than).timestamp()
            found = [result for result in found if result.used < limit]
        found.sort(key=lambda result: (result.used, result.key))
        if most_bytes is not None:
            found = list(_first_of(found, self.bytes - most_bytes))
        return found

    def remove(self, results: Iterable[CachedResult]) -> None:
        """Removes results; a run that begins to need one just now makes it anew."""
        for result in results:
            for path in sorted(result.files, key=lambda path: path.suffix != ".json"):
                with suppress(OSError):
                    path.unlink()
            del self.results[result.key]

    def damaged(self) -> Iterator[tuple[CachedResult, str]]:
        """The results that are not as they were written, each with what is wrong.

        What a living run has not finished yet is none of them.
        """
        store = FileStore(self._folder)
        for result in [*self.results.values()]:
            finished = any(path.name == f"{result.key}.json" for path in result.files)
            if finished and (wrong := _damage(store, result.key)):
                yield result, wrong


def _results(folder: Path) -> dict[str, CachedResult]:
    found: dict[str, CachedResult] = {}
    for place, _, names in os.walk(folder):
        for name in names:
            path, key = Path(place, name), name.partition(".")[0]
            with suppress(FileNotFoundError):  # a run has just removed it
                status = path.stat()
                result = found.setdefault(key, CachedResult(key))
                result.files.append(path)
                result.bytes += status.st_size
                result.used = max(result.used, status.st_mtime)
    return found


def _others(root: Path) -> dict[str, int]:
    sizes = {}
    with suppress(FileNotFoundError):
        for folder in sorted(root.iterdir()):
            if folder.is_dir() and folder.name != RESULTS:
                files = (Path(place, name) for place, _, names in os.walk(folder) for name in names)
                sizes[folder.name] = sum(map(_size, files))
    return {name: size for name, size in sizes.items() if size}


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _first_of(results: Iterable[CachedResult], size: int) -> Iterator[CachedResult]:
    for result in results:
        if size <= 0:
            return
        size -= result.bytes
        yield result


def _damage(store: Store, key: str) -> str:
    """What is wrong with a result; empty where nothing is."""
    record = store.record(key)
    if record is None:
        return "its record is damaged, or a file that it names is missing or cut off"
    try:
        for facts in record["files"]:
            for table in facts.get("pieces", [facts]):
                store.verify(key, table)
    except RunError as error:
        return error.message
    return ""
