"""`chef sample`: a quick look at what each step of a recipe does to a few rows."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any

import typer

from datachef.core.cli.state import (
    AsJson,
    CachePlace,
    Overrides,
    PoolFile,
    RecipeFile,
    console,
    get_host,
    print_json,
)

if TYPE_CHECKING:
    from datachef.core import FinishedRun
    from datachef.plugins.report.samples import RejectedRows


def sample(
    recipe: RecipeFile,
    rows: Annotated[
        int, typer.Option("--rows", "-n", min=1, help="Rows to draw of each source.")
    ] = 100,
    examples: Annotated[
        int, typer.Option(min=0, help="Rows to show of each reason and change.")
    ] = 2,
    output: Annotated[
        str | None,
        typer.Option(
            "--output",
            "-o",
            metavar="PATH",
            help="The sampled corpus, a folder or a URL; corpus/NAME.sample by default.",
        ),
    ] = None,
    pool: PoolFile = None,
    overrides: Overrides = None,
    cache: CachePlace = None,
    as_json: AsJson = False,
) -> None:
    """Run a recipe on a few rows of each source and show what each step did with them.

    For each step: how many rows it kept, dropped and why, and changed, with examples. The sampled
    corpus stays in its folder, for `chef report`.
    """
    from datachef.core import FinishedRun, run_recipe
    from datachef.core.run.runner import UnfitError

    try:
        result = run_recipe(
            recipe,
            output,
            host=get_host(),
            pool=pool,
            overrides=overrides or [],
            engine="inline",
            cache=cache,
            sample=rows,
        )
    except UnfitError as error:
        if error.kept is not None and not as_json:
            _print(_steps(FinishedRun.open_failed(error.kept), examples))
        raise
    run = result.opened
    if as_json:
        print_json(_data(run, examples))
    else:
        _print(_steps(run, examples))
        _print(_corpus(run, examples))


def _print(lines: Iterator[Any]) -> None:
    out = console()
    for line in lines:
        out.print(line, soft_wrap=True)


def _data(run: FinishedRun, examples: int) -> dict[str, Any]:
    """What is shown, as JSON-ready data."""
    from dataclasses import asdict

    from datachef.plugins.report.samples import changed, rejected

    return {
        "folder": str(run.place),
        "samples": run.manifest["samples"],
        "ledger": run.ledger_data,
        "rejected": [asdict(rows) for rows in rejected(run, examples, 2_000)],
        "changed": [asdict(rows) for rows in changed(run, examples, 2_000)],
        "shares": [share.to_data() for share in run.shares],
        "warnings": [warning.to_data() for warning in run.warnings],
        "corpus": run.corpus.head(examples).collect().to_dicts(),
    }


def _steps(run: FinishedRun, examples: int) -> Iterator[Any]:
    """A paragraph for each step."""
    from rich.text import Text

    from datachef.core.escaping import one_line
    from datachef.plugins.report.excerpts import change
    from datachef.plugins.report.samples import changed, rejected

    width = console().width
    changes = {rows.step: rows for rows in changed(run, examples, 2_000)}
    gone: dict[str, list[RejectedRows]] = {}
    for rejects in rejected(run, examples, 2_000):
        gone.setdefault(rejects.step, []).append(rejects)
    for entry in run.ledger:
        line = Text.assemble((f"{entry.path} ", "bold"), entry.op)
        line.append(f": {entry.rows_in:,} rows in, {entry.rows_out:,} kept")
        line.append(f", {entry.created:,} made" if entry.created else "")
        yield line
        for rejects in gone.get(entry.path, ()):
            yield Text(f"   {rejects.outcome} {rejects.count:,}: {one_line(rejects.reason)}", "red")
            for row in rejects.shown:
                yield from _rejected(row, width)
        if (rows := changes.get(entry.path)) is not None and rows.changed:
            yield Text(f"   changed {rows.changed:,}", "cyan")
            for changed_row in rows.shown:
                yield from change(changed_row, width)
        for name, count in entry.counted.items():
            yield Text(f"   {one_line(name)} {count:,}", "dim")


def _corpus(run: FinishedRun, examples: int) -> Iterator[Any]:
    """What is left in the end."""
    from datachef.core.cli.display import place, shares_table
    from datachef.plugins.report.composition import some_rows
    from datachef.plugins.report.excerpts import excerpt

    for _, text in some_rows(run)[:examples]:
        yield excerpt(text, console().width)
    if any(share.asked is not None for share in run.shares):
        yield shares_table([share.to_data() for share in run.shares])
    yield from map(str, run.warnings)
    yield place(run.place)


def _rejected(row: dict[str, Any], width: int) -> Iterator[Any]:
    """A row with what decided on it."""
    from datachef.plugins.report.excerpts import excerpt

    where = f"{row['file']}:{row['line']}" if row["file"] else ""
    measured = ", ".join(f"{name} {value}" for name, value in row["signals"].items())
    why = "; ".join(filter(None, (where, measured, row["detail"])))
    if why:
        yield excerpt(why, width, style="dim")
    yield excerpt(row["text"], width)
