"""What each source is of a corpus, beside what the mix was asked for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal, Self

from datachef.core.corpus import MixOperator, Size
from datachef.core.problems import Problem, warning
from datachef.core.promises import ask
from datachef.core.run.accounts import Accounts
from datachef.core.run.ledger import Entry
from datachef.core.run.output import OUTPUT
from datachef.core.run.plan import Plan

# By so much of itself a share may differ from the one it should be, without being told.
TOLERANCE = 0.01
# The code of warnings about what is estimated before a run, and known after it.
EXPECTED = "shortage_expected"


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
class Mixed:
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


def shares_of(accounts: Accounts, mixed: Mixed | None) -> tuple[SourceShare, ...]:
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
    accounts: Accounts, shares: tuple[SourceShare, ...], mixed: Mixed | None
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
    told = ", ".join(
        f"{share.source} {made.get(share.source, 0.0):.1%} to {share.share:.1%}" for share in moved
    )
    after = _after_mix(accounts)
    if [entry.op for entry in after] == [OUTPUT] and after[0].rows_in == after[0].rows_out:
        message = f"rows are taken whole, too few of them for the shares of {mixed.operator.unit}"
        yield warning("shares_shifted", f"{message}: {told}", "mix", "take a larger budget")
        return
    path, op = _mover(accounts, after, most.source)
    message = f"steps after the mix change the shares of {mixed.operator.unit}: {told}"
    yield warning(
        "shares_shifted", f"{message}; most by {path} ({op})", path,
        "steps that drop rows keep the shares where they stand before the mix, under their source",
    )  # fmt: skip


def _unnoticed(share: SourceShare, made: Mapping[str, float], mixed: Mixed) -> float:
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
