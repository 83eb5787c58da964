"""What a training leaves beside its checkpoints: baselines, its best recipes, what each part of the
best one adds, and a page."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from datachef.core.escaping import indented_json
from datachef.core.registry.host import Host
from datachef.core.system.outputs import OutputFolder
from datachef.policy.model import PolicyCard
from datachef.policy.reports.training import TrainingReport, best_of
from datachef.policy.scored_recipes import (
    RecipeTask,
    ScoredRecipe,
    ScoreTracker,
    effect_comments,
    part_effects,
    said_of,
    with_comments,
)
from datachef.policy.search import SEARCHES, run_search
from datachef.policy.settings import (
    BASELINES,
    BEST_RECIPES,
    PAGE,
    RESULTS,
    TRAINING,
    TrainSettings,
)
from datachef.policy.training.log import RecipeLog, read_log


def score_baselines(
    settings: TrainSettings, recipe_tasks: Sequence[RecipeTask], trackers: Sequence[ScoreTracker]
) -> None:
    """Scores the recipes of every baseline of the settings, each task's as often as training did,
    and logs them in a folder of the baseline.

    A search proposes the same recipes each time: what was logged before is not scored again, and
    what a longer training needs is added.
    """
    calls = [row.task for row in read_log(settings.output)]
    for name in settings.baselines:
        folder = settings.output / BASELINES / name
        folder.mkdir(parents=True, exist_ok=True)
        log = RecipeLog(folder, 1)
        known = read_log(folder)
        for recipe_task, tracker in zip(recipe_tasks, trackers, strict=True):
            own = [row for row in known if row.task == recipe_task.name]
            tracker.remember((row.recipe, row.score) for row in own)
            search = SEARCHES[name](recipe_task.space, settings.seed)
            run_search(search, tracker, len(own))
            left = max(calls.count(recipe_task.name) - len(own), 0)
            while found := run_search(search, tracker, min(left, settings.recipes_per_step)):
                recipes, scores = [s.recipe for s in found], [s.score for s in found]
                log.add(0, recipe_task.name, recipes, scores)
                left -= len(found)


def write_results(
    settings: TrainSettings,
    recipe_tasks: Sequence[RecipeTask],
    trackers: Sequence[ScoreTracker],
    host: Host,
) -> None:
    """Writes the best recipes of every task, ready for `chef run`, and the report of the training.

    What the parts of the best recipe add takes a few more reward calls."""
    output = OutputFolder.open(settings.output, TRAINING)
    output.remove(BEST_RECIPES, edited=True)
    log = read_log(settings.output)
    effects: dict[str, Any] = {}
    for recipe_task, tracker in zip(recipe_tasks, trackers, strict=True):
        best = best_of([row for row in log if row.task == recipe_task.name])
        for rank, scored in enumerate(best, start=1):
            parts = []
            if rank == 1:
                (whole,) = tracker.score_all([scored.recipe])  # the log has a part of it
                found = ScoredRecipe(scored.recipe, whole)
                parts = part_effects(found, recipe_task, tracker.reward)
                effects[recipe_task.name] = [part.to_data() for part in parts]
            name = f"{recipe_task.name}-{rank}"
            folder = settings.output / BEST_RECIPES
            recipe = recipe_task.runnable(scored.recipe, name, folder)
            text = with_comments(recipe, effect_comments(parts), said_of(scored.score))
            output.write(f"{BEST_RECIPES}/{name}.yaml", text.encode(), edited=True)
    card = PolicyCard.of(recipe_tasks)
    facts = {
        "settings": settings.model_dump(mode="json", exclude_defaults=True),
        "vocabulary": card.vocabulary,
        "operators": card.operators,
        "effects": effects,
    }
    output.write(RESULTS, indented_json(facts))
    output.write(PAGE, TrainingReport(settings.output, host).page().encode())
