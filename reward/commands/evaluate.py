"""`chef evaluate`: what recipes really score, by training on their corpora."""

from __future__ import annotations

import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from datachef.core.cli.display import interval
from datachef.core.cli.state import AsJson, CacheFolder, PoolFile, console, get_host, print_json
from datachef.reward.commands.history import reference_points
from datachef.reward.commands.score import EncoderName, RecipeFiles, TaskFile
from datachef.reward.config import require_packages
from datachef.reward.score_kinds import REFERENCE_POINTS

if TYPE_CHECKING:
    from datachef.reward.measurement import MeasurementRecord
    from datachef.reward.scorer import RecipeReward


def register(app: typer.Typer) -> None:
    app.command("evaluate")(evaluate)


def evaluate(
    recipes: RecipeFiles,
    task: TaskFile = None,
    pool: PoolFile = None,
    base_model: Annotated[
        str | None,
        typer.Option(
            help="A checkpoint's folder, a model id on the Hugging Face Hub, or tiny: made on the "
            "spot. The task's by default."
        ),
    ] = None,
    seeds: Annotated[
        int, typer.Option(min=1, max=100, help="Number of trainings, each with its own seed.")
    ] = 3,
    items: Annotated[
        int, typer.Option(min=0, help="Questions of the benchmark to ask; 0 asks all.")
    ] = 200,
    training: Annotated[
        Path | None,
        typer.Option("--training", help="A YAML file with settings of training: LoRA, epochs, ..."),
    ] = None,
    accuracy: Annotated[
        bool, typer.Option(help="Score answers with lm-evaluation-harness, besides their bits.")
    ] = True,
    encoder: EncoderName = None,
    history: Annotated[Path, typer.Option("--history", help="Where measurements are kept.")] = Path(
        "history.sqlite"
    ),
    work: Annotated[
        Path | None,
        typer.Option("--work", help="Keep corpora in this folder; they are deleted by default."),
    ] = None,
    cache: CacheFolder = None,
    as_json: AsJson = False,
) -> None:
    """Make the whole corpus, fine-tune the base model on it, and measure the task.

    Always measures the bits per byte of the gold answers, which rank corpora even where a small
    model gets every answer wrong. What the history has already is not measured again. Unit tests
    run what the model wrote, with --allow-code alone.
    """
    require_packages()

    from datachef.core.contracts.code_permission import allowed_code
    from datachef.core.document import read
    from datachef.core.recipe.resolving import read_typed
    from datachef.core.registry.factories import build_reward
    from datachef.reward.commands.score import reward_config
    from datachef.reward.evaluation import EvaluationSettings, Training
    from datachef.reward.evaluation.evaluator import Evaluator
    from datachef.reward.history import History

    options = {} if encoder is None else {"encoder": encoder}
    config = reward_config([read(path) for path in recipes], task, pool, cache, 0, options)
    reward = cast("RecipeReward", build_reward(get_host(), "proxy", config))
    settings = EvaluationSettings(
        base_model=base_model,
        training=read_typed(training, Training) if training is not None else Training(),
        items=items,
        accuracy=accuracy,
        allow_code=allowed_code(),
    )
    with tempfile.TemporaryDirectory() as scratch:
        evaluator = Evaluator(reward, get_host(), History(history), settings, work or Path(scratch))
        found = [evaluator.measure(path, range(seeds)) for path in recipes]
    if as_json:
        print_json([asdict(measured) for one in found for measured in one])
    else:
        _show(found)


def _show(found: list[list[MeasurementRecord]]) -> None:
    from rich.table import Table

    from datachef.reward.history import score_summary

    names = sorted({name for one in found for m in one for name in m.scores})
    kind = found[0][0].score_name
    shown = [name for name in names if not name.endswith("_stderr") and name != kind]
    table = Table(header_style="bold")
    for name in ("recipe", "seeds", kind, "interval", *REFERENCE_POINTS, *shown):
        table.add_column(name, justify="left" if name == "recipe" else "right")
    for one in found:
        summary = score_summary(one)
        table.add_row(
            summary.first.recipe_name, str(len(one)), f"{summary.mean:.4f}",
            interval(summary.interval), *reference_points(summary.first),
            *(f"{summary.scores[name]:.4f}" if name in summary.scores else "" for name in shown),
        )  # fmt: skip
    console().print(table)
