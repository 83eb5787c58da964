"""Signals on disk: a changed threshold re-decides from them without measuring again."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import polars as pl

from datachef.core.filter import Filter
from datachef.core.run.chain import Step, groups
from datachef.core.run.keys import key_of, operator_identity
from datachef.core.run.store import Store, write_frame


class SignalCache:
    """The signals of the groups of one unit.

    A group's key is the unit's input, all steps before the group, and the group's signals; none of
    its own thresholds. Empty groups and units whose measuring failed somewhere are not kept.
    """

    def __init__(self, store: Store, unit_input: Any, steps: Sequence[Step]) -> None:
        self._store = store
        self._keys: dict[int, str] = {}
        self._known: dict[int, pl.DataFrame] = {}
        self._offsets: dict[int, int] = {}
        self._new: dict[int, list[pl.DataFrame] | None] = {}
        before: list[Any] = [unit_input]
        for index, group in enumerate(groups(steps)):
            if isinstance(group[0].operator, Filter):
                self._open(index, key_of("signals", before, [_signals_of(s) for s in group]))
            before.extend([step.path, operator_identity(step.operator)] for step in group)

    def _open(self, index: int, key: str) -> None:
        self._keys[index] = key
        record = self._store.record(key)
        if record is None:
            self._new[index] = []
        else:
            path = self._store.checked(key, record["files"][0])
            self._known[index] = pl.read_parquet(path)
            self._offsets[index] = 0

    def recall(self, group: int, height: int) -> pl.DataFrame | None:
        if group not in self._known:
            return None
        start = self._offsets[group]
        self._offsets[group] = start + height
        return self._known[group][start : start + height]

    def remember(self, group: int, signals: pl.DataFrame | None) -> None:
        gathered = self._new.get(group)
        if signals is None or gathered is None:
            self._new[group] = None
        else:
            gathered.append(signals)

    def finish(self) -> None:
        """Writes what was measured, once the whole unit has passed."""
        for index, frames in self._new.items():
            if frames:
                key = self._keys[index]
                facts = write_frame(pl.concat(frames), self._store.path(key, "signals.parquet"))
                self._store.finish(key, {"files": [facts]})


def _signals_of(step: Step) -> dict[str, Any]:
    assert isinstance(step.operator, Filter)
    return step.operator.signal_identity() | {
        "files": operator_identity(step.operator).get("files", [])
    }
