"""What true measurements say by themselves, before any proxy: tables for the report."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np

from datachef.reward.evaluation.evaluator import TINY
from datachef.reward.history import ScoreSummary, score_summaries
from datachef.reward.measurement import MeasurementRecord
from datachef.reward.noise import noise_of
from datachef.reward.proxy.fit import comparable_measurements
from datachef.reward.proxy.validation import HeldOutTask, validation

Measurements = Sequence[MeasurementRecord]

# Below a line by more standard deviations between seeds than this is below it.
BEYOND_NOISE = 2.0
ADAPTED = "adapted-"
KINDS = {
    "single sources": "only-",
    "all sources": "all",
    "random recipes": "random-",
    "sensible recipes": "sensible-",
    "absurd recipes": "absurd-",
}


def of_model(measurements: Measurements, model: str) -> dict[str, list[MeasurementRecord]]:
    """By task, the measurements with a base model that were made alike."""
    tasks = dict.fromkeys(one.task for one in measurements if one.base_model == model)
    return {
        task: comparable_measurements(
            [one for one in measurements if (one.task, one.base_model) == (task, model)]
        )
        for task in tasks
    }


def scale_table(measurements: Measurements, model: str) -> Iterator[str]:
    """Each task's scale: between which lines its recipes lie, and how much of it is chance."""
    levels = "chance | untrained | worst | best"
    yield f"| task | score | {levels} | recipes | seeds | signal | verdict |"
    yield f"|---|---{'|--:' * 7}|---|"
    for task, found in of_model(measurements, model).items():
        noise, first = noise_of(found), found[0]
        means = [summary.mean for summary in score_summaries(found)]
        lines = (first.chance, first.base, min(means), max(means), noise.between_recipes)
        seeds, signal = noise.between_seeds, noise.signal
        yield (
            f"| {task} | {first.score_name} | {' | '.join(map(_number, lines))} | "
            f"{_number(seeds)} | {'' if signal is None else f'{signal:.1f}'} | {noise.verdict} |"
        )


def below(
    measurements: Measurements, model: str, line: Callable[[MeasurementRecord], float | None]
) -> tuple[list[str], int]:
    """The recipes whose mean is below a line by more than the noise of their task, and how many
    recipes there are."""
    names, count = [], 0
    for task, found in of_model(measurements, model).items():
        seeds = noise_of(found).between_seeds or 0.0
        for summary in score_summaries(found):
            count += 1
            level = line(summary.first)
            if level is not None and summary.mean < level - BEYOND_NOISE * seeds:
                names.append(f"{task} {summary.first.recipe_name}")
    return names, count


def wins_table(measurements: Measurements, model: str) -> Iterator[str]:
    """How often a recipe on topic, in the task's form, scores higher than another, over all pairs;
    equals count half."""
    yield f"| task | best recipe | place of the best adapted one | {' | '.join(KINDS)} |"
    yield f"|---|---|--:|{'--:|' * len(KINDS)}"
    for task, found in of_model(measurements, model).items():
        summaries = score_summaries(found)
        scores = _by_name(summaries)
        adapted = [score for name, score in scores.items() if name.startswith(ADAPTED)]
        better = sum(score > max(adapted) for score in scores.values()) if adapted else 0
        place = f"{better + 1} of {len(scores)}" if adapted else ""
        shares = (
            _won(adapted, [s for name, s in scores.items() if name.startswith(beginning)])
            for beginning in KINDS.values()
        )
        best = summaries[0].first.recipe_name
        cells = ("" if share is None else f"{share:.0%}" for share in shares)
        yield f"| {task} | {best} | {place} | {' | '.join(cells)} |"


def models_table(measurements: Measurements, larger: str) -> Iterator[str]:
    """How the cheap model ranks the recipes that a larger one was trained on too."""
    yield f"| task | recipes | rank correlation | {larger} loses by the choice of {TINY} |"
    yield "|---|--:|--:|--:|"
    cheap = of_model(measurements, TINY)
    for task, found in of_model(measurements, larger).items():
        of_larger = _by_name(score_summaries(found))
        of_cheap = _by_name(score_summaries(cheap.get(task, [])))
        both = sorted(of_larger.keys() & of_cheap.keys())
        if len(both) < 3:
            continue
        compared = HeldOutTask(
            task=task,
            measured=np.array([of_larger[name] for name in both]),
            predicted=np.array([of_cheap[name] for name in both]),
            inside=np.zeros(len(both)),
            count=np.ones(len(both)),
        )
        figures = validation([compared], 0.9, seed=0, resample_tasks=False)
        rank = figures.rank_correlation
        yield (
            f"| {task} | {len(both)} | {rank.value:.3f} [{rank.low:.3f}, {rank.high:.3f}] | "
            f"{figures.regret.value:.4f} |"
        )


def _by_name(summaries: Sequence[ScoreSummary]) -> dict[str, float]:
    return {summary.first.recipe_name: summary.mean for summary in summaries}


def _won(ours: Sequence[float], others: Sequence[float]) -> float | None:
    if not ours or not others:
        return None
    difference = np.subtract.outer(ours, others)
    return float(((difference > 0) + (difference == 0) / 2).mean())


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.4f}"
