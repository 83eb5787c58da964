"""Training over random parts of a space: prompts, and the recipes that answer them."""

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
from datachef.policy.model import PolicyCard
from datachef.policy.prompt.writer import Prompt
from datachef.policy.scored_recipes import Recipe, RecipeTask, ScoreTracker
from datachef.policy.settings import Subsets, TrainSettings
from datachef.policy.space import RandomChooser
from datachef.policy.training.environment import (
    PromptSample,
    random_subspace,
    sample_prompts,
)
from datachef.policy.training.grammar_trainer import GrammarCache
from datachef.policy.training.log import read_log
from datachef.policy.training.train import train

MOST = 256
HELD_OUT = ("even_mix", "sample")
SUBSETS = Subsets(operators=(0.3, 0.8), sources=(0.25, 0.75), budget=(0.25, 0.5), held_out=HELD_OUT)

Settings = Callable[..., TrainSettings]


@pytest.fixture
def grammars(model: Path) -> GrammarCache:
    return GrammarCache(load_tokenizer(model))


def some(
    count: int, wide: RecipeTask, grammars: GrammarCache, subsets: Subsets, seed: int = 0
) -> list[PromptSample]:
    return list(islice(sample_prompts([wide], subsets, seed, grammars.count_tokens, MOST), count))


def test_prompts_tell_of_parts_as_large_as_asked(wide: RecipeTask, grammars: GrammarCache) -> None:
    whole, shown = set(wide.space.operators), set(wide.space.operators) - set(HELD_OUT)
    drawn = some(150, wide, grammars, SUBSETS)
    seen: set[str] = set()
    for each in drawn:
        space = each.prompt.space
        seen |= {*space.operators, *space.sources}
        assert set(space.operators) <= shown
        # Six are shown; a mix is always among them.
        assert 2 <= len({*space.operators, "weighted_mix"}) <= 6
        assert 1 <= len(space.sources) <= 3
        assert space.budget is not None and space.budget.tokens is not None
        assert 250 <= space.budget.tokens <= 500
        told = " ".join(message["content"] for message in each.prompt.messages)
        assert grammars.count_tokens(each.prompt.messages) <= MOST
        assert [name for name in whole - set(space.operators) if name in told] == []
        assert [name for name in set(wide.space.sources) - set(space.sources) if name in told] == []
        for number in range(3):
            names = names_of(space.recipe(space.draw(RandomChooser(number)), "drawn"))
            assert names <= {*space.operators, *space.sources}
    assert seen == shown | set(wide.space.sources)


def test_a_seed_tells_all_prompts(wide: RecipeTask, grammars: GrammarCache) -> None:
    def told(count: int, seed: int) -> list[Any]:
        return [each.prompt.messages for each in some(count, wide, grammars, SUBSETS, seed)]

    assert told(20, 1) == told(20, 1)
    assert told(20, 1)[:7] == told(7, 1)
    assert told(20, 1) != told(20, 2)


def test_without_subsets_every_prompt_is_whole(wide: RecipeTask, grammars: GrammarCache) -> None:
    drawn = islice(sample_prompts([wide, wide], None, 0, grammars.count_tokens, MOST), 5)
    found = [(each.task, each.prompt.space) for each in drawn]
    assert found == [(number % 2, wide.space) for number in range(5)]


def test_what_is_needed_is_in_the_part(wide: RecipeTask) -> None:
    tight = Subsets(operators=(0, 0), sources=(0, 0), budget=(0, 0))
    for seed in range(20):
        part = random_subspace(
            wide.space, tight, random.Random(seed), needed={"fix_unicode", "third"}
        )
        assert {"fix_unicode"} <= set(part.operators) <= {*wide.space.operators}
        assert "third" in part.sources
        assert len(part.sources) <= 2
        assert part.budget == Budget(tokens=1)


def test_recipes_obey_their_prompts(
    settings: Settings, wide: RecipeTask, model: Path, grammars: GrammarCache, tracker: ScoreTracker
) -> None:
    asked = settings(
        subsets=SUBSETS, steps=5, recipes_per_step=12, recipes_per_prompt=4, batch=12, seed=3
    )
    checkpoint = train(asked, [wide], [tracker], model)
    prompts = [
        each.prompt
        for each in some(40, wide, grammars, SUBSETS, seed=3)
        if grammars.add(each.prompt)
    ]
    log = read_log(asked.output)
    assert len(log) == 60
    for number, row in enumerate(log):
        space = prompts[number // 4].space
        assert names_of(row.recipe) <= {*space.operators, *space.sources}
        assert not names_of(row.recipe) & set(HELD_OUT)
        assert space.budget is not None and space.budget.tokens is not None
        budget = row.recipe["mix"].get("budget", {"tokens": 0})
        assert budget["tokens"] <= space.budget.tokens
        # It is one of the drafts of just this part.
        space.draft(row.recipe)
    assert len({prompt.space.fingerprint for prompt in prompts[:15]}) > 5
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
    recipe_task: RecipeTask,
    wide: RecipeTask,
    model: Path,
    tracker: ScoreTracker,
) -> None:
    checkpoint = train(settings(), [recipe_task], [tracker], model)
    card = PolicyCard.read(checkpoint)
    assert card is not None
    assert card.operators == recipe_task.space.operators
    assert card.tasks == ("sums",)
    assert card.differences(recipe_task.space) == ""
    # The plugin of the wide one makes another vocabulary.
    said = card.differences(wide.space)
    new = "even_mix, gopher_repetition_filter, sample"  # of texts this short Gopher keeps none
    assert said.endswith(f"it has never seen {new}")
    back = PolicyCard.of([wide]).differences(recipe_task.space)
    assert back.endswith("; it may not write even_mix")
    decoder = LocalDecoder.of(checkpoint)
    prompt = wide.prompt(decoder.count_tokens, MOST)
    drafts = decoder.sample([prompt] * 8)
    assert all(wide.space.root.contains(draft) for draft in drafts)


def test_a_folder_without_a_card_is_no_policy(tmp_path: Path) -> None:
    assert PolicyCard.read(tmp_path) is None
    (tmp_path / "policy.json").write_text("{}")
    assert PolicyCard.read(tmp_path) is None


def test_prompts_that_read_the_same_and_allow_something_else_are_not_mixed_up(
    wide: RecipeTask, grammars: GrammarCache, model: Path
) -> None:
    prompt = wide.prompt(grammars.count_tokens, MOST)
    part = wide.space.narrowed({"sample"}, {"first"})
    other = Prompt(part, prompt.messages)
    assert grammars.add(prompt)
    assert grammars.add(prompt)
    assert not grammars.add(other)
    tokens = prompt_tokens(prompt, load_tokenizer(model))
    assert grammars.prompt(tokens) is prompt
    with pytest.raises(DatachefError, match="tokenizes a prompt differently"):
        grammars.prompt([*tokens, tokens[0]])
