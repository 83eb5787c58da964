"""Runs that several processes share, on machines that have nothing in common but the cache.

Each of them plans the whole run and does its part of every phase: of `of` shards number `index`
does the items whose place in the plan leaves that remainder. What the others do it finds in the
cache. Shard 0 writes the corpus.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import orjson

from datachef.core.contracts.engine import Engine, Progress, WorkItem
from datachef.core.errors import UnavailableError
from datachef.core.run.destination import Destination
from datachef.core.run.plan import Plan
from datachef.core.run.report import Report, manifest
from datachef.core.run.runner import Runner, UnfitError
from datachef.core.run.shards import Shard, SignsOfLife
from datachef.core.run.stage import ShardWork
from datachef.core.run.store import Store
from datachef.core.system.backoff import Backoff
from datachef.core.system.failures import ending_runs

# Seconds between looks at the cache, and before somebody is told for whom a shard waits.
_BACKOFF = 0.1, 5.0
_NOTICE = 60.0
# How many missing results are looked for at once.
_LOOKS = 100
_SHOWN = 3


class ShardedEngine(Engine):
    """Carries out the items of one shard on another engine, and waits for those of the others.

    Every shard leaves signs of life in the cache, with the place in the plan that it has reached.
    Items of one that gives none, or has passed them (they were damaged since), are divided among
    the others. Where two shards do the same item, both leave the same result.
    """

    def __init__(self, inner: Engine, plan: Plan, store: Store, shard: Shard) -> None:
        self._inner = inner
        self._store = store
        self._shard = shard
        self._places = {key: place for place, key in enumerate(plan.keys)}
        self.signs = SignsOfLife(store, shard)

    def map(
        self, items: Sequence[WorkItem], progress: Progress
    ) -> Iterator[tuple[int, dict[str, Any]]]:
        self._inner.on_stall, self._inner.on_retry = self.on_stall, self.on_retry
        if any(isinstance(item, ShardWork) for item in items):  # into a folder that is ours alone
            yield from self._inner.map(items, progress)
            return
        left = {self._place(item): index for index, item in enumerate(items)}
        self.signs.reached(min(left, default=0))
        ours = [place for place in left if place % self._shard.of == self._me]
        while left:
            own = [left[place] for place in ours]
            for number, record in self._inner.map([items[index] for index in own], progress):
                del left[ours[number]]
                yield own[number], record
            yield from self._found(left, items)
            ours = [place for place in left if self._owner(place) == self._me]
            for place in ours:
                cause = f"shard {place % self._shard.of}/{self._shard.of} is not there to do it"
                if self.on_retry is not None:
                    self.on_retry(items[left[place]].label, cause)

    @property
    def _me(self) -> int:
        return self._shard.index

    def _place(self, item: Any) -> int:
        return self._places[item.key]

    def _found(
        self, left: dict[int, int], items: Sequence[Any]
    ) -> Iterator[tuple[int, dict[str, Any]]]:
        """What other shards have done, until nothing is left or something of it becomes ours."""
        began, backoff, notice = time.monotonic(), Backoff(*_BACKOFF), _NOTICE
        since = f"{datetime.now().astimezone():%H:%M:%S}"
        while True:
            missing = []
            for place, index in [*left.items()]:
                record = self._store.record(items[index].key)
                if record is not None:
                    del left[place]
                    backoff.reset()
                    yield index, record
                    continue
                missing.append(place)
                if len(missing) == _LOOKS:
                    break
            if not missing or any(self._owner(place) == self._me for place in missing):
                return
            waited = time.monotonic() - began
            if waited >= notice:
                notice = 2 * waited
                labels = [(place, items[left[place]].label) for place in missing]
                self._tell_of(labels, waited, since)
            time.sleep(backoff.next_delay())

    def _owner(self, place: int) -> int:
        """The shard that is to do the item in this place, as far as can be told from here."""
        first = place % self._shard.of
        if first == self._me or self.signs.will_do(first, place):
            return first
        present = [
            other
            for other in range(self._shard.of)
            if other == self._me or (self.signs.came(other) and self.signs.will_do(other, place))
        ]
        return present[place % len(present)]

    def _tell_of(self, missing: Iterable[tuple[int, str]], waited: float, since: str) -> None:
        """Says for which shards this one waits, and what they have to do."""
        by_shard = defaultdict(list)
        for place, label in missing:
            by_shard[place % self._shard.of].append(label)
        for other, labels in by_shard.items():
            more = f" and {len(labels) - _SHOWN:,} more" if len(labels) > _SHOWN else ""
            where = (
                f"{', '.join(labels[:_SHOWN])}{more}, for which this shard waits since {since}; "
                f"after {self._shard.patience:g} s without a sign of life others do it"
            )
            if self.on_stall is not None:
                self.on_stall(f"shard {other}/{self._shard.of}", waited, where)

    def close(self) -> None:
        self.signs.end()
        self._inner.close()


class Follower(Runner):
    """A run of which another process writes the corpus: it does its part, and waits for that."""

    _engine: ShardedEngine

    def run(self, destination: Destination, cache: Path) -> Report:
        """Does its part of the work; returns when the corpus is in place.

        Raises as `Runner.run` does, and `UnavailableError` where the shard that writes the corpus
        is gone.
        """
        started = time.monotonic()
        with ending_runs():
            destination.refuse(self._checked, self._plan, cache)
            self._store.prepare()
            return self._run(destination, started)

    def _forget_passing(self) -> None:
        """Others may still read it."""

    def _keep_failed(self, destination: Destination, failure: UnfitError) -> str:
        return f"rejected rows are kept by shard 0 beside {destination.folder}"

    def _publish(self, destination: Destination, started: float) -> Report:
        self._engine.signs.reached(self._plan.size)
        backoff = Backoff(*_BACKOFF)
        while True:
            lives = self._engine.signs.lives(0)
            if self._is_in(destination):
                return self._report(destination, self.ledger()["output"].rows_out, started)
            if not lives:
                raise UnavailableError(
                    f"shard 0, which writes the corpus, has ended or given no sign of"
                    f" life for {self._engine.signs.silence(0):.0f} s",
                    "start it again: what is done stays done",
                )
            time.sleep(backoff.next_delay())

    def _is_in(self, destination: Destination) -> bool:
        """Whether the corpus of this recipe and these data is in place."""
        try:
            found = orjson.loads(destination.manifest())
        except orjson.JSONDecodeError:
            return False
        expected = orjson.loads(orjson.dumps(manifest(self._checked, self._plan, self._host, [])))
        del expected["outputs"]
        return isinstance(found, dict) and expected.items() <= found.items()
