"""`chef diff`: what differs between two finished runs, the recipes beside what came of them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from datachef.core.cli.completion import runs
from datachef.core.cli.state import AsJson, console, print_json

if TYPE_CHECKING:
    from datachef.plugins.report.comparison import ComparedStep, Comparison
    from datachef.plugins.report.recipe_changes import RecipeChange
    from datachef.plugins.report.row_changes import ComparedRow

_SHIFTS = 15


def diff(
    before: Annotated[
        str,
        typer.Argument(
            help="The folder of a run, or its URL.", autocompletion=runs, show_default=False
        ),
    ],
    after: Annotated[
        str, typer.Argument(help="That of another.", autocompletion=runs, show_default=False)
    ],
    examples: Annotated[
        int, typer.Option(min=0, help="Rows to show of each source: gained, lost and changed.")
    ] = 2,
    html: Annotated[
        Path | None, typer.Option("--html", metavar="FILE", help="Write a page of HTML.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Compare two finished runs: what their recipes say, beside rows, tokens and signals.

    Rows are compared by their ids, and where these differ by their content.
    """
    from datachef.core import FinishedRun
    from datachef.core.cli.display import place
    from datachef.core.escaping import one_line
    from datachef.core.pages.rendering import write_page
    from datachef.plugins.report.comparison import Comparison
    from datachef.plugins.report.diff_page import diff_page

    found = Comparison.of(FinishedRun.open(before), FinishedRun.open(after), examples)
    if html is not None:
        title = f"{one_line(Path(before).name)} and {one_line(Path(after).name)}"
        write_page(html, diff_page(found, title))
    if as_json:
        print_json(found.to_data())
        return
    out = console()
    if html is not None:
        out.print(place(html.absolute()), soft_wrap=True)
        return
    for part in _parts(found, out.width):
        out.print(part, soft_wrap=not hasattr(part, "columns"))


def _parts(found: Comparison, width: int) -> Iterator[Any]:
    yield _heading("recipe")
    if not found.recipe:
        yield "   no difference"
    for change in found.recipe:
        yield f"   {_change(change)}"
    yield _heading("sources")
    yield _sources(found)
    steps = [step for step in found.steps if step.differs]
    if steps:
        yield _heading("steps that did something else")
        yield _steps(steps)
    yield _heading("rows of the corpus")
    yield _rows(found)
    if found.reasons:
        yield _heading("reasons for the rows lost and gained, in the run without them")
        yield _reasons(found)
    for row in found.samples:
        yield from _sample(row, width)
    if found.signals:
        yield _heading("signals of the rows that reached a step, tenth, median and nine tenths")
        yield _signals(found)


def _heading(text: str) -> Any:
    from rich.text import Text

    return Text(text, "bold")


def _change(change: RecipeChange) -> str:
    if change.before is None and change.after is None:
        return f"{change.path} differs"
    if change.before is None:
        return f"+ {change.path}: {_value(change.after)}"
    if change.after is None:
        return f"- {change.path}: {_value(change.before)}"
    return f"{change.path}: {_value(change.before)} → {_value(change.after)}"


def _value(value: Any) -> str:
    import orjson

    from datachef.core.escaping import one_line

    return one_line(value if isinstance(value, str) else orjson.dumps(value).decode())


def _table(*columns: str, numbers: int) -> Any:
    """A table whose last columns are numbers."""
    from rich.table import Table

    table = Table(header_style="bold")
    for place, name in enumerate(columns):
        table.add_column(name, justify="right" if place >= len(columns) - numbers else "left")
    return table


def _moved(pair: tuple[int, int]) -> str:
    difference = pair[1] - pair[0]
    return f"{difference:+,}" if difference else ""


def _sources(found: Comparison) -> Any:
    table = _table("source", "rows", "then", "change", "tokens", "then", "change", numbers=6)
    for source in found.sources:
        cells = [f"{pair[at]:,}" for pair in (source.rows, source.tokens) for at in (0, 1)]
        rows, tokens = _moved(source.rows), _moved(source.tokens)
        table.add_row(source.source, *cells[:2], rows, *cells[2:], tokens)
    return table


def _steps(steps: list[ComparedStep]) -> Any:
    from datachef.core.escaping import one_line

    table = _table("step", "operator", "before", "then", "change", numbers=3)
    for step in steps:
        path = step.paths[1] or f"{step.paths[0]} (gone)"
        path += " (new)" if step.paths[0] is None else ""
        cells = [
            "" if place is None else f"{out:,} of {into:,}"
            for place, into, out in zip(step.paths, step.rows_in, step.rows_out, strict=True)
        ]
        table.add_row(path, step.op, *cells, _moved(step.rows_out) if all(step.paths) else "")
        for reason, counts in step.rejected.items():
            if counts[0] != counts[1]:
                told = [f"-{count:,}" if count else "" for count in counts]
                table.add_row("", f"  {one_line(reason)}", *told, _moved((-counts[0], -counts[1])))
    return table


def _rows(found: Comparison) -> Any:
    from datachef.plugins.report.row_changes import KINDS

    table = _table("source", "rows", "number", "tokens", numbers=2)
    for count in sorted(found.rows, key=lambda count: count.source):
        table.add_row(count.source, KINDS[count.kind], f"{count.rows:,}", f"{count.tokens:,}")
    return table


def _reasons(found: Comparison) -> Any:
    from datachef.core.escaping import one_line
    from datachef.plugins.report.row_changes import KINDS

    table = _table("source", "rows", "step", "reason", "number", "tokens", numbers=2)
    for loss in found.reasons:
        reason = loss.reason or "unknown: not among the rejected rows that were kept"
        table.add_row(
            loss.source, KINDS[loss.kind], loss.step or "", one_line(reason), f"{loss.rows:,}",
            f"{loss.tokens:,}",
        )  # fmt: skip
    return table


def _sample(row: ComparedRow, width: int) -> Iterator[Any]:
    from rich.text import Text

    from datachef.core.escaping import one_line
    from datachef.plugins.report.excerpts import change, excerpt
    from datachef.plugins.report.row_changes import KINDS
    from datachef.plugins.report.samples import ChangedRow, differences

    why = f" ({row.step} {row.reason} {row.signals})" if row.reason else ""
    yield Text(one_line(f"   {KINDS[row.kind]}: {row.id}{why}"), "dim")
    if row.before is not None and row.after is not None:
        pieces = differences(row.before, row.after)
        yield from change(ChangedRow(row.id, row.source, pieces, ()), width)
    elif row.before is not None:
        yield excerpt(row.before, width, "- ", "red")
    elif row.after is not None:
        yield excerpt(row.after, width, "+ ", "green")


def _signals(found: Comparison) -> Any:
    from datachef.core.pages.rendering import number

    table = _table("step", "signal", "before", "then", "distance", numbers=1)
    for shift in found.signals[:_SHIFTS]:
        spread = [
            " ".join(number(pair[at]) for pair in (shift.low, shift.median, shift.high))
            for at in (0, 1)
        ]
        table.add_row(shift.path, shift.signal, *spread, f"{shift.distance:.2f}")
    return table
