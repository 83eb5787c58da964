"""`chef evolve`: recipes for one task, from nothing to the best by measurement."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from datachef.core.cli.display import duration, place
from datachef.core.cli.state import AsJson, CacheFolder, console, get_host, is_quiet, print_json
from datachef.core.distribution import extra
from datachef.core.escaping import escape_output, raw_stream

if TYPE_CHECKING:
    from datachef.policy.evolve.run_state import OnProgress, RunProgress
    from datachef.policy.settings import EvolveSettings


EvolveFile = Annotated[
    Path, typer.Argument(help="An evolve.yaml with the settings.", show_default=False)
]
NEEDED = {"trl": "training a policy", "llguidance": "a policy's grammar",
          "scipy": "intervals over seeds"}  # fmt: skip


def register(app: typer.Typer) -> None:
    app.command("evolve")(evolve)


def evolve(settings: EvolveFile, cache: CacheFolder = None, as_json: AsJson = False) -> None:
    """Train a policy in rounds, each of which measures the best recipes and refits the proxy.

    The same command continues a run that was interrupted at any moment. At the end the policy is
    compared with its baselines, by measurement.
    """
    wanted = load_evolve_settings(settings)
    _require_packages(wanted)
    from datachef.core.registry.factories import build_evaluation_backend
    from datachef.core.system.lock import locked
    from datachef.core.system.outputs import OutputFolder, refuse_places, refuse_unmarked
    from datachef.core.system.paths import default_cache
    from datachef.policy.model import policy_model, require_model
    from datachef.policy.scored_recipes import RecipeTask, read_recipe
    from datachef.policy.settings import EVOLUTION, PAGE

    host, kept = get_host(), (cache or default_cache()).absolute()
    refuse_places(wanted.output, [("the cache", kept)])
    with locked(wanted.output):
        refuse_unmarked(wanted.output, EVOLUTION)
        require_model(wanted.train.model)
        (chosen,) = wanted.train.tasks
        recipe_task = RecipeTask.load(host, chosen.task, chosen.pool, wanted.train.limits)
        recipe_task.human_drafts(wanted.train)
        for path in wanted.human_recipes:
            read_recipe(path)
        folder = settings.absolute().parent
        config = wanted.evaluation_config(folder=folder, cache=kept, plugin_files=host.files)
        backend = build_evaluation_backend(host, wanted.evaluation_backend, config)
        # These take seconds to import, and a mistake in the settings is reported before.
        from datachef.policy.evolve.loop import evolve as run
        from datachef.policy.evolve.report import best_effects, write_report
        from datachef.policy.reports.evolution import EvolutionReport

        model = policy_model(wanted.train.model, [recipe_task], kept, wanted.train.seed)
        OutputFolder.open(wanted.output, EVOLUTION).claim(PAGE)
        with locked(wanted.train.output), show_progress(wanted) as on_progress:
            result = run(wanted, recipe_task, backend, model, on_progress)
        effects = best_effects(result, recipe_task, backend, wanted)
        report = write_report(result, recipe_task, wanted.output, host, effects)
    if as_json:
        print_json(report)
        return
    for part in EvolutionReport(wanted.output, host).printed():
        console().print(part, soft_wrap=isinstance(part, str))
    for name in ("report.md", PAGE):
        console().print(place(wanted.output / name), soft_wrap=True)


def load_evolve_settings(path: Path) -> EvolveSettings:
    """The settings of an evolve.yaml, its paths resolved; mistakes in it raise `RecipeError`."""
    from datachef.core.recipe.resolving import read_typed
    from datachef.policy.settings import EvolveSettings

    return read_typed(path, EvolveSettings).located_in(path.absolute().parent)


def _require_packages(settings: EvolveSettings) -> None:
    """Raises `MissingPackageError` now, and not after hours."""
    import importlib.util

    from datachef.core.errors import MissingPackageError

    needed = NEEDED | ({"optuna": "the TPE search"} if "tpe" in settings.baselines else {})
    for module, what in needed.items():
        if importlib.util.find_spec(module) is None:
            raise MissingPackageError(module, extra("policy"), what)


@contextmanager
def show_progress(settings: EvolveSettings) -> Iterator[OnProgress]:
    """Yields the function that shows how a run stands, on standard error."""
    if is_quiet():
        yield lambda progress: None
        return
    if not raw_stream(sys.stderr).isatty():
        yield lambda progress: print(line(progress), file=sys.stderr, flush=True)
        return
    from rich.live import Live

    with Live(console=console(errors=True), refresh_per_second=4, transient=True) as live:
        escape_output()  # rich has put streams of its own in place of ours
        yield lambda progress: live.update(view(progress, settings))


def line(progress: RunProgress) -> str:
    """The progress of a run in one line."""
    said = [f"round {progress.round} of {progress.rounds}"]
    if progress.steps:
        said.append(f"step {progress.step} of {progress.steps}")
    if progress.mean is not None:
        said.append(f"mean {progress.mean:.4f}")
    if progress.best is not None:
        said.append(f"best {progress.best:.4f}")
    said += [f"{progress.calls:,} calls", f"{progress.evaluations:,} evaluations"]
    if progress.measured is not None:
        said.append(f"best measured {progress.measured:.4f}")
    said.append(duration(progress.seconds))
    return f"{progress.doing} | {', '.join(said)}" + (
        f"; {progress.forecast}" if progress.forecast else ""
    )


def view(progress: RunProgress, settings: EvolveSettings) -> Any:
    """The progress of a run and what is left of its budget, as a table that is redrawn."""
    from rich.spinner import Spinner
    from rich.table import Table
    from rich.text import Text

    budget = settings.budget
    table = Table.grid(padding=(0, 2))
    table.add_row(Spinner("dots"), Text(progress.doing, style="bold"), "")
    rows = [
        ("round", f"{progress.round} of {progress.rounds}", ""),
        ("step", f"{progress.step} of {progress.steps}", ""),
        ("reward", f"mean {_so_far(progress.mean)}, best {_so_far(progress.best)}", ""),
        ("calls", f"{progress.calls:,}", _left(budget.reward_calls, progress.calls)),
        (
            "evaluations",
            f"{progress.evaluations:,}",
            _left(budget.evaluations, progress.evaluations),
        ),
        ("best measured", _so_far(progress.measured), ""),
        ("time", duration(progress.seconds), _time_left(budget.minutes, progress.seconds)),
    ]
    for name, value, left in rows:
        table.add_row(name, value, Text(left, style="dim"))
    if progress.forecast:
        table.add_row("forecast", Text(progress.forecast), "")
    return table


def _so_far(value: float | None) -> str:
    return "none yet" if value is None else f"{value:.4f}"


def _left(limit: int | None, spent: int) -> str:
    return "" if limit is None else f"{max(limit - spent, 0):,} left"


def _time_left(minutes: float | None, seconds: float) -> str:
    return "" if minutes is None else f"{duration(max(60 * minutes - seconds, 0.0))} left"
