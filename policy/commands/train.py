"""`chef train`: a policy learns to write recipes for one or several tasks."""

from __future__ import annotations

import os
import sys
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from datachef.core.cli.display import place
from datachef.core.cli.state import AsJson, CacheFolder, console, get_host, is_quiet, print_json

if TYPE_CHECKING:
    from datachef.policy.scored_recipes import ScoreTracker
    from datachef.policy.settings import TrainSettings
    from datachef.policy.training.environment import LoggedRecipe

SettingsFile = Annotated[
    Path, typer.Argument(help="A train.yaml with the settings.", show_default=False)
]


def register(app: typer.Typer) -> None:
    app.command("train")(train)


def train(
    settings: SettingsFile,
    steps: Annotated[
        int | None,
        typer.Option(min=1, help="Train until this step; `steps` of the settings by default."),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Build everything but models and reward, and stop.")
    ] = False,
    cache: CacheFolder = None,
    as_json: AsJson = False,
) -> None:
    """Train a policy by reinforcement learning. The same command continues a training.

    On several GPUs: accelerate launch -m datachef.core.cli train train.yaml
    """
    from datachef.core.api import default_cache
    from datachef.core.registry.factories import build_reward
    from datachef.core.system.outputs import OutputFolder, refuse_places
    from datachef.policy.model import policy_model, require_model
    from datachef.policy.scored_recipes import RecipeTask, ScoreTracker

    wanted = load_settings(settings)
    host, kept = get_host(), (cache or default_cache()).absolute()
    recipe_tasks = [
        RecipeTask.load(host, each.task, each.pool, wanted.limits) for each in wanted.tasks
    ]
    refuse_places(wanted.output, [("the cache", kept)])
    for each in recipe_tasks:
        each.human_drafts(wanted)
    if dry_run:
        for each in recipe_tasks:
            size = f"{len(each.space.sources)} sources, {len(each.space.operators)} operators"
            console().print(f"{each.name}: {size}")
        return
    require_model(wanted.model)
    trackers = []
    for each in recipe_tasks:
        config = wanted.reward.config(
            each.task,
            each.pool,
            folder=settings.absolute().parent,
            cache=kept,
            plugin_files=host.files,
            seed=wanted.seed,
        )
        scorer = build_reward(host, wanted.reward.name, config)
        trackers.append(ScoreTracker(scorer, each.pool.parent))
    # Of the processes that `accelerate launch` started the first one holds it for all.
    first = os.environ.get("RANK", "0") == "0"
    try:
        from datachef.core.language_models.checkpoint import training_package
        from datachef.core.system.lock import locked

        # These take seconds to import, and a mistake in the settings is reported before.
        training_package("trl")
        from datachef.policy.training import cold_start
        from datachef.policy.training.environment import read_log
        from datachef.policy.training.train import TRAINING, train as learn

        with locked(wanted.output) if first else nullcontext():
            if first:
                OutputFolder.open(wanted.output, TRAINING)
            model = policy_model(wanted.model, recipe_tasks, kept, wanted.seed)
            model = cold_start.cold_start(wanted, recipe_tasks, trackers, model)
            checkpoint = learn(
                wanted, recipe_tasks, trackers, model, steps=steps, on_progress=_tell
            )
    finally:
        _close(trackers)
    log = read_log(wanted.output)
    if as_json:
        print_json({"checkpoint": str(checkpoint), "best": [_plain(row) for row in _best(log)]})
        return
    _show(log)
    console().print(place(checkpoint), soft_wrap=True)


def load_settings(path: Path) -> TrainSettings:
    """The settings of a train.yaml, its paths resolved; mistakes in it raise `RecipeError`."""
    from datachef.core.recipe.resolving import read_typed
    from datachef.policy.settings import TrainSettings

    return read_typed(path, TrainSettings).located_in(path.absolute().parent)


def _tell(step: int, mean: float) -> None:
    if not is_quiet():
        print(f"step {step}: mean reward {mean:.4f}", file=sys.stderr, flush=True)


def _close(trackers: list[ScoreTracker]) -> None:
    for tracker in trackers:
        tracker.close()


def _best(log: list[LoggedRecipe]) -> list[LoggedRecipe]:
    """The best recipe of each task."""
    best: dict[str, LoggedRecipe] = {}
    for row in log:
        if row.task not in best or row.value > best[row.task].value:
            best[row.task] = row
    return list(best.values())


def _plain(row: LoggedRecipe) -> dict[str, object]:
    return {"task": row.task, "step": row.step, "value": row.value, "recipe": row.recipe}


def _show(log: list[LoggedRecipe]) -> None:
    from statistics import fmean

    from rich.table import Table

    table = Table(header_style="bold")
    table.add_column("task")
    for name in ("recipes", "mean of the first step", "mean of the last step", "best"):
        table.add_column(name, justify="right")
    for best in _best(log):
        rows = [row for row in log if row.task == best.task]
        first, last = (
            fmean(row.value for row in rows if row.step == step)
            for step in (rows[0].step, rows[-1].step)
        )
        table.add_row(
            best.task, f"{len(rows):,}", f"{first:.4f}", f"{last:.4f}", f"{best.value:.4f}"
        )
    console().print(table)
