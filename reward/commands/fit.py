"""`chef fit`: fits the proxy to measurements, and reports how far to trust it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from datachef.core.cli.state import AsJson, console, get_host, print_json

if TYPE_CHECKING:
    from datachef.reward.proxy import Validation
    from datachef.reward.proxy.fit import FitReport, ScoreNoise


def register(app: typer.Typer) -> None:
    app.command("fit")(fit)


def fit(
    history: Annotated[
        Path, typer.Option("--history", help="Measurements that chef evaluate recorded.")
    ] = Path("history.sqlite"),
    task: Annotated[
        Path | None, typer.Option("--task", help="Only what was measured for this task.yaml.")
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Where to save the proxy of the task.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Draws folds and bootstrap samples.")] = 0,
    as_json: AsJson = False,
) -> None:
    """Fit the proxy to what was measured, and report how well it predicts what it has not seen."""
    from datachef.core import DatachefError
    from datachef.core.recipe.resolving import read_task
    from datachef.reward.config import require_packages

    require_packages()
    from datachef.reward.history import History
    from datachef.reward.proxy.fit import fit_proxy, fit_report

    chosen = read_task(task, get_host()) if task is not None else None
    if output is not None and chosen is None:
        raise DatachefError("a saved proxy is for one task", "give --task")
    store = History(history)
    report = fit_report(store, chosen, seed)
    if output is not None and chosen is not None:
        import orjson

        from datachef.core.system.outputs import write_file
        from datachef.reward.proxy import Proxy

        raw = orjson.dumps(fit_proxy(store, chosen, seed).to_data())
        write_file(output, raw, "proxy", lambda known: bool(Proxy.from_data(orjson.loads(known))))
    if as_json:
        print_json(report.to_data())
        return
    _show(report)
    if output is not None:
        print(output)


def _show(report: FitReport) -> None:
    from rich.table import Table

    table = Table(header_style="bold")
    table.add_column("predicted")
    for name in ("recipes", "rank correlation", "top-1 regret", "coverage", "noise"):
        table.add_column(name, justify="right")
    for task, found in report.by_recipe.items():
        table.add_row(f"recipes of {task}", *_figures(found), _noise(report.noise[task]))
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


def _noise(noise: ScoreNoise) -> str:
    if noise.between_seeds is None:
        return "unknown"
    return f"{noise.between_seeds:.4f} of {noise.between_recipes:.4f}"
