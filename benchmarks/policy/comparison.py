"""What methods found on one task, after the same count of reward calls."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import fmean
from typing import Any

from datachef.core import DatachefError
from datachef.core.contracts.reward import mean_interval

# By method, the values of each of its runs in the order of the calls.
Runs = Mapping[str, Sequence[Sequence[float]]]


@dataclass(frozen=True)
class Row:
    """What a method found with `calls` reward calls, of which it made `spent` before it ran out.

    `mean` is the best value so far, averaged over runs, `interval` its 95% interval, if there are
    two runs or more, and `regret` how far it is below the best value that any method found.
    """

    method: str
    calls: int
    spent: int
    runs: int
    mean: float
    interval: tuple[float, float] | None
    regret: float


@dataclass(frozen=True)
class Comparison:
    """Methods by calls, the best of each count first; `best` is what any run of any found."""

    rows: tuple[Row, ...]
    best: float

    def to_data(self) -> dict[str, Any]:
        """As plain data, for JSON."""
        rows = [asdict(row) for row in self.rows]
        for row in rows:
            row["interval"] = row["interval"] and list(row["interval"])
        return {"best": self.best, "rows": rows}

    def to_markdown(self) -> str:
        """As a Markdown table."""
        lines = [
            "| method | calls | runs | best value so far | 95% interval | regret |",
            "|---|--:|--:|--:|:-:|--:|",
        ]
        return "\n".join([*lines, *map(_line, self.rows)]) + "\n"


def compare(runs: Runs, calls: Sequence[int] | None = None) -> Comparison:
    """The comparison of methods after each of some counts of calls; by default after all.

    A method with fewer calls is taken to have run out: its best stays what it was. Raises
    `DatachefError` where there is nothing to compare, and where runs of one method differ in
    length, since a run that was cut short has not run out.
    """
    for method, every in runs.items():
        lengths = sorted({len(run) for run in every})
        if len(lengths) != 1 or not lengths[0]:
            said = " and ".join(map(str, lengths)) or "no"
            raise DatachefError(
                f"the runs of {method} have {said} calls",
                "compare runs that made the same count of calls, at least one",
            )
    if not runs:
        raise DatachefError("there are no runs to compare", "run a search first")
    calls = calls or [max(len(every[0]) for every in runs.values())]
    if min(calls) < 1:
        raise DatachefError(f"nothing is found after {min(calls)} calls", "count from 1")
    best = max(best_of(run, max(calls)) for every in runs.values() for run in every)
    rows = [_row(method, every, count, best) for method, every in runs.items() for count in calls]
    return Comparison(tuple(sorted(rows, key=lambda row: (row.calls, row.regret))), best)


def best_of(values: Sequence[float], calls: int) -> float:
    """The best of the first values, as many as there are calls."""
    return max(values[:calls])


def _row(method: str, runs: Sequence[Sequence[float]], calls: int, best: float) -> Row:
    found = [best_of(run, calls) for run in runs]
    return Row(
        method=method,
        calls=calls,
        spent=min(calls, len(runs[0])),
        runs=len(runs),
        mean=fmean(found),
        interval=mean_interval(found),
        regret=best - fmean(found),
    )


def _line(row: Row) -> str:
    name = row.method.replace("|", r"\|")
    calls = str(row.calls) if row.spent == row.calls else f"{row.spent} of {row.calls}"
    low_high = row.interval and f"{row.interval[0]:.4f} to {row.interval[1]:.4f}"
    numbers = f"{row.mean:.4f} | {low_high or 'one run'} | {row.regret:.4f}"
    return f"| {name} | {calls} | {row.runs} | {numbers} |"
