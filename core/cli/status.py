"""`chef status`: what runs are doing, from the files that they keep in the cache."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from datachef.core.cli import completion
from datachef.core.cli.state import AsJson, CachePlace, console, get_host, print_json
from datachef.core.errors import DatachefError, did_you_mean

if TYPE_CHECKING:
    from datachef.core.run.status import KnownRun


def register(app: typer.Typer) -> None:
    app.command("status")(status)


def status(
    run: Annotated[
        str | None,
        typer.Argument(
            help="The folder of a corpus, the name of a recipe or that of a run; by default all.",
            show_default=False,
            autocompletion=completion.runs,
        ),
    ] = None,
    cache: CachePlace = None,
    as_json: AsJson = False,
) -> None:
    """Show how far runs are, or how they ended; from any shell or machine that reaches the cache.

    The exit code says whether there is such a run, not how it goes.
    """
    from datachef.core.api import worker_config
    from datachef.core.run.file_store import FileStore
    from datachef.core.run.status import known_runs

    folder = FileStore.of(worker_config(get_host(), cache)).folder
    known = everything = known_runs(folder)
    if run is not None:
        known = [found for found in everything if _is_meant(found, run)]
        if not known and (Path(run) / "manifest.json").is_file():
            _show_finished(Path(run), as_json)
            return
        if not known:
            names = {found.progress["recipe"] for found in everything}
            raise DatachefError(
                f"the cache {folder.shown('')} knows of no run {run!r}",
                did_you_mean(run, names) or "give the cache of that run: --cache",
            )
    if as_json:
        print_json([found.to_data() for found in known])
    elif run is not None:
        for found in known:
            _show(found)
    else:
        _list(known, folder.shown(""))


def _is_meant(found: KnownRun, run: str) -> bool:
    names = (found.progress["recipe"], found.run, found.folder)
    return run.rstrip("/") in names or str(Path(run).resolve()) == found.folder


def _show_finished(folder: Path, as_json: bool) -> None:
    """A corpus of which the cache does not know the run: what lies in its folder."""
    from datachef.core.cli.display import duration, place
    from datachef.core.run.finished import FinishedRun

    found = FinishedRun.open(folder)
    entry = found.ledger["output"]
    result = {"rows": entry.rows_out, "tokens": entry.tokens, "seconds": found.effort["seconds"]}
    recipe = found.recipe.get("name", "")
    if as_json:
        print_json([{"folder": str(folder.resolve()), "recipe": recipe, "state": "finished",
                     "result": result}])  # fmt: skip
        return
    print(f"{place(folder.resolve())}: finished (recipe {recipe})")
    print(f"  {_result(result, duration(result['seconds']))}")


def _show(found: KnownRun) -> None:
    from datachef.core.cli.display import duration, place
    from datachef.core.cli.progress import line_of
    from datachef.core.escaping import one_line

    data, out = found.progress, console()
    lines = [f"{place(found.folder)}: {found.state} (recipe {data['recipe']}, run {found.run[:8]})"]
    since = duration(found.to_data()["seconds_since_sign_of_life"])
    match found.state:
        case "running":
            lines.append(line_of(data))
            lines.append(
                f"{data['done']:,} of {data['partitions']:,} partitions of the run are done"
            )
            lines += [
                f"no progress: {label}, in {where}" for label, where in data["stalled"].items()
            ]
            lines.append(f"by {found.holder}, last sign of life {since} ago")
        case "lost":
            lines.append(f"{data['done']:,} of {data['partitions']:,} partitions were done")
            lines.append(f"{found.holder} is gone, last sign of life {since} ago")
            lines.append("run the same command to continue")
        case "finished":
            lines.append(_result(data["result"], duration(data["seconds"])))
        case _:
            error = data["error"]
            lines.append(f"{error['message']} (exit code {error['exit_code']})")
            lines += [f"hint: {error['hint']}"] if error["hint"] else []
    out.print("\n  ".join(one_line(line) for line in lines), soft_wrap=True)


def _result(result: dict[str, Any], took: str) -> str:
    return f"{result['rows']:,} rows, {result['tokens']:,} tokens in {took}"


def _list(known: list[KnownRun], cache: str) -> None:
    from rich.table import Table

    from datachef.core.cli.display import duration, place

    if not known:
        print(f"no runs in the cache {place(cache)}")
        return
    table = Table("corpus", "recipe", "state", "done", "last sign of life", header_style="bold")
    for found in known:
        done = f"{found.progress['done']:,} of {found.progress['partitions']:,}"
        since = duration(found.to_data()["seconds_since_sign_of_life"])
        recipe = found.progress["recipe"]
        table.add_row(place(found.folder), recipe, found.state, done, f"{since} ago")
    console().print(table)
