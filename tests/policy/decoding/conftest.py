from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from datachef.core import Host, Problem, document
from datachef.core.recipe.checking import check_document
from datachef.policy.prompt.writer import Prompt
from datachef.policy.settings import GrammarLimits
from datachef.policy.space import RecipeSpace, recipe_space


@pytest.fixture
def served_space(small_pool: Path) -> RecipeSpace:
    """A small space of real operators, with reasons."""
    limits = GrammarLimits(
        operators=("length_filter", "exact_dedup", "gopher_quality_filter", "weighted_mix"),
        source_steps=2,
        corpus_steps=1,
        reason_characters=8,
    )
    return recipe_space(Host(), small_pool, limits=limits)


@pytest.fixture
def prompts(served_space: RecipeSpace) -> list[Prompt]:
    """Sixteen, of one space."""
    return [
        Prompt(
            served_space,
            (
                {"role": "system", "content": "You write recipes of training data."},
                {"role": "user", "content": f"Write recipe {number}."},
            ),
        )
        for number in range(16)
    ]


@pytest.fixture
def problems(small_pool: Path) -> Callable[[RecipeSpace, dict[str, Any]], list[Problem]]:
    """What `chef check` says of the recipe that a draft stands for."""
    host = Host()

    def found(space: RecipeSpace, draft: dict[str, Any]) -> list[Problem]:
        parsed = document.parse(document.dump(space.recipe(draft, "drafted")))
        return list(check_document(parsed, small_pool.parent, host, pool=small_pool).problems)

    return found
