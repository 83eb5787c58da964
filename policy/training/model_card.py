"""The card of a policy, in the folder of its checkpoint: what was trained, and how to use it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from datachef.core import document
from datachef.core.distribution import version
from datachef.core.escaping import markdown, markdown_code
from datachef.core.language_models.hub_files import MODEL_ID
from datachef.policy.model import PolicyCard
from datachef.policy.reports.curves import StepSummary, step_summaries
from datachef.policy.scored_recipes import RecipeTask
from datachef.policy.settings import TrainSettings
from datachef.policy.training.log import LoggedRecipe

# Steps of which the card tells the reward.
_STEPS = 10


def model_card(
    settings: TrainSettings, recipe_tasks: Sequence[RecipeTask], log: Sequence[LoggedRecipe]
) -> str:
    """The `README.md` of a checkpoint after the steps in the log, as the Hub reads it."""
    return "\n".join(_lines(settings, recipe_tasks, log)) + "\n"


def _lines(
    settings: TrainSettings, recipe_tasks: Sequence[RecipeTask], log: Sequence[LoggedRecipe]
) -> Iterator[str]:
    card = PolicyCard.of(recipe_tasks)
    yield "---"
    yield "library_name: transformers"
    if MODEL_ID.fullmatch(settings.model) and "/" in settings.model:
        yield f"base_model: {settings.model}"
    yield from ("tags: [datachef, reinforcement-learning]", "---", "")
    names = ", ".join(markdown(each.name) for each in recipe_tasks)
    yield from (f"# A policy that writes data recipes for {names}", "")
    yield (
        f"A language model that writes recipes of datachef {version()}: which sources to take, "
        "what to do with their rows, how to mix them. It was trained by reinforcement learning "
        f"({settings.algorithm.upper()}) on the reward {markdown_code(settings.reward.name)}, "
        "under the grammar of the operators below."
    )
    yield from ("", "## How to use it", "", "```console")
    yield "$ chef propose --task task.yaml --pool pool.yaml --policy THIS_FOLDER"
    yield from ("```", "")
    yield (
        "It also writes recipes for other tasks, pools and operators than those it has seen: the "
        "grammar is that of what is installed. `chef propose` says what is new and what is gone."
    )
    for task in recipe_tasks:
        steps = step_summaries([row for row in log if row.task == task.name])
        if steps:
            yield from ("", f"## What it learned: {markdown(task.name)}", "")
            yield from _curve(steps)
    yield from ("", "## Settings", "", "Without those at their defaults.", "")
    places: Any = {"tasks": True, "output": True, "model": True, "cold_start": {"recipes"}}
    shown = settings.model_dump(mode="json", exclude_defaults=True, exclude=places)
    origin = Path(settings.model).name if Path(settings.model).is_absolute() else settings.model
    yield from ("```yaml", document.dump({"model": origin, **shown}).rstrip(), "```")
    yield from (
        "",
        "## Vocabulary",
        "",
        f"Fingerprint {markdown_code(card.vocabulary)}, operators:",
    )
    yield from ("", ", ".join(map(markdown_code, card.operators)))


def _curve(steps: Sequence[StepSummary]) -> Iterator[str]:
    yield "| step | mean reward | best so far | distinct recipes |"
    yield "|--:|--:|--:|--:|"
    every = max(len(steps) // _STEPS, 1)
    shown = [*steps[::every], *([steps[-1]] if (len(steps) - 1) % every else [])]
    for step in shown:
        yield (
            f"| {step.step} | {step.mean:.4f} | {step.best_so_far:.4f} | "
            f"{step.distinct} of {step.recipes} |"
        )
