"""The report of an evolution: what its state says, as data, and the files that are made of it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict
from itertools import pairwise
from pathlib import Path
from statistics import fmean, variance
from typing import Any

from datachef.core.contracts.reward import EvaluationBackend, ProxyFidelity, mean_interval
from datachef.core.escaping import indented_json
from datachef.core.recipe.contributions import Contribution
from datachef.core.registry.host import Host
from datachef.core.system.outputs import OutputFolder
from datachef.policy.evolve.markdown import to_markdown
from datachef.policy.evolve.run_state import (
    CandidateMeasurement,
    EvolveResult,
    MethodResult,
    evaluations,
    measuring_seconds,
)
from datachef.policy.scored_recipes import (
    RecipeTask,
    ScoredRecipe,
    effect_comments,
    part_effects,
    with_comments,
)
from datachef.policy.settings import BEST_RECIPES, EVOLUTION, PAGE, REPORT, EvolveSettings

BEST = 5


def write_report(
    result: EvolveResult,
    recipe_task: RecipeTask,
    output: Path,
    host: Host,
    effects: Sequence[Contribution] = (),
) -> dict[str, Any]:
    """Writes `report.json`, `report.md`, the page and the best recipes into a folder, and returns
    what `report.json` contains; `effects` are what the parts of the best recipe add."""
    from datachef.policy.reports.evolution import EvolutionReport

    folder = OutputFolder.open(output, EVOLUTION)
    folder.remove(BEST_RECIPES, edited=True)
    data = report_data(result, recipe_task.name)
    data["effects"] = [part.to_data() for part in effects]
    for one in data["best"]:
        recipe = recipe_task.runnable(one["recipe"], one["name"], folder.path / BEST_RECIPES)
        parts = effects if one is data["best"][0] else ()
        folder.write(
            one["file"], with_comments(recipe, effect_comments(parts)).encode(), edited=True
        )
    folder.write(REPORT, indented_json(data))
    folder.write("report.md", to_markdown(data).encode(), edited=True)
    folder.write(PAGE, EvolutionReport(output, host).page().encode())
    return data


def best_effects(
    result: EvolveResult,
    recipe_task: RecipeTask,
    backend: EvaluationBackend,
    settings: EvolveSettings,
) -> list[Contribution]:
    """What the parts of the best recipe add, by the reward that the methods are compared by."""
    best = best_measured(result)
    if not best:
        return []
    proxy = result.rounds[-1].climbed(settings.climb_above)
    reward = backend.reward(settings.output / proxy if proxy else None)
    try:
        base_dir = recipe_task.pool.absolute().parent
        score = reward.score(best[0].recipe, base_dir)
        return part_effects(ScoredRecipe(best[0].recipe, score), recipe_task, reward)
    finally:
        reward.close()


def report_data(result: EvolveResult, task: str) -> dict[str, Any]:
    """What `report.json` contains, without the effects of the parts of the best recipe."""
    best = best_measured(result)
    last = result.rounds[-1]
    return {
        "task": task,
        "ended": result.ended,
        "rounds": last.number,
        "steps": last.step,
        "reward_calls": last.calls,
        "evaluations": _evaluations(result),
        "seconds": result.seconds,
        "score": _score(best),
        "noise": _noise(best),
        "methods": [_method(each) for each in result.method_results],
        "first": [_first(each) for each in result.rounds[0].measurements],
        "measured": [
            _measured(measurement)
            | {
                "by": by,
                "predicted": measurement.predicted,
                "predicted_interval": measurement.interval,
            }
            for by, measurement in _measurements(result)
        ],
        "by_round": [
            {
                "round": one.number,
                "step": one.step,
                "reward_calls": one.calls,
                "seconds": one.seconds,
                "measuring_seconds": measuring_seconds(one.measurements),
                "measured": sum(bool(each.measured) for each in one.measurements),
                "failed": sum(not each.measured for each in one.measurements),
                "climbed": one.proxy,
            }
            for one in result.rounds
        ],
        "best": [
            _measured(measurement)
            | {"by": _found_by(result, measurement)}
            | {"file": f"{BEST_RECIPES}/{rank}-{measurement.name}.yaml"}
            for rank, measurement in enumerate(best[:BEST], start=1)
        ],
        "fidelity": {
            "before": _fidelity(result.rounds[0].fidelity),
            "after": _fidelity(last.fidelity),
            "as_chosen": _as_chosen(result),
            "rounds": [
                {"round": one.number, "climbed": one.proxy, "before": _fidelity(before.fidelity)}
                for before, one in pairwise(result.rounds)
            ],
        },
    }


def best_measured(result: EvolveResult) -> list[CandidateMeasurement]:
    """All recipes that were measured, those of the comparison too, the best first; measurements of
    the same corpus are one.

    Best is the highest lower bound: the mean less its standard error, where the deviation between
    seeds is that of all recipes together. Of equal ones the cheaper to measure is first.
    """
    found: dict[str, CandidateMeasurement] = {}
    for _, measurement in _measurements(result):
        known = found.get(measurement.key, measurement)
        seeds = {one.seed: one for one in (*measurement.measured, *known.measured)}
        measured = tuple(seeds[seed] for seed in sorted(seeds))
        found[measurement.key] = known.model_copy(update={"measured": measured})
    noise = _noise([*found.values()])
    spread = noise["variance"] if noise else 0.0

    def rank(one: CandidateMeasurement) -> tuple[float, float]:
        lower_bound = one.score - math.sqrt(spread / len(one.measured))
        return -lower_bound, fmean(seed.seconds for seed in one.measured)

    return sorted(found.values(), key=rank)


def _noise(measurements: Sequence[CandidateMeasurement]) -> dict[str, Any] | None:
    """How far seeds of a recipe lie apart, over all recipes; None where each had one seed."""
    repeated = [[s.score for s in one.measured] for one in measurements if len(one.measured) > 1]
    if not repeated:
        return None
    spread = fmean(map(variance, repeated))
    return {"variance": spread, "deviation": math.sqrt(spread), "recipes": len(repeated)}


def _measurements(result: EvolveResult) -> list[tuple[str, CandidateMeasurement]]:
    """What was measured, with what found it: the first recipes, a round, or a method."""
    rounds = [
        (f"round {one.number}" if one.number else "first", measurement)
        for one in result.rounds
        for measurement in one.measurements
        if measurement.measured
    ]
    finals = [(one.method, one.final) for one in result.method_results if one.final is not None]
    return rounds + finals


def _found_by(result: EvolveResult, measurement: CandidateMeasurement) -> str:
    return next(by for by, each in _measurements(result) if each.key == measurement.key)


def _score(measurements: Sequence[CandidateMeasurement]) -> dict[str, Any] | None:
    """What the scores are, and their points of reference; None where nothing was measured."""
    if not measurements:
        return None
    first = measurements[0].measured[0]
    return first.model_dump(include={"score_name", "chance", "base", "ceiling"})


def _method(method_result: MethodResult) -> dict[str, Any]:
    found: dict[str, Any] = {"name": None, "score": None, "interval": None, "bits_per_byte": None}
    if method_result.final is not None:
        found |= _measured(method_result.final)
    return method_result.model_dump(exclude={"final"}) | found


def _measured(measurement: CandidateMeasurement) -> dict[str, Any]:
    scores = [one.score for one in measurement.measured]
    return {
        "name": measurement.name,
        "value": measurement.value,
        "score": measurement.score,
        "interval": mean_interval(scores),
        "seeds": [one.seed for one in measurement.measured],
        "bits_per_byte": measurement.bits,
        "sources": ", ".join(measurement.recipe["sources"]),
        "recipe": measurement.recipe,
    }


def _first(measurement: CandidateMeasurement) -> dict[str, Any]:
    """One of the recipes that were measured before the first round, or why it was not."""
    if not measurement.measured:
        return {"name": measurement.name, "score": None, "failure": measurement.failure}
    return _measured(measurement)


def _evaluations(result: EvolveResult) -> int:
    return evaluations(result.rounds) + sum(one.evaluations for one in result.method_results)


def _fidelity(found: ProxyFidelity | None) -> dict[str, Any] | None:
    return None if found is None else asdict(found)


def _as_chosen(result: EvolveResult) -> dict[str, Any] | None:
    """The rank correlation between the values that chose the recipes and their measurements."""
    measurements = [
        measurement
        for one in result.rounds[1:]
        for measurement in one.measurements
        if measurement.measured
    ]
    if len(measurements) < 3:
        return None
    values, scores = [t.value for t in measurements], [t.score for t in measurements]
    return {"recipes": len(measurements), "correlation": spearman(values, scores)}


def spearman(left: Sequence[float], right: Sequence[float]) -> float:
    """Spearman's rank correlation; 0 if one side is constant."""
    from scipy.stats import spearmanr

    if len(set(left)) < 2 or len(set(right)) < 2:
        return 0.0
    return float(spearmanr(left, right).statistic)
