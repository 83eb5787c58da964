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

    At its end, searches get as many reward calls to compare with, and the output holds the best
    recipes and a page (report.html) with the curves.

    On several GPUs: accelerate launch -m datachef.core.cli train train.yaml
    """
    from datachef.core.registry.factories import build_reward
    from datachef.core.system.outputs import OutputFolder, refuse_places
    from datachef.core.system.paths import default_cache
    from datachef.policy.model import policy_model, require_model
    from datachef.policy.reports.training import TrainingReport
    from datachef.policy.scored_recipes import RecipeTask, ScoreTracker
    from datachef.policy.settings import PAGE, TRAINING

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
        from datachef.policy.training.results import score_baselines, write_results
        from datachef.policy.training.train import train as learn

        with locked(wanted.output) if first else nullcontext():
            if first:
                OutputFolder.open(wanted.output, TRAINING)
            model = policy_model(wanted.model, recipe_tasks, kept, wanted.seed)
            model = cold_start.cold_start(wanted, recipe_tasks, trackers, model)
            checkpoint = learn(
                wanted, recipe_tasks, trackers, model, steps=steps, on_progress=_tell
            )
            if first:
                _say(f"scoring baselines: {', '.join(wanted.baselines) or 'none'}")
                score_baselines(wanted, recipe_tasks, trackers)
                write_results(wanted, recipe_tasks, trackers, host)
    finally:
        _close(trackers)
    if not first:
        return
    report = TrainingReport(wanted.output, host)
    if as_json:
        print_json({"checkpoint": str(checkpoint), "best": report.best()})
        return
    for part in report.printed():
        console().print(part)
    for path in (checkpoint, wanted.output / PAGE):
        console().print(place(path), soft_wrap=True)


def load_settings(path: Path) -> TrainSettings:
    """The settings of a train.yaml, its paths resolved; mistakes in it raise `RecipeError`."""
    from datachef.core.recipe.resolving import read_typed
    from datachef.policy.settings import TrainSettings

    return read_typed(path, TrainSettings).located_in(path.absolute().parent)


def _tell(step: int, mean: float) -> None:
    _say(f"step {step}: mean reward {mean:.4f}")


def _say(what: str) -> None:
    if not is_quiet():
        print(what, file=sys.stderr, flush=True)


def _close(trackers: list[ScoreTracker]) -> None:
    for tracker in trackers:
        tracker.close()
