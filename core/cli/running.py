"""`chef run`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from datachef.core.cli.completion import words
from datachef.core.cli.state import (
    AsJson,
    CachePlace,
    Overrides,
    PoolFile,
    RecipeFile,
    bytes_of,
    console,
    get_host,
    is_quiet,
    print_json,
)
from datachef.core.contracts.engine import STALL_LIMIT

# How many of the fields that were left out are printed; --json has them all.
_SHOWN_FIELDS = 20


def register(app: typer.Typer) -> None:
    app.command("run")(run)


def run(
    recipe: RecipeFile,
    output: Annotated[
        str | None,
        typer.Option(
            "--output",
            "-o",
            metavar="PATH",
            help="The corpus, a folder or s3://BUCKET/NAME and the like; corpus/NAME by default.",
        ),
    ] = None,
    pool: PoolFile = None,
    overrides: Overrides = None,
    engine: Annotated[
        str,
        typer.Option(
            help="Engine that carries out the work.",
            autocompletion=words(lambda: get_host().named("datachef_engines")),
        ),
    ] = "local",
    workers: Annotated[
        int | None,
        typer.Option("--workers", "-w", min=1, help="Processes; one per core by default."),
    ] = None,
    cache: CachePlace = None,
    sample: Annotated[
        int | None,
        typer.Option(
            min=1,
            metavar="ROWS",
            help="Run on this many rows of each source, into corpus/NAME.sample by default.",
        ),
    ] = None,
    stall_limit: Annotated[
        float,
        typer.Option(
            min=0,
            metavar="SECONDS",
            help="End a worker that makes no progress for this long; 0 only warns.",
        ),
    ] = STALL_LIMIT,
    worker_memory: Annotated[
        int | None,
        typer.Option(
            parser=bytes_of,
            metavar="SIZE",
            help="Memory that a worker may allocate, such as 4GB; all of the machine's by default.",
        ),
    ] = None,
    address: Annotated[
        str | None,
        typer.Option(help="Cluster of the engines ray and dask: local, or the address of one."),
    ] = None,
    partition: Annotated[
        str | None, typer.Option(help="Partition of the cluster of the engine slurm.")
    ] = None,
    shard: Annotated[
        str | None,
        typer.Option(
            metavar="I/N",
            help="Do the part I of N that share the work by their cache; 0/N writes the corpus.",
        ),
    ] = None,
    shard_patience: Annotated[
        float | None,
        typer.Option(
            min=1,
            metavar="SECONDS",
            help="Do the part of another shard after it gave no sign of life for this long; 600 "
            "by default.",
        ),
    ] = None,
    log_file: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Append each event of the run to it, as JSON lines."),
    ] = None,
    metrics_file: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.prom",
            help="Keep metrics for Prometheus in it, as its textfile collector reads them.",
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Run a recipe and print its ledger. What is done already is not done again.

    Exit codes: 0 done, 1 the command could not be carried out, 2 the recipe has problems or the
    command line is wrong, 3 a plugin is broken, 4 the run could not finish for its rows or steps,
    or no row is left, 5 a server, the network or the machine failed, 130 interrupted.
    """
    from datachef.core.api import run_recipe
    from datachef.core.cli.progress import observers
    from datachef.core.run.monitoring import EventLog, MetricsFile

    watching = observers()
    if log_file is not None:
        watching.append(EventLog(log_file))
    if metrics_file is not None:
        watching.append(MetricsFile(metrics_file))
    options = {"address": address, "partition": partition}
    result = run_recipe(
        recipe,
        output,
        host=get_host(),
        pool=pool,
        overrides=overrides or [],
        engine=engine,
        workers=workers,
        cache=cache,
        observers=watching,
        stall_limit=stall_limit or None,
        worker_memory=worker_memory,
        sample=sample,
        engine_options={name: value for name, value in options.items() if value is not None},
        shard=shard,
        shard_patience=shard_patience,
    )
    if as_json:
        print_json(result.to_data())
    elif is_quiet():
        from datachef.core.cli.display import place

        print(place(result.place))
    else:
        _show(result)


def _show(result: Any) -> None:
    from datachef.core.cli.display import accounts, duration, place, size
    from datachef.core.escaping import one_line

    out = console()
    data = result.to_data()
    for part in accounts(data["ledger"], data["shares"], data["language_models"], result.warnings):
        out.print(part, soft_wrap=isinstance(part, str))
    speed = f" ({size(int(result.bytes_read / result.seconds))}/s)" if result.bytes_read else ""
    out.print(
        f"{result.rows:,} rows, {result.tokens:,} tokens in {duration(result.seconds)}{speed}; "
        f"{result.partitions_cached} of {result.partitions} partitions were in the cache"
    )
    for source, fields in result.ignored_fields.items():
        names = [f"{one_line(name)} ({count:,})" for name, count in sorted(fields.items())]
        more = f" and {len(names) - _SHOWN_FIELDS:,} more" if len(names) > _SHOWN_FIELDS else ""
        named = ", ".join(names[:_SHOWN_FIELDS]) + more
        out.print(f"left out of {source}, not in its first rows or not supported: {named}")
    out.print(place(result.place), soft_wrap=True)
