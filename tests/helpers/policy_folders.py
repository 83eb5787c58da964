"""Folders as `chef train` and `chef evolve` leave them, written without training anything."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import orjson

from datachef.core import ProxyFidelity, Score
from datachef.core.system.outputs import OutputFolder
from datachef.policy.evolve.report import report_data
from datachef.policy.evolve.run_state import (
    Candidate,
    CandidateMeasurement,
    EvolveResult,
    MethodResult,
    Round,
    RunState,
    SeedMeasurement,
)
from datachef.policy.settings import BASELINES, EVOLUTION, POLICY, REPORT, RESULTS, STATE, TRAINING
from datachef.policy.training.log import RecipeLog

ATTACK = "</pre><script>window.attacked = 1</script><img src=x onerror='window.attacked=1'>\u202e"
TASK = f"sums {ATTACK}"
SOURCES = ("pages", f"notes {ATTACK}", "spam")
OPERATORS = ("exact_dedup", "fix_unicode", "length_filter")
STEPS, RECIPES = 12, 8
EFFECTS = [
    {"path": "steps[0]", "what": "exact_dedup", "effect": 0.125, "without": 0.5, "reason": ""},
    {"path": "sources.pages", "what": "pages", "effect": -0.0625, "without": 0.6, "reason": ""},
    {"path": "sources.spam", "what": "spam", "effect": None, "without": -1.5, "reason": ATTACK},
]


def recipe_of(chance: random.Random, name: str) -> dict[str, Any]:
    sources = chance.sample(SOURCES, chance.randint(1, 3))
    steps = [{"op": op} for op in OPERATORS if chance.random() < 0.5]
    return {
        "name": name,
        "sources": {source: {"steps": steps[:1]} for source in sources},
        "mix": {"op": "weighted_mix", "weights": dict.fromkeys(sources, 1)},
        "steps": steps[1:],
    }


def _score(chance: random.Random, recipe: dict[str, Any]) -> Score:
    if list(recipe["sources"]) == ["spam"]:
        return Score(-1.5, gate="guardrails", reasons=(ATTACK,))
    predicted = 0.4 + 0.1 * len(recipe["sources"]) + chance.random() / 10
    return Score(predicted - 0.25, predicted, 0.25, (predicted - 0.3, predicted + 0.3))


def _log(folder: Path, chance: random.Random, steps: int) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    log = RecipeLog(folder, 0)
    for step in range(steps):
        recipes = [recipe_of(chance, f"step-{step}-{number}") for number in range(RECIPES)]
        log.add(step, TASK, recipes, [_score(chance, recipe) for recipe in recipes])


def training_folder(folder: Path, *, finished: bool = True) -> Path:
    """A training of 12 steps; one that is not `finished` has its log alone."""
    chance = random.Random(1)
    OutputFolder.open(folder, TRAINING)
    _log(folder, chance, STEPS)
    if not finished:
        return folder
    _log(folder / BASELINES / "random", chance, STEPS)
    _log(folder / BASELINES / "sources", chance, 1)
    state = {"log_history": [{"step": n, "entropy": 2 - n / 10} for n in range(1, STEPS + 1)]}
    checkpoint = folder / f"checkpoint-{STEPS}"
    checkpoint.mkdir()
    (checkpoint / "trainer_state.json").write_text(json.dumps(state))
    facts = {
        "settings": {"steps": STEPS, "model": ATTACK}, "vocabulary": "abc",
        "operators": [*OPERATORS, ATTACK], "effects": {TASK: EFFECTS},
    }  # fmt: skip
    (folder / RESULTS).write_text(json.dumps(facts))
    return folder


def evolution_folder(folder: Path, *, finished: bool = True) -> Path:
    """An evolution of two rounds; one that is not `finished` has them alone."""
    chance = random.Random(2)
    OutputFolder.open(folder, EVOLUTION)
    _log(folder / POLICY, chance, STEPS)
    state = RunState(folder / STATE)
    for number in range(3):
        found = tuple(_measured(chance, f"round-{number}-{n}", number) for n in range(3))
        state.add(
            Round(
                number=number, step=number * STEPS // 2, calls=20 + 48 * number,
                seconds=60.0 + 100 * number, proxy="" if number < 2 else "proxies/round-0001.json",
                candidates=tuple(Candidate(recipe=m.recipe, value=m.value) for m in found),
                measurements=(
                    *found, CandidateMeasurement(recipe=found[0].recipe, value=0, failure=ATTACK)
                ),
                fitted=f"proxies/round-{number:04d}.json",
                fidelity=ProxyFidelity(3 * number, 0.5, 0.2, 0.8) if number else None,
            )
        )  # fmt: skip
    state.save_clock()
    if not finished:
        return folder
    results = []
    for method in (POLICY, "random"):
        final = _measured(chance, f"{method}-2", 2, seeds=(1, 2, 3))
        result = MethodResult(
            method=method, calls=116, value=0.4, chosen_among=9, evaluations=3, final=final
        )
        results.append(result)
    done = EvolveResult(tuple(state.rounds()), tuple(results), ATTACK, 300.0)
    report = report_data(done, TASK) | {"effects": EFFECTS}
    (folder / REPORT).write_bytes(orjson.dumps(report))
    return folder


def _measured(
    chance: random.Random, name: str, number: int, seeds: tuple[int, ...] = (0,)
) -> CandidateMeasurement:
    recipe = recipe_of(chance, name)
    score = _score(random.Random(name), recipe)
    measured = tuple(
        SeedMeasurement(
            seed=seed, score=0.3 + chance.random() / 5 + number / 20, score_name="accuracy",
            chance=0.25, base=0.27, ceiling=1.0, scores={"bits_per_byte": 1.5}, seconds=12.0,
        )
        for seed in seeds
    )  # fmt: skip
    return CandidateMeasurement(
        recipe=recipe, value=score.value, predicted=score.predicted, interval=score.interval,
        key=name, measured=measured,
    )  # fmt: skip
