"""The loop with real training and an evaluation backend that costs nothing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from command import chef
from synthetic_evolution import (
    APART,
    LIMITS,
    SyntheticBackend,
    Taste,
    run,
    settings_of,
    write_inputs,
)

from datachef.core import DatachefError, Host, document
from datachef.policy.evolve.report import best_effects, best_measured, write_report
from datachef.policy.scored_recipes import RecipeTask, recipe_key
from datachef.policy.training.log import read_log

NOTHING = {"measured_first": 0, "samples_per_round": 0, "baselines": ()}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_inputs(tmp_path)
    return tmp_path


def test_rounds_train_measure_and_hand_the_proxy_on(calm: Any) -> None:
    result, settings, _ = calm
    assert [one.number for one in result.rounds] == [0, 1, 2]
    assert [one.step for one in result.rounds] == [0, 2, 4]
    # 5 of sources and 4 draws for each recipe; then 2 steps of 8 recipes, and 8 samples.
    assert [one.calls for one in result.rounds] == [13, 37, 61]
    assert [one.proxy for one in result.rounds] == ["", "", "proxies/round-0001.json"]
    assert result.rounds[1].fitted == result.rounds[2].proxy
    assert (settings.output / result.rounds[2].fitted).exists()
    assert result.ended == "all 2 rounds are done"
    assert result.rounds[0].fidelity is None
    measured = sum(len(one.measurements) for one in result.rounds)
    assert result.rounds[-1].fidelity.recipes == measured


def test_the_best_of_a_round_are_measured_and_none_twice(calm: Any) -> None:
    result, settings, _ = calm
    log = read_log(settings.train.output)
    for one in result.rounds[1:]:
        values = [candidate.value for candidate in one.candidates]
        logged = [row.value for row in log if one.step - 2 <= row.step < one.step]
        assert max(values) >= max(logged)
        assert all(value >= -1 for value in values), "a gate stopped it"
        reward = Taste(settings.output / one.proxy if one.proxy else None)
        for candidate in one.candidates:
            assert reward.score(candidate.recipe, settings.output).value == candidate.value
        assert [measurement.name for measurement in one.measurements][:1] == [
            f"round-{one.number}-1"
        ]
    keys = [
        recipe_key(measurement.recipe) for one in result.rounds for measurement in one.measurements
    ]
    assert len(set(keys)) == len(keys)


def test_methods_get_the_same_calls_and_seeds_of_their_own(calm: Any) -> None:
    result, *_ = calm
    calls = {one.method: one.calls for one in result.method_results}
    assert calls == {"policy": 61, "sources": 5, "random": 61}
    policy = result.method_results[0]
    tried = [measurement for one in result.rounds for measurement in one.measurements]
    assert policy.chosen_among == len(tried)
    best = max(tried, key=lambda measurement: measurement.score)
    assert recipe_key(policy.final.recipe) == recipe_key(best.recipe)
    for one in result.method_results:
        assert [measured.seed for measured in one.final.measured] == [1, 2]


def test_everything_is_told(calm: Any) -> None:
    *_, reported = calm
    trained = [
        progress
        for progress in reported
        if progress.doing == "training" and progress.mean is not None
    ]
    assert [state.step for state in trained] == [1, 2, 3, 4]
    assert reported[-1].doing == "done"
    assert "measuring first-only-pages: training, step 1 of 1" in [one.doing for one in reported]
    spent = [progress.seconds for progress in reported]
    assert spent == sorted(spent)
    assert max(progress.evaluations for progress in reported) == 6


def test_the_report_tells_it_and_its_recipes_are_valid(calm: Any, tmp_path: Path) -> None:
    result, settings, _ = calm
    task = settings.train.tasks[0]
    recipe_task = RecipeTask.load(Host(), task.task, task.pool, LIMITS)
    effects = best_effects(result, recipe_task, SyntheticBackend(tmp_path), settings)
    report = write_report(result, recipe_task, settings.output, Host(), effects)
    assert json.loads((settings.output / "report.json").read_bytes()) == json.loads(
        json.dumps(report)
    )
    text = (settings.output / "report.md").read_text()
    for part in ("| policy | 61 |", "| random | 61 |", "too few", "(report.html)"):
        assert part in text
    assert report["evaluations"] == 6 + 3 * 2
    assert [one["score"] for one in report["best"]] == [
        measurement.score for measurement in best_measured(result)[:5]
    ]
    assert [one["name"] for one in report["first"]] == ["first-only-pages", "first-all-by-size"]
    climbed = [(one["climbed"], bool(one["before"])) for one in report["fidelity"]["rounds"]]
    assert climbed == [("", False), ("proxies/round-0001.json", True)]
    assert report["effects"] == [part.to_data() for part in effects] != []
    page = (settings.output / "report.html").read_text()
    for told in (*report["methods"], *report["measured"], *report["best"]):
        assert f"{told['score']:.4f}" in page
    assert "It ended because all 2 rounds are done." in page
    file = settings.output / report["best"][0]["file"]
    checked = chef("check", file)
    assert checked.returncode == 0, checked.stdout


def test_a_finished_run_goes_on_with_more_rounds_alone(folder: Path) -> None:
    backend = SyntheticBackend(folder / "history")
    first, _ = run(folder, "out", backend, rounds=1, **NOTHING)
    again, _ = run(folder, "out", backend, rounds=1, **NOTHING)
    assert (again.rounds, again.method_results) == (first.rounds, first.method_results)
    more, _ = run(folder, "out", backend, rounds=2, **NOTHING)
    assert more.rounds[:2] == first.rounds
    assert len(more.rounds) == 3
    train = settings_of(folder, "out").train.model_dump(exclude=APART)
    other = NOTHING | {"samples_per_round": 1, "train": train | {"seed": 1}}
    with pytest.raises(DatachefError, match=r"other settings: samples_per_round, train\.seed"):
        run(folder, "out", backend, **other)


def test_a_proxy_that_ranks_nothing_is_not_climbed(folder: Path) -> None:
    backend = SyntheticBackend(folder / "history", low=-0.2, keeps=True)
    changes = NOTHING | {"measured_first": 4, "final_seeds": 1}
    result, settings = run(folder, "out", backend, rounds=1, **changes)
    assert [one.fitted for one in result.rounds] == ["proxies/round-0000.json"] * 2, "none is worse"
    assert result.rounds[1].proxy == ""
    reward = Taste(None)
    for one in result.rounds[1].candidates:
        assert reward.score(one.recipe, settings.output).value == one.value
    task = settings.train.tasks[0]
    recipe_task = RecipeTask.load(Host(), task.task, task.pool, LIMITS)
    write_report(result, recipe_task, settings.output, Host())
    told = (settings.output / "report.md").read_text()
    assert "| in round 1 | no: it does not rank what was held out |" in told
    # What was measured first is there to be chosen, and is, where no round did better.
    policy = result.method_results[0]
    measured = [each for one in result.rounds for each in one.measurements]
    assert recipe_key(policy.final.recipe) == recipe_key(
        max(measured, key=lambda m: m.score).recipe
    )


def test_what_cannot_be_measured_makes_room_for_the_next(folder: Path) -> None:
    backend = SyntheticBackend(folder / "history", broken=["round-1-1"])
    result, _ = run(folder, "out", backend, rounds=1, **NOTHING)
    failed, *others = result.rounds[1].measurements
    assert failed.failure == "round-1-1 leaves no row to train on"
    assert [bool(measurement.measured) for measurement in others] == [True, True]
    assert result.method_results[0].chosen_among == 2


def test_what_a_cold_start_found_is_measured_too(folder: Path) -> None:
    train = settings_of(folder, "out").train.model_dump(mode="json", exclude=APART)
    cold = {"cold_start": {"search": "evolution", "drawn": 48}}
    result, settings = run(
        folder, "out", SyntheticBackend(folder / "history"), train=train | cold, **NOTHING
    )
    found = read_log(settings.train.output / "cold-start")
    assert len(found) == 48
    assert [one.calls for one in result.rounds] == [0, 48 + 16, 48 + 32]
    best = max(row.value for row in found)
    assert max(candidate.value for candidate in result.rounds[1].candidates) >= best
    assert result.method_results[0].calls == 48 + 32


def test_where_nothing_can_be_measured_it_stops_and_later_goes_on(folder: Path) -> None:
    broken = [f"round-1-{number}" for number in range(1, 9)]
    with pytest.raises(DatachefError, match="no recipe of round 1 can be measured"):
        run(folder, "out", SyntheticBackend(folder / "history", broken=broken), rounds=1, **NOTHING)
    result, _ = run(folder, "out", SyntheticBackend(folder / "history"), rounds=1, **NOTHING)
    assert len(result.rounds[1].measurements) == 2


@pytest.mark.parametrize(
    ("budget", "rounds", "measured", "said"),
    [
        ({"evaluations": 3}, 1, 1, "3 evaluations are made"),
        ({"reward_calls": 20}, 1, 2, "more than 20 reward calls"),
        ({"minutes": 1e-9}, 0, 0, "minutes are over"),
    ],
)
def test_a_budget_ends_a_run(
    folder: Path, budget: dict[str, Any], rounds: int, measured: int, said: str
) -> None:
    result, _ = run(folder, "out", SyntheticBackend(folder / "history"), budget=budget, **NOTHING)
    assert result.rounds[-1].number == rounds
    assert (
        sum(len(measurement.measured) for measurement in result.rounds[-1].measurements) == measured
    )
    assert said in result.ended
    assert len(result.method_results) == min(rounds, 1)


def test_recipes_by_people_and_several_of_a_baseline(folder: Path) -> None:
    recipe = {"name": "mine", "task": "task.yaml", "pool": "pool.yaml",
              "sources": {"pages": {"steps": [{"op": "fix_unicode"}]}}}  # fmt: skip
    (folder / "mine.yaml").write_text(document.dump(recipe))
    changes = {**NOTHING, "baselines": ("random",), "measured_per_baseline": 2}
    result, _ = run(
        folder,
        "out",
        SyntheticBackend(folder / "history"),
        rounds=1,
        human_recipes=("mine.yaml",),
        **changes,
    )
    _, by_chance, human = result.method_results
    assert (by_chance.chosen_among, by_chance.evaluations) == (2, 2 + 2)
    assert (human.method, human.calls) == ("human", 1)
    assert human.final.recipe["sources"] == recipe["sources"]
    (folder / "mine.yaml").write_text(document.dump(recipe | {"sources": {"notes": {}}}))
    again, _ = run(
        folder,
        "out",
        SyntheticBackend(folder / "history"),
        rounds=1,
        human_recipes=("mine.yaml",),
        **changes,
    )
    assert again.method_results[:2] == result.method_results[:2]
    assert list(again.method_results[2].final.recipe["sources"]) == ["notes"]
