"""What a child has of its parents."""

from __future__ import annotations

import random

import pytest

from datachef.policy.search.optimizers import crossed, mutated
from datachef.policy.space import RandomChooser, RecipeSpace


@pytest.mark.parametrize("seed", range(20))
def test_a_mutant_lacks_one_or_a_few_places(seed: int) -> None:
    trace = {f".{index}": index for index in range(30)}
    mutant = mutated(trace, random.Random(seed))
    assert mutant.items() < trace.items()
    assert len(trace) - len(mutant) < 12
    assert mutated({".only": 1}, random.Random(seed)) == {}


@pytest.mark.parametrize("seed", range(20))
def test_a_child_of_two_has_every_source_and_step_from_one(space: RecipeSpace, seed: int) -> None:
    parents = [RandomChooser(seed), RandomChooser(seed + 100)]
    drafts = [space.draw(parent) for parent in parents]
    first, second = (parent.trace for parent in parents)
    draft = space.draw(RandomChooser(0, crossed(first, second, random.Random(seed))))
    for name, source in draft["sources"].items():
        # Where neither has a source that stands before all of theirs, it is drawn anew.
        if any(name in parent["sources"] for parent in drafts):
            assert source in [p["sources"][name] for p in drafts if name in p["sources"]]
    assert all(any(step in parent["steps"] for parent in drafts) for step in draft["steps"])


def test_parents_both_pass_something_on() -> None:
    first = {f".sources.{name}.weight": 0 for name in "abcdefgh"}
    second = dict.fromkeys(first, 1)
    child = crossed(first, second, random.Random(0))
    assert child.keys() == first.keys()
    assert set(child.values()) == {0, 1}
