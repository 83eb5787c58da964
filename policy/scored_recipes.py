"""Recipes and their scores: the task that recipes are written for, and reading, scoring, selecting
and annotating them."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from datachef.core import document
from datachef.core.contracts.reward import Reward, Score
from datachef.core.errors import DatachefError, RecipeError, dotted
from datachef.core.recipe.contributions import Contribution, leave_one_out
from datachef.core.recipe.resolving import read_task
from datachef.core.registry.host import Host
from datachef.policy.prompt import CountTokens, PromptWriter
from datachef.policy.prompt.writer import Prompt
from datachef.policy.settings import GrammarLimits, Subsets, TrainSettings
from datachef.policy.space import RecipeSpace, recipe_space
from datachef.policy.space.space import RecipeDraft
from datachef.policy.space.steps import REASON

Recipe = Mapping[str, Any]


@dataclass(frozen=True)
class RecipeTask:
    """A task and a pool, the space of recipes over them, and the writer of their prompts."""

    name: str
    task: Path
    pool: Path
    space: RecipeSpace
    writer: PromptWriter

    @classmethod
    def load(cls, host: Host, task: Path, pool: Path, limits: GrammarLimits) -> RecipeTask:
        """The recipe task of a task.yaml and a pool.yaml, in the space that `limits` leave.

        Raises `DatachefError` if one of the files cannot be used.
        """
        described = read_task(task, host)
        space = recipe_space(host, pool, task, limits)
        return cls(described.name, task, pool, space, PromptWriter(described, space))

    def prompt(
        self,
        count_tokens: CountTokens,
        most_tokens: int | None = None,
        space: RecipeSpace | None = None,
    ) -> Prompt:
        """The fullest prompt of at most `most_tokens` tokens for `space`, by default the whole one.

        By default it has as many tokens as are usual, or as the names of sources and operators
        take. Raises `DatachefError` if they take more than is said.
        """
        return self.writer.write(space or self.space, count_tokens, most_tokens)

    def cold_start_space(self, subsets: Subsets | None) -> RecipeSpace:
        """The space of a cold start: all but the operators that are held out."""
        if subsets is None:
            return self.space
        shown = set(self.space.operators) - set(subsets.held_out)
        return self.space.narrowed(shown, self.space.sources)

    def human_drafts(self, settings: TrainSettings) -> list[RecipeDraft]:
        """The drafts of the recipes that people wrote for the cold start.

        Raises `DatachefError`, which names the file, for one that is not in the space.
        """
        space, drafts = self.cold_start_space(settings.subsets), []
        for path in settings.cold_start.recipes if settings.cold_start else ():
            recipe = read_recipe(path)
            try:
                drafts.append(space.draft(recipe))
            except DatachefError as error:
                raise DatachefError(f"{path}: {error.message}", error.hint) from error
        return drafts

    def runnable(self, recipe: Recipe, name: str, folder: Path) -> dict[str, Any]:
        """The recipe with its name, task and pool, so that `chef run` can run it from a file in
        `folder`."""
        files = {
            key: os.path.relpath(file.absolute(), folder.absolute())
            for key, file in (("task", self.task), ("pool", self.pool))
        }
        return {"name": name, **files, **{k: v for k, v in recipe.items() if k != "name"}}


def read_recipe(path: Path) -> dict[str, Any]:
    """The recipe in a YAML file, as plain data.

    Raises `RecipeError` for a file that cannot be read as YAML, and `DatachefError` for one without
    sources.
    """
    found = document.read(path)
    if found.problems:
        raise RecipeError(found.problems)
    if not isinstance(found.data, dict) or not isinstance(found.data.get("sources"), dict):
        raise DatachefError(f"{path} is no recipe", "it has no sources")
    return found.data


def without_paths(recipe: Recipe) -> dict[str, Any]:
    """The recipe without its task and pool, which come from elsewhere."""
    return {name: value for name, value in recipe.items() if name not in ("task", "pool")}


def recipe_key(recipe: Recipe) -> bytes:
    """Identifies a recipe whatever its name: equal for recipes that differ in nothing else."""
    rest = {name: value for name, value in recipe.items() if name != "name"}
    return orjson.dumps(rest, option=orjson.OPT_SORT_KEYS)


@dataclass(frozen=True)
class ScoredRecipe:
    """A recipe and its score."""

    recipe: Recipe
    score: Score


class ScoreTracker:
    """Scores recipes and keeps count, so that all methods are compared on the same number of calls.

    `scored` holds every recipe in the order of the calls, repeated ones too, although a repeated
    recipe is not scored again. Relative paths in recipes start at `folder`.
    """

    def __init__(self, reward: Reward, folder: Path) -> None:
        self.reward = reward
        self._folder = folder.absolute()
        self._known: dict[bytes, Score] = {}
        self.scored: list[ScoredRecipe] = []

    def score_all(self, recipes: Sequence[Recipe]) -> list[Score]:
        """The scores of the recipes, in their order. Names make no difference."""
        keys = [recipe_key(recipe) for recipe in recipes]
        by_key = dict(zip(keys, recipes, strict=True))
        new = {key: recipe for key, recipe in by_key.items() if key not in self._known}
        found = self.reward.score_all(new.values(), self._folder)
        self._known |= dict(zip(new, found, strict=True))
        scores = [self._known[key] for key in keys]
        self.scored += [ScoredRecipe(r, s) for r, s in zip(recipes, scores, strict=True)]
        return scores

    def remember(self, scored: Iterable[tuple[Recipe, Score]]) -> None:
        """Takes scores as they are, so that these recipes are not scored again."""
        self._known |= {recipe_key(recipe): score for recipe, score in scored}

    def close(self) -> None:
        """Closes the reward."""
        self.reward.close()

    @property
    def best(self) -> ScoredRecipe:
        """The first recipe with the highest value. Raises `ValueError` if none was scored."""
        return max(self.scored, key=lambda each: each.score.value)


def best_different(scored: Sequence[ScoredRecipe], count: int) -> list[ScoredRecipe]:
    """At most `count` different recipes, the highest value first; of equal values, the one with
    fewer steps first.

    Recipes with the same sources and operators differ only in numbers, and those with the same
    features make the same corpus, as far as the reward can tell: the best of them is taken, and the
    others only if nothing else is left.
    """
    ranked = sorted(scored, key=_rank)
    unique = first_of_each((recipe_key(each.recipe), each) for each in ranked)
    told_apart = first_of_each((_features(each), each) for each in unique)
    leaders = first_of_each((_structure(each.recipe), each) for each in told_apart)[:count]
    others = first_of_each(
        (recipe_key(each.recipe), each) for each in (*told_apart, *unique) if each not in leaders
    )
    return sorted([*leaders, *others[: count - len(leaders)]], key=_rank)


def first_of_each(keyed: Iterable[tuple[object, ScoredRecipe]]) -> list[ScoredRecipe]:
    """The first recipe of each key, in their order."""
    found: dict[object, ScoredRecipe] = {}
    for key, scored in keyed:
        found.setdefault(key, scored)
    return list(found.values())


def _rank(scored: ScoredRecipe) -> tuple[float, int]:
    sources = scored.recipe["sources"].values()
    steps = sum(len((source or {}).get("steps") or ()) for source in [*sources, scored.recipe])
    return -scored.score.value, steps


def _features(scored: ScoredRecipe) -> object:
    """What a reward knows of a recipe; of a reward without features, the recipe itself."""
    known = {n: value for n, value in scored.score.features.items() if not math.isnan(value)}
    return frozenset(known.items()) or recipe_key(scored.recipe)


def _structure(recipe: Recipe) -> tuple[object, ...]:
    """The sources of a recipe with their operators, and the operators on the corpus."""
    sources = recipe["sources"]
    named = [(name, _operators(sources[name] or {})) for name in sorted(sources)]
    return (*named, _operators(recipe))


def _operators(part: Recipe) -> tuple[str, ...]:
    return tuple(step["op"] for step in part.get("steps") or ())


def part_effects(scored: ScoredRecipe, task: RecipeTask, reward: Reward) -> list[Contribution]:
    """What each source and step of a recipe adds, by the reward; nothing if a gate stopped it."""
    if scored.score.gate:
        return []
    base_dir = task.pool.absolute().parent
    return leave_one_out(scored.recipe, base_dir, reward, scored.score, task.space.vocabulary)


def effect_comments(parts: Iterable[Contribution]) -> dict[str, str]:
    """What each part adds, in words, by its place in the recipe."""
    return {
        part.path: part.reason if part.effect is None else f"adds {part.effect:+.4f}"
        for part in parts
    }


def said_of(score: Score) -> str:
    """A score in a line."""
    if score.gate:
        why = f": {score.reasons[0]}" if score.reasons else ""
        return f"value {score.value:.4f}, stopped at the gate {score.gate}{why}"
    predicted = "" if score.predicted is None else f", predicted {score.predicted:.4f}"
    return f"value {score.value:.4f}{predicted}"


def reasons_in(draft: Mapping[str, Any]) -> dict[str, str]:
    """The reasons that the model gave for its steps, by the place of the step in the recipe."""
    found: dict[str, str] = {}
    for name, source in draft["sources"].items():
        found |= _reasons(source.get("steps", ()), ("sources", name))
    return found | _reasons(draft.get("steps", ()), ())


def with_comments(recipe: Recipe, comments: Mapping[str, str], head: str = "") -> str:
    """The YAML of a recipe, with each comment at the end of the line of its place, and `head` as
    comment lines above all."""
    lines = document.dump(dict(recipe)).splitlines()
    places = document.parse("\n".join(lines)).places
    lines_of = {dotted(location): line for location, (line, _) in places.items()}
    for place, comment in comments.items():
        if place in lines_of:
            lines[lines_of[place] - 1] += f"  # {_one_line(comment)}"
    above = [f"# {_one_line(line)}" for line in head.splitlines()]
    return "\n".join([*above, *lines]) + "\n"


def _reasons(steps: Any, above: tuple[str, ...]) -> dict[str, str]:
    return {
        dotted((*above, "steps", index)): str(step[REASON])
        for index, step in enumerate(steps)
        if step.get(REASON)
    }


def _one_line(text: str) -> str:
    """Text of a model, without characters that could end a comment."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())
