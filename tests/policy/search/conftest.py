from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from datachef.core import Host, Problem, Reward, Score, document
from datachef.core.recipe.checking import check_document
from datachef.policy.scored_recipes import ScoreTracker
from datachef.policy.settings import GrammarLimits
from datachef.policy.space import RecipeSpace, recipe_space

Problems = Callable[[Mapping[str, Any]], list[Problem]]

OPERATORS = (
    "exact_dedup", "fix_unicode", "gopher_quality_filter", "length_filter", "sample",
    "weighted_mix",
)  # fmt: skip
POOL = """
sources:
  pages: {path: pages.jsonl}
  dialogues: {path: dialogues.jsonl, format: {prompt: ask, completion: tell}}
  notes: {path: notes.jsonl}
  spam: {path: spam.jsonl}
"""
TASK = """
name: sums
instruction: Add.
benchmark: {{path: test.jsonl, prompt: ask, answer: tell}}
metric: exact_match
budget: {{{budget}}}
"""


class Taste(Reward):
    """Likes four fifths of pages, short ones dropped, and no copies; dislikes all other steps, and
    stops recipes with spam."""

    def score(self, recipe: Mapping[str, Any], base_dir: Path) -> Score:
        if "spam" in recipe["sources"]:
            return Score(-1.5, gate="guardrails", reasons=("spam",))
        weights = recipe.get("mix", {}).get("weights") or dict.fromkeys(recipe["sources"], 1)
        share = weights.get("pages", 0) / sum(weights.values())
        of_sources = [s for source in recipe["sources"].values() for s in source.get("steps", ())]
        own = [step["op"] for step in recipe["sources"].get("pages", {}).get("steps", ())]
        last = [step["op"] for step in recipe.get("steps", ())]
        liked = ("length_filter" in own) + ("exact_dedup" in last)
        others = len(of_sources) + len(last) - liked
        return Score(0.5 * (1 - abs(share - 0.8)) + 0.25 * liked - 0.08 * others)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """With a pool of four sources of some 500 to 1000 tokens each."""
    rows = {
        "pages": [{"text": f"Page {i} is about rivers and what swims there."} for i in range(60)],
        "dialogues": [{"ask": f"{i} + 1?", "tell": str(i + 1)} for i in range(60)],
        "notes": [{"text": f"Note {i} is a short one."} for i in range(60)],
        "spam": [{"text": f"Buy {i} now and get one more!"} for i in range(60)],
        "test": [{"ask": "1 + 1?", "tell": "2"}],
    }
    for name, lines in rows.items():
        text = "".join(json.dumps(line) + "\n" for line in lines)
        (tmp_path / f"{name}.jsonl").write_text(text)
    (tmp_path / "pool.yaml").write_text(POOL)
    return tmp_path


@pytest.fixture(scope="session")
def host() -> Host:
    return Host()


@pytest.fixture
def space_within(folder: Path, host: Host) -> Callable[..., RecipeSpace]:
    """Makes the space for a budget, as it stands in a task."""

    def made(budget: str, **limits: Any) -> RecipeSpace:
        (folder / "task.yaml").write_text(TASK.format(budget=budget))
        limits = {"operators": OPERATORS, **limits}
        return recipe_space(
            host, folder / "pool.yaml", folder / "task.yaml", GrammarLimits(**limits)
        )

    return made


@pytest.fixture
def space(space_within: Callable[..., RecipeSpace]) -> RecipeSpace:
    return space_within("tokens: 1_000")


@pytest.fixture
def tracker(folder: Path) -> Callable[[], ScoreTracker]:
    return lambda: ScoreTracker(Taste(), folder)


@pytest.fixture
def problems(folder: Path, host: Host) -> Problems:
    """What `chef check` says of a recipe."""

    def found(recipe: Mapping[str, Any]) -> list[Problem]:
        data = {**recipe, "task": str(folder / "task.yaml")}
        parsed = document.parse(document.dump(data))
        return list(check_document(parsed, folder, host, pool=folder / "pool.yaml").problems)

    return found
