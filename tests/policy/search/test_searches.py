"""Every search: exactly the calls it was given, the same ones for a seed, valid and never twice."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Mapping
from statistics import fmean
from typing import Any

import pytest

from datachef.core import MissingPackageError, Problem, extra
from datachef.core.distribution import install_command
from datachef.policy.scored_recipes import ScoreTracker
from datachef.policy.search import (
    EvolutionarySearch,
    RandomSearch,
    Search,
    TpeSearch,
    run_search,
)
from datachef.policy.space import RecipeSpace

SEARCHES: list[Callable[[RecipeSpace, int], Search]] = [RandomSearch, TpeSearch, EvolutionarySearch]
LEARNING = SEARCHES[1:]

Trackers = Callable[[], ScoreTracker]


@pytest.mark.parametrize("kind", SEARCHES)
def test_exactly_so_many_calls_on_valid_recipes_that_all_differ(
    kind: Callable[[RecipeSpace, int], Search],
    space: RecipeSpace,
    tracker: Trackers,
    problems: Callable[[Mapping[str, Any]], list[Problem]],
) -> None:
    asked = tracker()
    calls = run_search(kind(space, 0), asked, 43)
    assert calls == asked.scored
    assert len(calls) == 43
    assert [problem for each in calls for problem in problems(each.recipe)] == []
    assert len({each.recipe["name"] for each in calls}) == 43
    contents = [{**each.recipe, "name": ""} for each in calls]
    assert not any(content in contents[:index] for index, content in enumerate(contents))


@pytest.mark.parametrize("kind", SEARCHES)
def test_a_seed_tells_all_recipes(
    kind: Callable[[RecipeSpace, int], Search], space: RecipeSpace, tracker: Trackers
) -> None:
    first, same, other = (run_search(kind(space, seed), tracker(), 27) for seed in (1, 1, 2))
    assert first == same
    assert first != other


@pytest.mark.parametrize("kind", LEARNING)
def test_what_learns_beats_chance(
    kind: Callable[[RecipeSpace, int], Search],
    space_within: Callable[..., RecipeSpace],
    tracker: Trackers,
) -> None:
    operators = ("exact_dedup", "length_filter", "sample", "weighted_mix")
    space = space_within(
        "tokens: 1_000", operators=operators, source_steps=1, corpus_steps=1, values=3
    )

    def best(kind: Callable[[RecipeSpace, int], Search], seed: int) -> float:
        calls = run_search(kind(space, seed), tracker(), 72)
        return max(each.score.value for each in calls)

    learnt = fmean(best(kind, seed) for seed in range(3))
    assert learnt > fmean(best(RandomSearch, seed) for seed in range(20)) + 0.08


@pytest.mark.parametrize("kind", SEARCHES)
def test_a_space_that_is_used_up_still_gets_its_calls(
    kind: Callable[[RecipeSpace, int], Search],
    space_within: Callable[..., RecipeSpace],
    tracker: Trackers,
) -> None:
    tiny = space_within(
        "tokens: 1_000", sources=("pages",), source_steps=0, corpus_steps=0, weights=(1,)
    )
    calls = run_search(kind(tiny, 0), tracker(), 60, batch=7)
    assert len(calls) == 60


@pytest.mark.parametrize("kind", LEARNING)
def test_scores_may_be_told_late_and_in_any_order(
    kind: Callable[[RecipeSpace, int], Search], space: RecipeSpace, tracker: Trackers
) -> None:
    search, asked = kind(space, 0), tracker()
    recipes = search.ask(30)
    scores = asked.score_all(recipes)
    search.tell(recipes[20:], scores[20:])
    search.ask(2)
    search.tell(recipes[:20], scores[:20])
    assert len(search.ask(2)) == 2
    with pytest.raises(KeyError):
        search.tell(recipes[:1], scores[:1])


def test_calls_before_do_not_count(space: RecipeSpace, tracker: Trackers) -> None:
    shared = tracker()
    run_search(RandomSearch(space, 0), shared, 5)
    calls = run_search(RandomSearch(space, 1), shared, 9, batch=4)
    assert calls == shared.scored[5:]
    assert len(calls) == 9
    with pytest.raises(ValueError, match="at least one"):
        run_search(RandomSearch(space, 1), shared, 9, batch=0)


def test_optuna_is_silent_and_stays_as_it_was(
    space: RecipeSpace, tracker: Trackers, capfd: pytest.CaptureFixture[str]
) -> None:
    import optuna

    before = optuna.logging.get_verbosity(), list(warnings.filters)
    run_search(TpeSearch(space, 0), tracker(), 20)
    assert (optuna.logging.get_verbosity(), list(warnings.filters)) == before
    assert capfd.readouterr() == ("", "")


def test_without_optuna_the_error_names_the_package(
    space: RecipeSpace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(MissingPackageError) as error:
        TpeSearch(space, 0)
    assert error.value.hint == install_command(extra("policy"))
