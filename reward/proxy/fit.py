"""Fits the proxy to a history of measurements, and reports how far to trust it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import polars as pl

from datachef.core.contracts.task import Task
from datachef.core.errors import DatachefError
from datachef.reward.evaluation.evaluator import task_key
from datachef.reward.history import History, measured_alike, measurement_key
from datachef.reward.measurement import MeasurementRecord
from datachef.reward.noise import ScoreNoise, noise_of
from datachef.reward.proxy import Proxy, Validation, cross_validate
from datachef.reward.proxy.transfer import FEWEST_TASKS, TransferPrior
from datachef.reward.score_kinds import LIKELIHOOD

FEWEST_MEASURED = 6  # recipes of a task that a proxy is fitted to

# Measurements are few: the proxy learns from features of similarity and of size alone. Quantiles of
# signals are for people who read an explanation.
LEARNED_FEATURES = (
    "target.", "share.", "verifier.value", "chat_share", "log_unique_tokens", "epochs",
    "duplicate_share", "gram_entropy", "language_entropy",
)  # fmt: skip


@dataclass(frozen=True)
class FitReport:
    """How well the proxy predicts held-out recipes: `by_recipe` within each task, `by_task` the
    recipes of a task from measurements of the other tasks, None where there are too few tasks; a
    task whose scores are chance for the most part teaches none. `noise` bounds both."""

    by_recipe: dict[str, Validation]
    by_task: Validation | None
    noise: dict[str, ScoreNoise]

    def to_data(self) -> dict[str, Any]:
        """As plain data."""
        return asdict(self)


def can_fit(history: History, task: Task) -> bool:
    """Whether enough recipes were measured for a proxy of the task."""
    return _recipes(task_measurements(history, task)) >= FEWEST_MEASURED


def is_worth_fitting(history: History, task: Task) -> bool:
    """Whether `fit_proxy` has enough recipes, whose scores are not known to be chance."""
    found = task_measurements(history, task)
    return _recipes(found) >= FEWEST_MEASURED and noise_of(found).measurable is not False


def fit_proxy(
    history: History, task: Task, seed: int = 0, codes: Mapping[str, str] | None = None
) -> Proxy:
    """The proxy of a task; `codes` are those of the features of plugins, as they are now.

    Raises `DatachefError` where too little was measured, and where the scores of the task are
    known to be chance for the most part.
    """
    found = task_measurements(history, task)
    recipes = _recipes(found)
    if recipes < FEWEST_MEASURED:
        raise DatachefError(
            f"{recipes} recipes were measured for {task.name} in {history.path}",
            f"chef evaluate at least {FEWEST_MEASURED}; 30 make a useful proxy",
        )
    if (noise := noise_of(found)).measurable is False:
        raise DatachefError(
            f"{task.name} is {noise.verdict}: recipes differ by {noise.between_recipes:.4f}, and "
            f"seeds of one by {noise.between_seeds:.4f}",
            "measure with a larger base model, more items or more tokens of training",
        )
    proxy = Proxy.fit(
        feature_table(found, codes),
        np.array([measured.score for measured in found]),
        groups=[measured.recipe_key for measured in found],
        seed=seed,
    )
    return proxy.model_copy(update={"learned_from": tuple(map(measurement_key, found))})


def fit_prior(history: History, task: Task) -> TransferPrior | None:
    """What the measurements of all other tasks say about this one; None where fewer than two teach.

    Those of one task that were made alike count, as for a proxy; none does whose scores are known
    to be chance.
    """
    own, by_task = task_key(task), defaultdict(list)
    for measured in history.measurements():
        if measured.task_key != own:
            by_task[measured.task_key].append(measured)
    teaching = _teaching([comparable_measurements(all_) for all_ in by_task.values()])
    if len(teaching) < FEWEST_TASKS:
        return None
    found = [measured for alike in teaching for measured in alike]
    return TransferPrior.fit(
        feature_table(found),
        np.array([measured.score for measured in found]),
        [measured.task_key for measured in found],
    )


def fit_report(
    history: History,
    task: Task | None = None,
    seed: int = 0,
    codes: Mapping[str, str] | None = None,
) -> FitReport:
    """Cross-validation over one task, or over all that were measured enough; `codes` as for
    `fit_proxy`.

    Raises `DatachefError` where there is none.
    """
    measured_for = defaultdict(list)
    for measured in history.measurements(task_key=task_key(task) if task is not None else None):
        measured_for[measured.task_key].append(measured)
    chosen = [
        alike
        for all_ in measured_for.values()
        if _recipes(alike := comparable_measurements(all_)) >= FEWEST_MEASURED
    ]
    if not chosen:
        raise DatachefError(
            f"no task has {FEWEST_MEASURED} measured recipes in {history.path}",
            "chef evaluate measures",
        )
    by_recipe = {}
    for alike in chosen:
        report = cross_validate(**_columns(alike, codes), seed=seed, by=("recipe",))
        if report.by_recipe is not None:
            by_recipe[alike[0].task] = report.by_recipe
    noise = {alike[0].task: noise_of(alike) for alike in chosen}
    teaching = _teaching(chosen)
    found = [measured for alike in teaching for measured in alike]
    by_task = None
    if len(teaching) > FEWEST_TASKS:
        by_task = cross_validate(**_columns(found, codes), seed=seed, by=("task",)).by_task
    return FitReport(by_recipe, by_task, noise)


def validate_proxy(
    history: History,
    task: Task,
    proxy: Proxy,
    seed: int = 0,
    codes: Mapping[str, str] | None = None,
) -> Validation | None:
    """How well a proxy of the task predicts all that was measured: every recipe by one that is
    fitted without it to what this proxy learned from. None where that is too little."""
    found = task_measurements(history, task)
    taught = [measurement_key(measured) in proxy.learned_from for measured in found]
    columns = _columns(found, codes)
    return cross_validate(**columns, seed=seed, by=("recipe",), teaching=taught).by_recipe


def _teaching(tasks: Sequence[list[MeasurementRecord]]) -> list[list[MeasurementRecord]]:
    """The tasks whose scores are not known to be chance for the most part."""
    return [alike for alike in tasks if noise_of(alike).measurable is not False]


def _columns(found: Sequence[MeasurementRecord], codes: Mapping[str, str] | None) -> dict[str, Any]:
    return {
        "features": feature_table(found, codes),
        "scores": np.array([measured.score for measured in found]),
        "recipes": [measured.recipe_key for measured in found],
        "tasks": [measured.task for measured in found],
    }


def task_measurements(history: History, task: Task) -> list[MeasurementRecord]:
    """What a proxy of the task learns from."""
    return comparable_measurements(history.measurements(task_key=task_key(task)))


def comparable_measurements(measurements: Sequence[MeasurementRecord]) -> list[MeasurementRecord]:
    """Those made in the way in which most were made: scores of another kind, of other base models,
    or after other training, are not comparable. Where there are others, likelihoods do not count:
    they measure the form of an answer."""
    return max(
        measured_alike(measurements),
        key=lambda alike: (alike[0].score_name != LIKELIHOOD, len(alike)),
        default=[],
    )


def feature_table(
    measurements: Sequence[MeasurementRecord], codes: Mapping[str, str] | None = None
) -> pl.DataFrame:
    """One row per measurement with its `LEARNED_FEATURES`, and those of the features of plugins
    that the code in `codes` gave; null where one is unknown."""
    names = sorted(
        {
            name
            for measured in measurements
            for name in measured.features
            if name.startswith(LEARNED_FEATURES)
        }
    )
    columns = {name: [one.features.get(name) for one in measurements] for name in names}
    for name, code in (codes or {}).items():
        columns[name] = [
            one.features.get(name) if one.versions.get(name) == code else None
            for one in measurements
        ]
    return pl.DataFrame(columns, schema=dict.fromkeys(columns, pl.Float64))


def _recipes(measurements: Sequence[MeasurementRecord]) -> int:
    return len({measured.recipe_key for measured in measurements})
