"""What lies in a cache: whose results, how large, when they were last used, and whether intact."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial

from datachef.core.errors import RunError
from datachef.core.run.file_store import RESULTS, FileStore, record_name
from datachef.core.run.status import KnownRun, known_runs, results_of
from datachef.core.run.store import Store
from datachef.core.system.ahead import ahead
from datachef.core.system.atomic import unsealed
from datachef.core.system.folder import Folder, FoundFile


@dataclass
class CachedResult:
    """The files of one result. `recipes` are those whose last runs need it, `used` is when the last
    of these began, or when it was made; a living run may need a `needed` one at any time."""

    key: str
    files: list[str] = field(default_factory=list)
    bytes: int = 0
    used: float = 0.0
    recipes: set[str] = field(default_factory=set)
    needed: bool = False


class CacheContents:
    """The results in a cache, by key, and the `runs` that it knows.

    `others` are the bytes of what it holds besides, by folder: answers of language models, samples
    of sources. Nothing of that is pruned: it was paid for, or is small.
    """

    def __init__(self, folder: Folder) -> None:
        self._folder = folder
        self.runs = known_runs(folder)
        self.results: dict[str, CachedResult] = {}
        self.others: dict[str, int] = {}
        for file in folder.files():
            self._add(file)
        for run in self.runs:
            self._mark(run)

    def _add(self, file: FoundFile) -> None:
        top, _, below = file.name.partition("/")
        if top != RESULTS:
            if below and file.size:
                self.others[top] = self.others.get(top, 0) + file.size
            return
        key = below.rpartition("/")[2].partition(".")[0]
        result = self.results.setdefault(key, CachedResult(key))
        result.files.append(file.name)
        result.bytes += file.size
        result.used = max(result.used, file.modified)

    def _mark(self, run: KnownRun) -> None:
        for key in results_of(self._folder, run.run):
            record = unsealed(key, self._folder.content(record_name(key)))
            for needed in (key, *((record or {}).get("signals", ()))):
                if (result := self.results.get(needed)) is not None:
                    result.recipes.add(run.progress["recipe"])
                    result.used = max(result.used, run.started.timestamp())
                    result.needed = result.needed or run.state == "running"

    @property
    def place(self) -> str:
        """Where the cache is: a path or a URL."""
        return self._folder.shown("")

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
        results = list(results)
        names = [name for result in results for name in result.files]
        for is_record in (True, False):  # nothing is named that is not there
            some = (name for name in names if name.endswith(".json") == is_record)
            list(ahead(partial(self._folder.remove, name) for name in some))
        for result in results:
            del self.results[result.key]

    def damaged(self) -> Iterator[tuple[CachedResult, str]]:
        """The results that are not as they were written, each with what is wrong.

        What a living run has not finished yet is none of them.
        """
        store = FileStore(self._folder)
        finished = [r for r in self.results.values() if record_name(r.key) in r.files]
        found = ahead(partial(_damage, store, result.key) for result in finished)
        for result, wrong in zip(finished, found, strict=True):
            if wrong:
                yield result, wrong


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
