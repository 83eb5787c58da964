"""What the accounts of a run say: shares of sources, warnings, and whether it fails."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any, Literal, Self

from datachef.core.contracts.corpus import MixOperator, Size
from datachef.core.contracts.source import LOST
from datachef.core.errors import NO_ANSWER, Problem, warning
from datachef.core.recipe.checked import CheckedRecipe
from datachef.core.recipe.checking import EXPECTED
from datachef.core.registry.promises import ask
from datachef.core.rows.inspection import SourceSample
from datachef.core.run.ledger import Accounts, Entry
from datachef.core.run.output import OUTPUT
from datachef.core.run.plan import Plan

# A source that keeps a smaller share of its rows at one step is warned of.
LEAST_KEPT = 0.01
# So is one of which a step that removes copies leaves a smaller share.
LEAST_WITHOUT_COPIES = 0.5


class RunSummary:
    """The accounts of the partitions that are done, the shares of the sources, and warnings."""

    def __init__(self, checked: CheckedRecipe, plan: Plan, records: Mapping[str, Any]) -> None:
        self._checked = checked
        self._plan = plan
        self.accounts = Accounts.of(plan, records)
        self._mixed = RunMix.of(checked.recipe.mix, plan, records)

    @cached_property
    def shares(self) -> tuple[SourceShare, ...]:
        """The sources in the finished corpus."""
        return shares_of(self.accounts, self._mixed)

    def warnings(self) -> tuple[Problem, ...]:
        """The warnings of the check that still hold, and those of the finished run.

        What its first rows let expect of a source is left out: the ledger now has the facts.
        """
        sources = {f"sources.{name}" for name in self._checked.sources}
        known = [w for w in self._checked.warnings if w.code != EXPECTED and w.path not in sources]
        return (
            *sampled_sources(self._checked.samples),
            *known,
            *self._emptied(),
            *broken_files(self.accounts),
            *lost_sources(self.accounts, self._plan.selecting),
            *repetitive_sources(self.accounts, self._plan.removing_copies),
            *self._shortages(),
            *shifts(self.accounts, self.shares, self._mixed),
        )

    def failure(self) -> tuple[str, str, bool] | None:
        """Where more rows failed at a step than `max_failed` allows: its path, a message, and
        whether few enough would have failed if all servers had answered."""
        most = {name: source.max_failed for name, source in self._checked.sources.items()}
        return too_many_failed(self.accounts, most, self._checked.recipe.max_failed)

    def may_fail(self, path: str) -> int:
        """How many more rows may fail at a step that all rows before it have reached."""
        allowed = 0.0
        for name, source in self._checked.sources.items():
            for entry, rows in self.accounts.arrivals(name):
                if entry.path == path:
                    steps = self._checked.recipe.max_failed
                    allowed += _may_fail(entry, source.max_failed, steps) * rows
        failed = self.accounts.whole[path].failed
        return max(0, int(allowed) - failed.total() + failed[LOST])

    def _emptied(self) -> list[Problem]:
        """A warning of a corpus without rows, which the recipe allows."""
        message = emptied(self.accounts)
        return [] if message is None else [warning("empty_corpus", message, "output")]

    def emptiness(self) -> tuple[str, str] | None:
        """Why no row is left of a finished run, and a hint; None where some are, or need not."""
        if self._checked.recipe.output.allow_empty and not list(self.accounts.whole)[-1].rows_out:
            return None
        message = emptied(self.accounts)
        hint = "; ".join(f"{w.message} ({w.hint})" for w in self._shortages())
        return None if message is None else (message, hint)

    def _shortages(self) -> list[Problem]:
        """What the mix could not take of the sources as they turned out to be; nothing of samples,
        which hold less."""
        if self._mixed is None or self._checked.samples:
            return []
        return self._mixed.shortages()


def _percent(share: float) -> str:
    return f"{100 * share:.3g}%"


def _may_fail(entry: Entry, most: float, steps: Mapping[str, float]) -> float:
    """The share of a source's rows that may fail at a step: what the source says (`most`), or less
    where the recipe says so of the step or its operator."""
    return min(most, *(steps.get(name, 1.0) for name in (entry.path, entry.op)))


def too_many_failed(
    accounts: Accounts, most: Mapping[str, float], steps: Mapping[str, float]
) -> tuple[str, str, bool] | None:
    """Where more rows failed at a step than `most` allows, in the form of `RunSummary.failure`.

    `most` is the share of the rows of each source that may fail at any one step, `steps` that at
    some steps, by their places and operators.
    """
    allowed: dict[str, float] = {}
    arrived: dict[str, int] = {}
    for source in accounts.sources:
        for entry, rows in accounts.arrivals(source):
            share = _may_fail(entry, most[source], steps)
            allowed[entry.path] = allowed.get(entry.path, 0.0) + share * rows
            arrived[entry.path] = arrived.get(entry.path, 0) + rows
    for entry in accounts.whole:
        counts = {reason: number for reason, number in entry.failed.items() if reason != LOST}
        failed = sum(counts.values())
        if failed > allowed.get(entry.path, 0.0):
            reasons = _reasons(counts)
            share = allowed[entry.path] / arrived[entry.path] if arrived[entry.path] else 0.0
            message = (
                f"{entry.path} ({entry.op}): {failed:,} of {arrived[entry.path]:,} rows failed "
                f"({reasons}), more than the {_percent(share)} that max_failed allows"
            )
            passing = failed - counts.get(NO_ANSWER, 0) <= allowed.get(entry.path, 0.0)
            return entry.path, message, passing
    return None


def emptied(accounts: Accounts) -> str | None:
    """Why nothing is left of all rows: which step let none of them through; None where some are."""
    last = list(accounts.whole)[-1]
    if last.rows_out and last.tokens:
        return None
    if last.rows_out:
        return f"the corpus is empty: not one of its {last.rows_out:,} rows holds any text"
    shared = [entry for entry in accounts.whole if not entry.path.startswith("sources.")]
    causes = [entry for entry in shared if entry.rows_in and not entry.rows_out][:1]
    if not causes:
        found = (_first_empty(accounts, name) for name in accounts.sources)
        causes = [entry for entry in found if entry is not None]
    return "the corpus is empty: " + "; ".join(map(_let_nothing_through, causes))


def sampled_sources(samples: Mapping[str, SourceSample]) -> Iterator[Problem]:
    """A warning that the corpus is made of samples, and of how much of each source."""
    if not samples:
        return
    parts = []
    for name, sample in samples.items():
        whole = sample.rate == 1
        rows = f"all {sample.rows:,}" if whole else f"{sample.rows:,} of {sample.available:,.0f}"
        misfits = f" ({sample.failed:.1%} of its rows do not fit its format)"
        parts.append(f"{rows} rows of {name}{misfits if sample.failed else ''}")
    message = f"made of a sample of each source: {', '.join(parts)}"
    yield warning("sampled", message, "sources", "chef run without --sample takes all rows")


def broken_files(accounts: Accounts) -> Iterator[Problem]:
    """A warning of each source that was used without the rest of files that broke off."""
    for entry in accounts.whole:
        if entry.broken:
            files = [str(file) for _, file in sorted(entry.broken.items())]
            number = "1 file was" if len(files) == 1 else f"{len(files):,} files were"
            message = f"{number} not read to the end: {'; '.join(files[:5])}"
            yield warning("broken_files", message, entry.path, "replace what is damaged")


def lost_sources(accounts: Accounts, selecting: frozenset[str]) -> Iterator[Problem]:
    """Warnings about sources of which a step keeps next to nothing, or which hold nothing.

    `selecting` are the paths of steps that keep a number of rows that the recipe asks for.
    """
    for source in accounts.sources:
        for entry, rows in accounts.arrivals(source):
            if entry.op == "read" and not rows:
                yield warning("no_rows", f"source {source}: not one row was read", entry.path)
                break
            if entry.path not in selecting and entry.rows_out < LEAST_KEPT * rows:
                lost = {**entry.dropped, **entry.failed}
                message = (
                    f"source {source} loses {rows - entry.rows_out:,} of its {rows:,} rows at "
                    f"{entry.path} ({entry.op}): {_reasons(lost)}"
                )
                yield warning(
                    "source_lost", message, entry.path, "check whether this step fits the source"
                )
                break


def repetitive_sources(accounts: Accounts, removing: frozenset[str]) -> Iterator[Problem]:
    """Warnings about sources that lose more than half of their rows as copies.

    `removing` are the paths of steps that remove copies.
    """
    for source in accounts.sources:
        for entry, rows in accounts.arrivals(source):
            if entry.path in removing and (
                LEAST_KEPT * rows <= entry.rows_out < LEAST_WITHOUT_COPIES * rows
            ):
                message = (
                    f"source {source} loses {rows - entry.rows_out:,} of its {rows:,} rows as "
                    f"copies at {entry.path} ({entry.op})"
                )
                hint = "look at some of them among the rejected rows, with what they are copies of"
                yield warning("mostly_copies", message, entry.path, hint)


def _first_empty(accounts: Accounts, source: str) -> Entry | None:
    return next((entry for entry in accounts.sources[source] if not entry.rows_out), None)


def _let_nothing_through(entry: Entry) -> str:
    if entry.op == "read" and not entry.rows_in:
        return f"{entry.path} holds no rows"
    reasons = _reasons({**entry.dropped, **entry.failed})
    return f"{entry.path} ({entry.op}) drops all {entry.rows_in:,} rows: {reasons}"


def _reasons(counts: Mapping[str, Any]) -> str:
    most = sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:5]
    return ", ".join(f"{reason} {count:,}" for reason, count in most)


# The relative difference between a share and the requested one up to which there is no warning.
TOLERANCE = 0.01


@dataclass(frozen=True)
class SourceShare:
    """A source in a corpus: its rows and tokens, and its share of them all, by the unit that the
    mix counts in. `asked` is the share that the mix was asked for, and `epochs` how often it takes
    a row on average; None without a mix.
    """

    source: str
    rows: int
    tokens: int
    unit: Literal["tokens", "rows"]
    share: float
    asked: float | None = None
    epochs: float | None = None

    def to_data(self) -> dict[str, Any]:
        """The share as JSON-ready data."""
        return asdict(self)


@dataclass(frozen=True)
class RunMix:
    """The mix of a run, with the sizes of the sources that reached it."""

    operator: MixOperator
    sizes: Mapping[str, Size]

    @classmethod
    def of(
        cls, operator: MixOperator | None, plan: Plan, records: Mapping[str, Any]
    ) -> Self | None:
        """None where there is no mix, or no row reached it."""
        sizes = (records.get(plan.mix or "") or {}).get("sizes")
        if operator is None or sizes is None:
            return None
        return cls(operator, {name: Size(*size) for name, size in sizes.items()})

    def shortages(self) -> list[Problem]:
        """Warnings of what the mix could not take of the sources."""
        return [
            warning("shortage", message, f"mix.{parameter}", hint)
            for parameter, message, hint in ask(self.operator, "shortages", self.sizes)
        ]

    def shares(self) -> dict[str, float]:
        """The share of each source in what the mix takes."""
        epochs, unit = ask(self.operator, "epochs", self.sizes), self.operator.unit
        taken = {name: epochs[name] * getattr(size, unit) for name, size in self.sizes.items()}
        whole = sum(taken.values())
        return {name: amount / whole if whole else 0.0 for name, amount in taken.items()}


def shares_of(accounts: Accounts, mixed: RunMix | None) -> tuple[SourceShare, ...]:
    """The sources of a finished corpus, in the order of the recipe."""
    outputs = {name: ledger["output"] for name, ledger in accounts.sources.items()}
    rows = {name: entry.rows_out for name, entry in outputs.items()}
    tokens = {name: entry.tokens for name, entry in outputs.items()}
    unit = mixed.operator.unit if mixed is not None else "tokens"
    counted = rows if unit == "rows" else tokens
    whole = sum(counted.values())
    asked = ask(mixed.operator, "asked", mixed.sizes) if mixed is not None else {}
    return tuple(
        SourceShare(
            name,
            rows[name],
            tokens[name],
            unit,
            counted[name] / whole if whole else 0.0,
            asked.get(name),
            _epochs(accounts, name) if mixed is not None else None,
        )
        for name in outputs
    )


def shifts(
    accounts: Accounts, shares: tuple[SourceShare, ...], mixed: RunMix | None
) -> Iterator[Problem]:
    """A warning where steps after the mix change what it made of the sources, with the step that
    changes most; or where rows, which are taken whole, are too few for it."""
    if mixed is None:
        return
    made = mixed.shares()
    moved = [
        share
        for share in shares
        if abs(share.share - made.get(share.source, 0.0)) > _unnoticed(share, made, mixed)
    ]
    if not moved:
        return
    most = max(moved, key=lambda share: abs(share.share - made.get(share.source, 0.0)))
    changed = ", ".join(
        f"{share.source} {made.get(share.source, 0.0):.1%} to {share.share:.1%}" for share in moved
    )
    after = _after_mix(accounts)
    if [entry.op for entry in after] == [OUTPUT] and after[0].rows_in == after[0].rows_out:
        unit = mixed.operator.unit
        message = f"rows are not split, and there are too few of them for the shares of {unit}"
        yield warning("shares_shifted", f"{message}: {changed}", "mix", "take a larger budget")
        return
    path, op = _mover(accounts, after, most.source)
    message = f"steps after the mix change the shares of {mixed.operator.unit}: {changed}"
    yield warning(
        "shares_shifted", f"{message}; most by {path} ({op})", path,
        "steps that drop rows keep the shares where they stand before the mix, under their source",
    )  # fmt: skip


def _unnoticed(share: SourceShare, made: Mapping[str, float], mixed: RunMix) -> float:
    """By how much the share may differ: a little of itself, or one row where rows are few."""
    one_row = share.share / share.rows if share.rows else 0.0
    return max(TOLERANCE * made.get(share.source, 0.0), one_row)


def _epochs(accounts: Accounts, source: str) -> float:
    entry = accounts.sources[source]["mix"]
    return entry.rows_out / entry.rows_in if entry.rows_in else 0.0


def _after_mix(accounts: Accounts) -> list[Entry]:
    """What the rows of the mix meet, the output last."""
    entries = list(accounts.whole)
    place = [entry.path for entry in entries].index("mix")
    return entries[place + 1 :]


def _mover(accounts: Accounts, after: list[Entry], source: str) -> tuple[str, str]:
    """The step after the mix that changes most what the source is of all rows."""
    own = accounts.sources[source]

    def change(entry: Entry) -> float:
        before = own[entry.path].rows_in / max(entry.rows_in, 1)
        return abs(own[entry.path].rows_out / max(entry.rows_out, 1) - before)

    found = max(after, key=change)
    return found.path, found.op
