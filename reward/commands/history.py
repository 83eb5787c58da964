"""`chef history`: what was really measured."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from datachef.core.cli.completion import tasks
from datachef.core.cli.display import interval
from datachef.core.cli.state import AsJson, console, get_host, print_json
from datachef.reward.config import require_packages
from datachef.reward.score_kinds import REFERENCE_POINTS

if TYPE_CHECKING:
    from datachef.reward.history import History, ScoreSummary
    from datachef.reward.measurement import MeasurementRecord
    from datachef.reward.noise import ScoreNoise
    from datachef.reward.proxy import Validation
    from datachef.reward.proxy.fit import FitReport


HistoryPath = Annotated[Path, typer.Option("--history", help="The history, an SQLite file.")]
DEFAULT = Path("history.sqlite")


def register(app: typer.Typer) -> None:
    group = typer.Typer(
        help="Show, compare and exchange what was really measured.", no_args_is_help=True
    )
    for command in (list_, best, compare, noise, export, import_):
        group.command(command.__name__.rstrip("_"))(command)
    app.add_typer(group, name="history")
    app.command("fit")(fit)


def list_(history: HistoryPath = DEFAULT, as_json: AsJson = False) -> None:
    """List every measurement, in the order in which they were made."""
    found = _opened(history).measurements()
    if as_json:
        print_json([asdict(measured) for measured in found])
        return
    from rich.table import Table

    table = Table(header_style="bold")
    for name in ("id", "task", "recipe", "base model", "seed", "score", "kind", "tokens", "time"):
        table.add_column(name, justify="left" if name in _WORDS else "right")
    for measured in found:
        table.add_row(
            str(measured.id), measured.task, measured.recipe_name,
            measured.base_model, str(measured.seed), f"{measured.score:.4f}", measured.score_name,
            f"{measured.corpus.get('tokens', 0):,}", f"{measured.seconds:.0f} s",
        )  # fmt: skip
    console().print(table)


def best(
    task: Annotated[str, typer.Argument(help="The name of a task.", show_default=False)],
    history: HistoryPath = DEFAULT,
    number: Annotated[
        int, typer.Option("--number", "-n", min=1, help="Number of recipes to list.")
    ] = 10,
    as_json: AsJson = False,
) -> None:
    """Rank the recipes of a task by their mean score over seeds."""
    found = _opened(history).best(task, number)
    if as_json:
        print_json([_summary(summary) for summary in found])
    else:
        _show(found)


def compare(
    recipes: Annotated[
        list[str], typer.Argument(help="Names of recipes, or ids.", show_default=False)
    ],
    history: HistoryPath = DEFAULT,
    as_json: AsJson = False,
) -> None:
    """Compare recipes with the first of them, seed by seed."""
    which = [int(one) if one.isdecimal() else one for one in recipes]
    found = _opened(history).compare(which)
    if as_json:
        differences = [
            {
                "recipe": difference.second.first.recipe_name,
                "beside": difference.first.first.recipe_name,
                "difference": difference.mean,
                "interval": difference.interval,
                "seeds": difference.seeds,
            }
            for difference in found.differences
        ]
        summaries = [_summary(summary) for summary in found.summaries]
        print_json({"summaries": summaries, "differences": differences})
        return
    _show(found.summaries)
    for apart in found.differences:
        console().print(
            f"{apart.second.first.recipe_name} is {apart.mean:+.4f} beside "
            f"{apart.first.first.recipe_name} over {apart.seeds} seeds {interval(apart.interval)}",
        )


def noise(history: HistoryPath = DEFAULT, as_json: AsJson = False) -> None:
    """Tell of each task whether its scores are more than chance.

    Compares how far apart recipes score with how far apart seeds of one recipe do. A task that is
    not measurable at this scale teaches no proxy.
    """
    from datachef.reward.history import measured_alike
    from datachef.reward.noise import noise_of

    found = [(one[0], noise_of(one)) for one in measured_alike(_opened(history).measurements())]
    if as_json:
        print_json([
            {"task": first.task, "base_model": first.base_model, "score_name": first.score_name}
            | asdict(apart) | {"signal": apart.signal, "measurable": apart.measurable}
            for first, apart in found
        ])  # fmt: skip
        return
    from rich.table import Table

    table = Table(header_style="bold")
    for name in ("task", "base model", "kind", "between recipes", "between seeds", "signal", ""):
        table.add_column(name, justify="right" if name in _NUMBERS else "left")
    for first, apart in found:
        table.add_row(
            first.task, first.base_model, first.score_name, f"{apart.between_recipes:.4f}",
            "" if apart.between_seeds is None else f"{apart.between_seeds:.4f}",
            "" if apart.signal is None else f"{apart.signal:.1f}", apart.verdict,
        )  # fmt: skip
    console().print(table)


_NUMBERS = ("between recipes", "between seeds", "signal")


def export(
    file: Annotated[Path, typer.Argument(help="A Parquet file.", show_default=False)],
    history: HistoryPath = DEFAULT,
) -> None:
    """Write the history to a Parquet file, to be shared."""
    print(f"{file}: {_opened(history).export(file):,} measurements")


def import_(
    files: Annotated[
        list[Path],
        typer.Argument(
            help="A Parquet file of an export, or the CSV files of a swarm as Olmix reads it: "
            "RATIOS METRICS.",
            show_default=False,
        ),
    ],
    history: HistoryPath = DEFAULT,
    base_model: Annotated[
        str | None,
        typer.Option("--base-model", help="CSV: what was trained; scores of others stay apart."),
    ] = None,
    unit: Annotated[
        str,
        typer.Option("--unit", help="CSV: bits_per_byte, nats_per_token or accuracy."),
    ] = "bits_per_byte",
    metric: Annotated[
        list[str] | None, typer.Option("--metric", help="CSV: only this one; may be repeated.")
    ] = None,
    task: Annotated[
        Path | None,
        typer.Option(
            "--task", help="CSV: the task.yaml that the metric measures.", autocompletion=tasks
        ),
    ] = None,
) -> None:
    """Add measurements that the history does not have: of an export, or of runs of others."""
    from datachef.core import DatachefError
    from datachef.reward.history import History

    kept = History(history)
    if len(files) == 1:
        added = kept.import_(files[0])
    elif len(files) > 2:
        raise DatachefError(f"{len(files)} files are too many", "one Parquet file, or two of CSV")
    elif base_model is None:
        raise DatachefError("the files do not say what was trained", "give --base-model NAME")
    else:
        from datachef.core.recipe.resolving import read_task
        from datachef.reward.swarm import read_swarm

        ratios, metrics = files
        added = kept.add_new(
            read_swarm(
                ratios,
                metrics,
                base_model=base_model,
                unit=unit,
                chosen=metric or (),
                task=read_task(task, get_host()) if task is not None else None,
            )
        )
    print(f"{history}: {added:,} new measurements")


_WORDS = ("task", "recipe", "base model", "kind")


def _opened(path: Path) -> History:
    from datachef.core import DatachefError
    from datachef.reward.history import History

    if not path.is_file():
        raise DatachefError(f"there is no history {path}", "chef evaluate makes one")
    return History(path)


def reference_points(measured: MeasurementRecord) -> Iterator[str]:
    """The cells of chance, base and ceiling; empty where unknown."""
    for name in REFERENCE_POINTS:
        value = getattr(measured, name)
        yield "" if value is None else f"{value:.4f}"


def _summary(summary: ScoreSummary) -> dict[str, Any]:
    return {
        "recipe": summary.first.recipe_name,
        "task": summary.first.task,
        "base_model": summary.first.base_model,
        "score": summary.mean,
        "score_name": summary.first.score_name,
        "chance": summary.first.chance,
        "base": summary.first.base,
        "ceiling": summary.first.ceiling,
        "interval": summary.interval,
        "scores": dict(summary.scores),
        "seeds": [measured.seed for measured in summary.measurements],
    }


def _show(summaries: Any) -> None:
    from rich.table import Table

    table = Table(header_style="bold")
    for name in ("recipe", "base model", "seeds", "score", "interval", "kind", *REFERENCE_POINTS):
        table.add_column(name, justify="left" if name in _WORDS else "right")
    for summary in summaries:
        table.add_row(
            summary.first.recipe_name, summary.first.base_model,
            str(len(summary.measurements)), f"{summary.mean:.4f}", interval(summary.interval),
            summary.first.score_name, *reference_points(summary.first),
        )  # fmt: skip
    console().print(table)


def fit(
    history: Annotated[
        Path, typer.Option("--history", help="Measurements that chef evaluate recorded.")
    ] = Path("history.sqlite"),
    task: Annotated[
        Path | None,
        typer.Option(
            "--task", help="Only what was measured for this task.yaml.", autocompletion=tasks
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            help="Where to save the proxy of the task. One that is there stays where its refit "
            "is worse.",
        ),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Draws folds and bootstrap samples.")] = 0,
    as_json: AsJson = False,
) -> None:
    """Fit the proxy to what was measured, and report how well it predicts what it has not seen."""
    require_packages()

    import orjson

    from datachef.core import DatachefError
    from datachef.core.recipe.resolving import read_task
    from datachef.core.system.outputs import write_file
    from datachef.reward.history import History
    from datachef.reward.plugin_functions import PluginFunctions
    from datachef.reward.proxy import Proxy
    from datachef.reward.proxy.fit import fit_report, validate_proxy
    from datachef.reward.proxy.refit import refit_proxy

    codes = PluginFunctions(get_host()).codes
    chosen = read_task(task, get_host()) if task is not None else None
    if output is not None and chosen is None:
        raise DatachefError("a saved proxy is for one task", "give --task")
    store = History(history)
    report = fit_report(store, chosen, seed, codes)
    comparison = kept = None
    if output is not None and chosen is not None:
        last = None
        if output.is_file():
            with suppress(DatachefError):  # what is no proxy is refused when it is written
                last = Proxy.load(output)
        proxy = refit_proxy(store, chosen, last, seed, codes)
        raw = orjson.dumps(proxy.to_data())
        write_file(output, raw, "proxy", lambda known: bool(Proxy.from_data(orjson.loads(known))))
        comparison = proxy.comparison
        if comparison is not None and comparison.worse:
            kept = validate_proxy(store, chosen, proxy, seed, codes)
    if as_json:
        compared = comparison.model_dump(mode="json") if comparison is not None else None
        described = asdict(kept) if kept is not None else None
        print_json(report.to_data() | {"refit": compared, "kept": described})
        return
    _show_report(report, kept)
    if comparison is not None:
        print(comparison.verdict)
    if output is not None:
        print(output)


def _show_report(report: FitReport, kept: Validation | None) -> None:
    """`kept` is of the proxy that is used in place of what the report is about."""
    from rich.table import Table

    table = Table(header_style="bold")
    table.add_column("predicted")
    for name in ("recipes", "rank correlation", "top-1 regret", "coverage", "noise"):
        table.add_column(name, justify="right")
    for task, found in report.by_recipe.items():
        noise = _noise_of(report.noise[task])
        if kept is not None:
            table.add_row(f"recipes of {task}, by the proxy that is kept", *_figures(kept), noise)
        unused = ", by its refit, which is not used" if kept is not None else ""
        table.add_row(f"recipes of {task}{unused}", *_figures(found), noise)
    if report.by_task is not None:
        table.add_row("tasks from the others", *_figures(report.by_task), "")
    console().print(table)
    console().print(
        "rank correlation, regret and coverage of recipes that were left out, with 95% bootstrap\n"
        "intervals; noise: standard deviation between seeds, of that between recipes"
    )


def _figures(found: Validation) -> Iterator[str]:
    yield str(found.recipes)
    for estimate in (found.rank_correlation, found.regret, found.coverage):
        yield f"{estimate.value:.3f} [{estimate.low:.3f}, {estimate.high:.3f}]"


def _noise_of(noise: ScoreNoise) -> str:
    if noise.between_seeds is None:
        return "unknown"
    found = f"{noise.between_seeds:.4f} of {noise.between_recipes:.4f}"
    return f"{found}: {noise.verdict}" if noise.measurable is False else found
