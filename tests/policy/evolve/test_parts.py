"""Settings, choices, state and figures of a run."""

from __future__ import annotations

import errno
from pathlib import Path
from typing import Any

import pytest
from scipy.stats import spearmanr
from synthetic_evolution import Point, SyntheticBackend, settings_of

from datachef.core import (
    DatachefError,
    MissingPackageError,
    RecipeError,
    RunError,
    Score,
    document,
    extra,
)
from datachef.core.recipe.resolving import read_typed
from datachef.policy.evolve.report import spearman
from datachef.policy.evolve.rounds import (
    measure_candidate,
    measure_candidates,
    worth_measuring,
)
from datachef.policy.evolve.run_state import ProgressReporter, RunState
from datachef.policy.scored_recipes import ScoredRecipe, recipe_key
from datachef.policy.settings import EvolveSettings

TRAIN = {"tasks": [{"task": "task.yaml", "pool": "pool.yaml"}]}


def scored(value: float, *sources: str, gate: str = "", weight: int = 1) -> ScoredRecipe:
    mix = {"op": "weighted_mix", "weights": dict.fromkeys(sources, weight)}
    recipe = {"name": f"n{value}", "sources": {name: {} for name in sources}, "mix": mix}
    return ScoredRecipe(recipe, Score(value, gate=gate))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"train": {**TRAIN, "output": "x"}}, "train.output is not for this file"),
        ({"train": {"tasks": TRAIN["tasks"] * 2}}, "exactly one"),
        ({"budget": {"evaluations": 15}}, "takes 15 and the first measurement 1"),
        ({"budget": {"reward_calls": 100}}, "the first round takes 704"),
        ({"budget": {"hours": 1}}, "hours"),
        ({"baselines": ["chance"]}, "baselines"),
    ],
)
def test_mistakes_in_settings_are_told(tmp_path: Path, change: dict[str, Any], said: str) -> None:
    path = tmp_path / "evolve.yaml"
    path.write_text(document.dump({"train": TRAIN, "output": "run", **change}))
    with pytest.raises(RecipeError) as caught:
        read_typed(path, EvolveSettings)
    assert said in str(caught.value)


def test_paths_are_relative_to_the_file(tmp_path: Path) -> None:
    path = tmp_path / "evolve.yaml"
    path.write_text(
        document.dump({"train": TRAIN, "output": "run", "human_recipes": ["mine.yaml"]})
    )
    settings = read_typed(path, EvolveSettings).located_in(tmp_path)
    assert settings.train.output == tmp_path / "run" / "policy"
    assert settings.train.tasks[0].pool == tmp_path / "pool.yaml"
    assert settings.human_recipes == (tmp_path / "mine.yaml",)


def test_what_is_worth_measuring_is_good_new_and_different() -> None:
    calls = [
        scored(0.9, "a"), scored(0.8, "a", weight=2), scored(0.7, "a", "b"), scored(0.6, "b"),
        scored(0.95, "c"), scored(0.99, "d", gate="runs"), scored(0.9, "a"),
    ]  # fmt: skip
    found = worth_measuring(calls, {recipe_key(scored(0, "c").recipe)}, 2)
    # The second best differs from the best in a weight alone: it is among those in reserve.
    assert [one.score.value for one in found] == [0.9, 0.7, 0.8, 0.6]


class Twins(SyntheticBackend):
    """Where all recipes but the third make the same corpus."""

    def measure(self, recipe: Path, seeds: Any) -> list[Point]:
        key = "other" if recipe.stem.endswith("3") else "same"
        return [Point(key, seed, 0.5, {}) for seed in seeds]


def test_recipes_of_the_same_corpus_count_once(tmp_path: Path) -> None:
    calls = [scored(0.1 * n, "a", weight=n) for n in range(1, 6)]
    made: list[int] = []

    def goes_on(name: str, found: Any) -> bool:
        made.append(len(found))
        return True

    found = measure_candidates(
        Twins(tmp_path), calls, tmp_path, "r", count=2, seeds=range(3), goes_on=goes_on
    )
    assert [one.key for one in found] == ["same", "same", "other"]
    assert made == [0, 1, 2]
    found = measure_candidates(
        Twins(tmp_path), calls, tmp_path, "r", count=1, seeds=[0], known={"same"}
    )
    assert len(found) == 3


ONE = scored(0.1, "a")


class Bare(SyntheticBackend):
    """An evaluation backend without what it needs."""

    def measure(self, recipe: Path, seeds: Any) -> list[Point]:
        raise MissingPackageError("trl", extra("train"), "measuring")


def test_a_missing_package_is_no_fault_of_a_recipe(tmp_path: Path) -> None:
    with pytest.raises(MissingPackageError):
        measure_candidate(Bare(tmp_path), ONE.recipe, ONE.score, tmp_path / "r-1.yaml", [0])


class Failing(SyntheticBackend):
    """An evaluation backend in which measuring fails for a reason."""

    cause: Exception

    def measure(self, recipe: Path, seeds: Any) -> list[Point]:
        raise RunError("it failed") from self.cause


def test_a_full_disk_is_no_fault_of_a_recipe(tmp_path: Path) -> None:
    backend = Failing(tmp_path)
    backend.cause = ValueError("of a row")
    measured = measure_candidate(backend, ONE.recipe, ONE.score, tmp_path / "r-1.yaml", [0])
    assert measured.failure == "it failed"
    backend.cause = OSError(errno.ENOSPC, "full")
    with pytest.raises(RunError, match="it failed"):
        measure_candidate(backend, ONE.recipe, ONE.score, tmp_path / "r-1.yaml", [0])


def test_the_state_keeps_the_time_and_rejects_what_it_did_not_write(tmp_path: Path) -> None:
    folder = tmp_path / "state"
    progress = ProgressReporter(RunState(folder), None)
    progress.report("working")
    spent = RunState(folder).seconds
    assert spent > 0
    RunState(folder).open(settings_of(tmp_path, "out"), "space")
    RunState(folder).open(settings_of(tmp_path, "elsewhere", rounds=9), "space")
    with pytest.raises(DatachefError, match="other settings: space"):
        RunState(folder).open(settings_of(tmp_path, "out"), "another")
    (folder / "round-0000.json").write_text('{"number": 0}')
    with pytest.raises(DatachefError, match="is no record of a run"):
        RunState(folder).rounds()


def test_rank_correlation_agrees_with_scipy() -> None:
    left, right = [0.1, 0.5, 0.5, 0.9, -1.0], [3.0, 1.0, 4.0, 4.0, 0.0]
    assert spearman(left, right) == pytest.approx(spearmanr(left, right).statistic)
    assert spearman([1.0, 1.0, 1.0], [1.0, 2.0, 3.0]) == 0
