"""Signals on disk: a changed threshold re-decides from them and measures only what is new."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import polars as pl

from datachef.core.errors import RunError
from datachef.core.run.keys import key_of
from datachef.core.run.pipeline import ROW, AnyStep, groups
from datachef.core.run.store import Store

Place = tuple[int, int]


class SignalCache:
    """The signals of the filters of one partition.

    A filter's key is the partition's input, all steps before its group of consecutive filters, and
    what its signals depend on: no threshold of the group. It holds the rows that were ever
    measured. Rows are known by their number, so that nothing is kept of rows that may be others in
    the next run: where `partition_input` is None, and after a step whose failures may pass. What
    `texts` remembers besides need not be of this partition.
    """

    def __init__(
        self,
        store: Store,
        partition_input: str | None,
        steps: Sequence[AnyStep],
        texts: TextMemory | None = None,
    ) -> None:
        self._store = store
        self._texts = texts
        self._text_keys: dict[Place, str] = {}
        self._keys: dict[Place, str] = {}
        self._files: dict[Place, str] = {}
        self._known: dict[Place, pl.DataFrame] = {}
        self._new: dict[Place, list[pl.DataFrame]] = {}
        before: list[Any] = [partition_input]
        lasting = partition_input is not None
        for index, group in enumerate(groups(steps)):
            for place, filter_step in enumerate(group if isinstance(group, list) else ()):
                operator = filter_step.operator
                if operator.signal_names():
                    identity = {**filter_step.identity, **operator.signal_identity()}
                    if lasting:
                        self._open((index, place), key_of("signals", before, identity))
                    if texts is not None and operator.reads() == {"text"}:
                        self._text_keys[index, place] = key_of("texts", identity)
            members: Sequence[AnyStep] = group if isinstance(group, list) else [group]
            before.extend([step.path, step.identity] for step in members)
            lasting = lasting and not any(step.operator.transient for step in members)

    def _open(self, place: Place, key: str) -> None:
        self._keys[place] = key
        record = self._store.record(key)
        if record is not None:
            (facts,) = record["files"]
            self._files[place] = facts["file"]
            try:
                self._known[place] = self._store.read(key, facts)
            except RunError:
                return  # damaged, or replaced by another run just now: as good as none

    def recall(self, group: int, place: int, rows: pl.DataFrame) -> pl.DataFrame | None:
        known = self._known.get((group, place))
        if known is not None:
            found = rows.select(ROW).join(known, on=ROW, maintain_order="left")
            if found.height:
                return found
        if self._texts is not None and (group, place) in self._text_keys:
            return self._texts.recall(self._text_keys[group, place], rows)
        return None

    def remember(self, group: int, place: int, rows: pl.DataFrame, signals: pl.DataFrame) -> None:
        if not signals.height:
            return
        if (group, place) in self._keys:
            self._new.setdefault((group, place), []).append(signals)
        if self._texts is not None and (group, place) in self._text_keys:
            self._texts.remember(self._text_keys[group, place], rows, signals)

    def finish(self) -> None:
        """Writes what was measured, once the whole partition has passed."""
        for place, frames in self._new.items():
            key = self._keys[place]
            known = [self._known[place]] if place in self._known else []
            table = pl.concat([*known, *frames]).sort(ROW)
            facts = self._store.write(key, "signals.parquet", table)
            self._store.finish(key, {"files": [facts]}, anew=True)
            if (old := self._files.get(place)) not in (None, facts["file"]):
                self._store.discard(key, old)


TEXT = "_text"


class TextMemory:
    """What was measured of texts, for a process that meets the same texts again and again.

    `key` names what was measured: signals of a filter or summaries that depend on `text` alone.
    """

    def __init__(self, most_texts: int = 1_000_000) -> None:
        self._most = most_texts
        self._known: dict[str, pl.DataFrame] = {}

    def recall(self, key: str, rows: pl.DataFrame) -> pl.DataFrame | None:
        """`ROW` and what is known of the rows whose text was met before."""
        known = self._known.get(key)
        if known is None:
            return None
        found = _by_text(rows).join(known, on=TEXT, maintain_order="left").drop(TEXT)
        return found if found.height else None

    def remember(self, key: str, rows: pl.DataFrame, measured: pl.DataFrame) -> None:
        """Takes `ROW` and what was measured of some of the rows."""
        fresh = _by_text(rows).join(measured, on=ROW).drop(ROW)
        known = self._known.get(key)
        if known is not None and known.height < self._most:
            fresh = pl.concat([known, fresh])
        self._known[key] = fresh.unique(TEXT, keep="first", maintain_order=True)


def _by_text(rows: pl.DataFrame) -> pl.DataFrame:
    return rows.select(ROW, pl.col("text").hash(seed=0).alias(TEXT))
