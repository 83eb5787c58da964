"""The ledger: for every step, rows in = out + dropped + failed - created."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from datachef.core.run.plan import Plan


@dataclass(frozen=True)
class BrokenFile:
    """A file that could not be read to its end, and how much of it was: `bytes_read` of `size`.

    `bytes_read` is 0 where that is not known. `passing` says that another try may succeed.
    """

    file: str
    size: int
    bytes_read: int
    rows_read: int
    trouble: str
    passing: bool = False

    def __str__(self) -> str:
        known = self.bytes_read > 0 or self.rows_read == 0
        size = f"{self.bytes_read:,} of {self.size:,} bytes and " if known else ""
        return f"{self.file}: {self.trouble} (after {size}{self.rows_read:,} rows)"


@dataclass
class Entry:
    """What one step did with the rows that reached it; `tokens` counts what left it.

    `broken` are the files of a source that could not be read to their end, by their names;
    `counted` are other numbers of an operator or its decision, beside those of rows, or of
    what a source holds that is no row. Like `seconds`, `effort` is of this run, and no part of
    the ledger that is published.
    """

    path: str
    op: str
    rows_in: int = 0
    rows_out: int = 0
    created: int = 0
    tokens: int = 0
    seconds: float = 0.0
    dropped: Counter[str] = field(default_factory=Counter)
    failed: Counter[str] = field(default_factory=Counter)
    broken: dict[str, BrokenFile] = field(default_factory=dict)
    counted: Counter[str] = field(default_factory=Counter)
    effort: Counter[str] = field(default_factory=Counter)

    def add(self, other: Entry) -> None:
        for name in ("rows_in", "rows_out", "created", "tokens", "seconds"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.dropped.update(other.dropped)
        self.failed.update(other.failed)
        self.counted.update(other.counted)
        self.effort.update(other.effort)
        for name, file in other.broken.items():
            self.broken[name] = _together(self.broken.get(name), file)

    @property
    def source(self) -> str | None:
        """The source that the step belongs to; None for a step on the corpus."""
        parts = self.path.split(".")
        return parts[1] if parts[0] == "sources" else None

    @property
    def missing(self) -> int:
        """Rows in that nothing accounts for; 0 where the entry balances."""
        gone = self.dropped.total() + self.failed.total()
        return self.rows_in + self.created - gone - self.rows_out

    def to_data(self, *, timed: bool = True) -> dict[str, Any]:
        data: dict[str, Any] = {
            "path": self.path,
            "op": self.op,
            "rows_in": self.rows_in,
            "rows_out": self.rows_out,
            "dropped": dict(sorted(self.dropped.items())),
            "failed": dict(sorted(self.failed.items())),
            "created": self.created,
            "tokens": self.tokens,
        }
        if self.counted:
            data["counted"] = dict(sorted(self.counted.items()))
        if self.broken:
            data["broken"] = [asdict(file) for _, file in sorted(self.broken.items())]
        if timed and self.effort:
            data["effort"] = dict(self.effort)
        return data | ({"seconds": self.seconds} if timed else {})

    @classmethod
    def from_data(cls, data: Mapping[str, Any]) -> Entry:
        fields = dict(data)
        fields["dropped"] = Counter(fields["dropped"])
        fields["failed"] = Counter(fields["failed"])
        fields["counted"] = Counter(fields.get("counted", {}))
        fields["effort"] = Counter(fields.get("effort", {}))
        broken = (BrokenFile(**file) for file in fields.pop("broken", ()))
        fields["broken"] = {file.file: file for file in broken}
        return cls(**fields)


class Ledger:
    """The entries of a run in the order of the recipe."""

    def __init__(self, entries: Iterable[Entry] = ()) -> None:
        self._entries: dict[str, Entry] = {}
        for entry in entries:
            self.add(entry)

    def __iter__(self) -> Any:
        return iter(self._entries.values())

    def __getitem__(self, path: str) -> Entry:
        return self._entries[path]

    def entry(self, path: str, op: str) -> Entry:
        """The entry of a step, made empty where there is none yet."""
        return self._entries.setdefault(path, Entry(path, op))

    def add(self, entry: Entry) -> None:
        self.entry(entry.path, entry.op).add(entry)

    def imbalances(self, rows_written: int, references: Collection[str] = ()) -> list[str]:
        """What does not add up, in words; empty where every row is accounted for.

        Rows of `references`, sources that are only compared with, do not reach the corpus.

        Each entry must balance, each step must receive what the one before it let through, and the
        files must hold what the last step let through.
        """
        found = [
            f"{entry.path} ({entry.op}): {entry.missing:+d} rows unaccounted for"
            for entry in self
            if entry.missing
        ]
        chains: dict[str | None, list[Entry]] = {}
        for entry in self:
            chains.setdefault(entry.source, []).append(entry)
        corpus = chains.pop(None, [])
        for chain in chains.values():
            found += _breaks(chain)
        arriving = sum(
            chain[-1].rows_out for name, chain in chains.items() if name not in references
        )
        if corpus and corpus[0].rows_in != arriving:
            found.append(
                f"{arriving} rows left the sources, {corpus[0].rows_in} reached the corpus"
            )
        found += _breaks(corpus)
        last = corpus[-1].rows_out if corpus else arriving
        if last != rows_written:
            found.append(f"{last} rows passed the last step, {rows_written} are in the files")
        return found


def _together(known: BrokenFile | None, more: BrokenFile) -> BrokenFile:
    """What two parts of a file add up to."""
    if known is None:
        return more
    return replace(
        known,
        size=known.size + more.size,
        bytes_read=known.bytes_read + more.bytes_read,
        rows_read=known.rows_read + more.rows_read,
        passing=known.passing or more.passing,
    )


def _breaks(chain: list[Entry]) -> list[str]:
    pairs = pairwise(chain)
    return [
        f"{a.rows_out} rows left {a.path}, {b.rows_in} reached {b.path}"
        for a, b in pairs
        if a.rows_out != b.rows_in
    ]


@dataclass(frozen=True)
class Accounts:
    """The ledger of all rows, and of the rows of each source by itself.

    A partition holds rows of one source alone, so the accounts of the partitions give both.
    """

    whole: Ledger
    sources: Mapping[str, Ledger]
    references: frozenset[str] = frozenset()

    @classmethod
    def of(cls, plan: Plan, records: Mapping[str, Any]) -> Accounts:
        """The accounts of all partitions that are done, in the order of the recipe."""
        whole = _blank(plan, None)
        sources = {name: _blank(plan, name) for name in plan.source_info}
        for item in plan.partitions:
            for data in records.get(item.key, {}).get("ledger", ()):
                whole.add(Entry.from_data(data))
                sources[item.source].add(Entry.from_data(data))
        for decision in (decision for phase in plan.phases for decision in phase.decisions):
            for data in records.get(decision.key, {}).get("ledger", ()):
                whole.add(Entry.from_data(data))
        _complete_broken_files(plan, records, whole)
        return cls(whole, sources, plan.references)

    def arrivals(self, source: str) -> Iterator[tuple[Entry, int]]:
        """The entries of a source in order, each with the rows that reached it or wait for it."""
        before: Entry | None = None
        for entry in self.sources[source]:
            if source in self.references and entry.source != source:
                break
            yield entry, entry.rows_in if before is None else before.rows_out
            before = entry


def _complete_broken_files(plan: Plan, records: Mapping[str, Any], ledger: Ledger) -> None:
    """Adds what was read of the other parts of files that broke in one part."""
    for item in plan.phases[0].partitions:
        record = records.get(item.key)
        if len(item.partitions) != 1 or record is None:
            continue  # those that are read together are whole files
        (partition,) = item.partitions
        entry = ledger[f"sources.{item.source}"]
        own = next(Entry.from_data(e) for e in record["ledger"] if e["path"] == entry.path)
        if partition.name in entry.broken and not own.broken:
            size = partition.size
            whole = BrokenFile(partition.name, size, size, own.rows_in, "")
            entry.add(Entry(entry.path, entry.op, broken={partition.name: whole}))


def _blank(plan: Plan, source: str | None) -> Ledger:
    """Empty entries of the steps that the rows of a source meet, or of all."""
    entries = (Entry(path, op) for path, op in plan.steps)
    return Ledger(entry for entry in entries if source is None or entry.source in (None, source))
