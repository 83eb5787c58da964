"""What became of the rows of a run: the ledger as a whole, and that of each source."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from datachef.core.run.ledger import BrokenFile, Entry, Ledger
from datachef.core.run.plan import Plan


@dataclass(frozen=True)
class Accounts:
    """The ledger of all rows, and of the rows of each source by itself.

    A unit holds rows of one source alone, so the accounts of the units tell both.
    """

    whole: Ledger
    sources: Mapping[str, Ledger]

    @classmethod
    def of(cls, plan: Plan, records: Mapping[str, Any]) -> Accounts:
        """The accounts of all units that are done, in the order of the recipe."""
        whole = _blank(plan, None)
        sources = {name: _blank(plan, name) for name in plan.surveys}
        for wave in plan.waves:
            for task in wave.tasks:
                for data in records.get(task.key, {}).get("ledger", ()):
                    whole.add(Entry.from_data(data))
                    sources[task.source].add(Entry.from_data(data))
        _complete_broken_files(plan, records, whole)
        return cls(whole, sources)

    def arrivals(self, source: str) -> Iterator[tuple[Entry, int]]:
        """The entries of a source in order, each with the rows that reached it or wait for it."""
        before: Entry | None = None
        for entry in self.sources[source]:
            yield entry, entry.rows_in if before is None else before.rows_out
            before = entry


def _complete_broken_files(plan: Plan, records: Mapping[str, Any], ledger: Ledger) -> None:
    """Adds what was read of the other parts of files that broke in one part."""
    for task in plan.waves[0].tasks:
        record = records.get(task.key)
        if task.unit is None or record is None:
            continue
        entry = ledger[f"sources.{task.source}"]
        own = next(Entry.from_data(e) for e in record["ledger"] if e["path"] == entry.path)
        if task.unit.name in entry.broken and not own.broken:
            size = task.unit.size
            whole = BrokenFile(task.unit.name, size, size, own.rows_in, "")
            entry.add(Entry(entry.path, entry.op, broken={task.unit.name: whole}))


def _blank(plan: Plan, source: str | None) -> Ledger:
    """Empty entries of the steps that the rows of a source meet, or of all."""
    return Ledger(
        Entry(path, op)
        for path, op in plan.steps
        if source is None or not path.startswith("sources.") or path.split(".")[1] == source
    )
