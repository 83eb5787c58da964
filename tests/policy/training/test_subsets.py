"""Training over random parts of a space: briefs, and the recipes that answer them."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from itertools import islice
from pathlib import Path
from typing import Any

import pytest

from datachef.core import Budget, DatachefError
from datachef.core.language_models.checkpoint import load_tokenizer
from datachef.policy.decoding.local import LocalDecoder, prompt_tokens
from datachef.policy.prompt.writer import Brief
from datachef.policy.recipe_task import Assignment, PolicyCard
from datachef.policy.scored_recipes import Objective, Recipe
from datachef.policy.settings import Subsets, TrainSettings
from datachef.policy.space import RandomChooser
from datachef.policy.training.environment import Episode, episodes, part_of, read_log
from datachef.policy.training.grammar_trainer import Book
from datachef.policy.training.train import train

MOST = 256
HELD_OUT = ("even_mix", "sample")
SUBSETS = Subsets(operators=(0.3, 0.8), sources=(0.25, 0.75), budget=(0.25, 0.5), held_out=HELD_OUT)

Settings = Callable[..., TrainSettings]


@pytest.fixture
def book(model: Path) -> Book:
    return Book(load_tokenizer(model))


def some(
    count: int, wide: Assignment, book: Book, subsets: Subsets, seed: int = 0
) -> list[Episode]:
    return list(islice(episodes([wide], subsets, seed, book.count_tokens, MOST), count))


def test_briefs_tell_of_parts_as_large_as_asked(wide: Assignment, book: Book) -> None:
    whole, shown = set(wide.space.operators), set(wide.space.operators) - set(HELD_OUT)
    drawn = some(150, wide, book, SUBSETS)
    seen: set[str] = set()
    for each in drawn:
        space = each.brief.space
        seen |= {*space.operators, *space.surveys}
        assert set(space.operators) <= shown
        # Six are shown; a mix is always among them.
        assert 2 <= len({*space.operators, "weighted_mix"}) <= 6
        assert 1 <= len(space.surveys) <= 3
        assert space.budget is not None and space.budget.tokens is not None
        assert 250 <= space.budget.tokens <= 500
        told = " ".join(message["content"] for message in each.brief.messages)
        assert book.count_tokens(each.brief.messages) <= MOST
        assert [name for name in whole - set(space.operators) if name in told] == []
        assert [name for name in set(wide.space.surveys) - set(space.surveys) if name in told] == []
        for number in range(3):
            names = names_of(space.recipe(space.draw(RandomChooser(number)), "drawn"))
            assert names <= {*space.operators, *space.surveys}
    assert seen == shown | set(wide.space.surveys)


def test_a_seed_tells_all_briefs(wide: Assignment, book: Book) -> None:
    def told(count: int, seed: int) -> list[Any]:
        return [each.brief.messages for each in some(count, wide, book, SUBSETS, seed)]

    assert told(20, 1) == told(20, 1)
    assert told(20, 1)[:7] == told(7, 1)
    assert told(20, 1) != told(20, 2)


def test_without_subsets_every_brief_is_whole(wide: Assignment, book: Book) -> None:
    drawn = islice(episodes([wide, wide], None, 0, book.count_tokens, MOST), 5)
    found = [(each.assignment, each.brief.space) for each in drawn]
    assert found == [(number % 2, wide.space) for number in range(5)]


def test_what_is_needed_is_in_the_part(wide: Assignment) -> None:
    tight = Subsets(operators=(0, 0), sources=(0, 0), budget=(0, 0))
    for seed in range(20):
        part = part_of(wide.space, tight, random.Random(seed), needed={"fix_unicode", "third"})
        assert {"fix_unicode"} <= set(part.operators) <= {*wide.space.operators}
        assert "third" in part.surveys
        assert len(part.surveys) <= 2
        assert part.budget == Budget(tokens=1)


def test_recipes_obey_their_briefs(
    settings: Settings, wide: Assignment, model: Path, book: Book, objective: Objective
) -> None:
    asked = settings(
        subsets=SUBSETS, steps=5, recipes_per_step=12, recipes_per_brief=4, batch=12, seed=3
    )
    checkpoint = train(asked, [wide], [objective], model)
    briefs = [each.brief for each in some(40, wide, book, SUBSETS, seed=3) if book.add(each.brief)]
    log = read_log(asked.output)
    assert len(log) == 60
    for number, row in enumerate(log):
        space = briefs[number // 4].space
        assert names_of(row.recipe) <= {*space.operators, *space.surveys}
        assert not names_of(row.recipe) & set(HELD_OUT)
        assert space.budget is not None and space.budget.tokens is not None
        budget = row.recipe["mix"].get("budget", {"tokens": 0})
        assert budget["tokens"] <= space.budget.tokens
        # It is one of the drafts of just this part.
        space.draft(row.recipe)
    assert len({brief.space.fingerprint for brief in briefs[:15]}) > 5
    card = PolicyCard.read(checkpoint)
    assert card is not None
    assert card.differences(wide.space) == ""


def names_of(recipe: Recipe) -> set[str]:
    """The sources and operators of a recipe."""
    sources: Mapping[str, Any] = recipe["sources"]
    steps = [step for source in sources.values() for step in source.get("steps", ())]
    steps += [*recipe.get("steps", ()), recipe["mix"]]
    return {*sources, *(step["op"] for step in steps)}


def test_a_card_says_what_is_new_and_the_checkpoint_works_there(
    settings: Settings,
    assignment: Assignment,
    wide: Assignment,
    model: Path,
    objective: Objective,
) -> None:
    checkpoint = train(settings(), [assignment], [objective], model)
    card = PolicyCard.read(checkpoint)
    assert card is not None
    assert card.operators == assignment.space.operators
    assert card.tasks == ("sums",)
    assert card.differences(assignment.space) == ""
    # The plugin of the wide one makes another vocabulary.
    said = card.differences(wide.space)
    new = "even_mix, gopher_quality_filter, gopher_repetition_filter, sample"
    assert said.endswith(f"it has never seen {new}")
    back = PolicyCard.of([wide]).differences(assignment.space)
    assert back.endswith("; it may not write even_mix")
    decoder = LocalDecoder.of(checkpoint)
    brief = wide.brief(decoder.count_tokens, MOST)
    drafts = decoder.sample([brief] * 8)
    assert all(wide.space.root.holds(draft) for draft in drafts)


def test_a_folder_without_a_card_is_no_policy(tmp_path: Path) -> None:
    assert PolicyCard.read(tmp_path) is None
    (tmp_path / "policy.json").write_text("{}")
    assert PolicyCard.read(tmp_path) is None


def test_briefs_that_read_the_same_and_allow_something_else_are_not_mixed_up(
    wide: Assignment, book: Book, model: Path
) -> None:
    brief = wide.brief(book.count_tokens, MOST)
    part = wide.space.narrowed({"sample"}, {"first"})
    other = Brief(part, brief.messages)
    assert book.add(brief)
    assert book.add(brief)
    assert not book.add(other)
    prompt = prompt_tokens(brief, load_tokenizer(model))
    assert book.brief(prompt) is brief
    with pytest.raises(DatachefError, match="otherwise than we do"):
        book.brief([*prompt, prompt[0]])
