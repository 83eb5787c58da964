"""Which of many scored recipes are shown: the best that differ."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from hypothesis import given, strategies as st

from datachef.core import Score
from datachef.policy.scored_recipes import ScoredRecipe, best_different, recipe_key


def scored(value: float, *sources: str, op: str = "", weight: int = 1) -> ScoredRecipe:
    recipe: dict[str, Any] = {"name": f"{value}", "sources": {name: {} for name in sources}}
    recipe["mix"] = {"op": "weighted_mix", "weights": dict.fromkeys(sources, weight)}
    if op:
        recipe["steps"] = [{"op": op}]
    return ScoredRecipe(recipe, Score(value))


def test_the_best_of_each_kind_goes_before_the_second_of_one() -> None:
    calls = [
        scored(0.9, "a"),
        scored(0.8, "a", weight=2),
        scored(0.3, "b"),
        scored(0.5, "a", op="dedup"),
    ]
    values = [found.score.value for found in best_different(calls, 3)]
    assert values == [0.9, 0.5, 0.3]
    assert [found.score.value for found in best_different(calls, 4)] == [0.9, 0.8, 0.5, 0.3]


def test_of_equal_ones_the_simpler_goes_first() -> None:
    (found,) = best_different([scored(0.5, "a", op="dedup"), scored(0.5, "a")], 1)
    assert "steps" not in found.recipe


def test_two_recipes_of_one_corpus_count_as_one() -> None:
    calls = [
        replace(scored(value, "a", op=op), score=Score(value, features={"log_rows": rows}))
        for value, op, rows in [(0.9, "", 7.0), (0.9, "dedup", 7.0), (0.2, "sample", 5.0)]
    ]
    assert [found.score.value for found in best_different(calls, 2)] == [0.9, 0.2]
    assert [found.score.value for found in best_different(calls, 3)] == [0.9, 0.9, 0.2]


CALLS = st.lists(
    st.builds(
        scored,
        st.sampled_from([-1.5, 0.1, 0.2, 0.3]),
        st.sampled_from("abc"),
        op=st.sampled_from(["", "dedup"]),
        weight=st.integers(1, 3),
    )
)


@given(calls=CALLS, count=st.integers(0, 8))
def test_what_is_chosen_is_sorted_and_once(calls: list[ScoredRecipe], count: int) -> None:
    found = best_different(calls, count)
    values = [one.score.value for one in found]
    keys = {recipe_key(one.recipe) for one in found}
    assert values == sorted(values, reverse=True)
    assert len(keys) == len(found) == min(count, len({recipe_key(c.recipe) for c in calls}))
    if found:
        assert values[0] == max(one.score.value for one in calls)
