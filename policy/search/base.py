"""The contract of a search, and the loop that spends reward calls on one."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Generic, TypeVar

from datachef.core.contracts.reward import Score
from datachef.policy.scored_recipes import Call, Objective, Recipe, recipe_key
from datachef.policy.space import RandomChooser, RecipeSpace
from datachef.policy.space.nodes import Choice, OneOf, Record, Selection
from datachef.policy.space.space import BUDGET, WEIGHTS
from datachef.policy.space.steps import simplest


class Search(ABC):
    """Proposes recipes, and learns from their scores what to propose next."""

    @abstractmethod
    def ask(self, count: int) -> list[dict[str, Any]]:
        """`count` recipes to score next; fewer, and in the end none, where a search runs out."""

    def tell(self, recipes: Sequence[Recipe], scores: Sequence[Score]) -> None:  # noqa: B027 - most do not learn
        """What the reward said of recipes that were asked for; nothing to most that do not learn.

        Recipes may come in any order, each of them once.
        """


def run_search(search: Search, objective: Objective, calls: int, batch: int = 8) -> list[Call]:
    """Spends exactly `calls` reward calls on a search, or fewer if it runs out, and returns them.

    `batch` recipes are asked for and scored at a time. Raises `ValueError` for a batch below 1.
    """
    if batch < 1:
        raise ValueError("a batch holds at least one recipe")
    start = len(objective.calls)
    while left := calls - (len(objective.calls) - start):
        wanted = min(batch, left)
        recipes = search.ask(wanted)[:wanted]
        if not recipes:
            break
        search.tell(recipes, objective.score_all(recipes))
    return objective.calls[start:]


class ListedSearch(Search):
    """Proposes given recipes in their order, each once."""

    def __init__(self, recipes: Iterable[dict[str, Any]]) -> None:
        self._left = list(recipes)

    def ask(self, count: int) -> list[dict[str, Any]]:
        asked, self._left = self._left[:count], self._left[count:]
        return asked


# A space that is nearly used up still gets its calls: with recipes that were scored before.
TRIES = 10

Origin = TypeVar("Origin")


class DrawnSearch(Search, Generic[Origin]):
    """Draws recipes of a space, and draws again where a recipe was proposed before.

    `Origin` is what a search has to remember of a draft, to learn from its score.
    """

    def __init__(self, space: RecipeSpace, name: str) -> None:
        """Recipes are named `name` and a number."""
        self.space = space
        self.asked = 0
        self._name = name
        self._seen: set[bytes] = set()
        self._pending: dict[str, Origin] = {}

    @abstractmethod
    def draw(self) -> tuple[dict[str, Any], Origin]:
        """Another draft, and where it comes from."""

    @abstractmethod
    def learn(self, origin: Origin, value: float) -> None:
        """Takes in the value of a draft that was proposed."""

    def ask(self, count: int) -> list[dict[str, Any]]:
        return [self._proposed() for _ in range(count)]

    def tell(self, recipes: Sequence[Recipe], scores: Sequence[Score]) -> None:
        """Raises `KeyError` for a recipe that was not asked for, or told before."""
        for recipe, score in zip(recipes, scores, strict=True):
            self.learn(self._pending.pop(recipe["name"]), score.value)

    def _proposed(self) -> dict[str, Any]:
        self.asked += 1
        name = f"{self._name}-{self.asked}"
        for left in reversed(range(TRIES)):
            draft, origin = self.draw()
            recipe = self.space.recipe(draft, name)
            key = recipe_key(recipe)
            if key not in self._seen or not left:
                break
        self._seen.add(key)
        self._pending[name] = origin
        return recipe


class RandomSearch(DrawnSearch[None]):
    """Recipes whose every choice is drawn evenly (Bergstra and Bengio 2012,
    https://jmlr.org/papers/v13/bergstra12a.html)."""

    def __init__(self, space: RecipeSpace, seed: int) -> None:
        super().__init__(space, "random")
        self._seed = seed
        self._draws = 0

    def draw(self) -> tuple[dict[str, Any], None]:
        self._draws += 1
        return self.space.draw(RandomChooser(f"{self._seed}/{self._draws}")), None

    def learn(self, origin: None, value: float) -> None:
        """Chance learns nothing."""


class SourceBaselines(ListedSearch):
    """All sources by their sizes, all sources with equal weights, and each source alone: whole,
    without steps. A mix only cuts them to the task's budget, or makes weights equal."""

    def __init__(self, space: RecipeSpace) -> None:
        super().__init__(_recipes(space))


def _recipes(space: RecipeSpace) -> Iterator[dict[str, Any]]:
    names = list(space.surveys)
    mix = _mix(space)
    if len(names) > 1:
        if mix is None or _within_budget(space, names):
            yield _whole(space, names, "all-by-size")
        elif not space.vocabulary[mix["op"]].model_fields[WEIGHTS].is_required():
            mixed = _mixed(space, names, mix, "all-by-size")
            del mixed["mix"][WEIGHTS]
            yield mixed
        if mix is not None:
            yield _mixed(space, names, mix, "all-equally")
    for name in names:
        alone = f"only-{name}"[:100]
        if mix is None or _within_budget(space, [name]):
            yield _whole(space, [name], alone)
        else:
            yield _mixed(space, [name], mix, alone)


def _whole(space: RecipeSpace, names: Sequence[str], called: str) -> dict[str, Any]:
    return space.recipe({"sources": {name: {} for name in names}}, called)


def _mixed(
    space: RecipeSpace, names: Sequence[str], mix: dict[str, Any], called: str
) -> dict[str, Any]:
    sources = {name: {"weight": _weight(space)} for name in names}
    return space.recipe({"sources": sources, "mix": mix, BUDGET: _share(space)}, called)


def _mix(space: RecipeSpace) -> dict[str, Any] | None:
    """The first of the space's mixes, as it is by default."""
    mixes = space.root.required.get("mix")
    if mixes is None:
        return None
    assert isinstance(mixes, OneOf) and isinstance(mixes.alternatives[0], Record)
    return simplest(mixes.alternatives[0])


def _weight(space: RecipeSpace) -> float:
    """Any weight that may be written: only that all are equal matters."""
    sources = space.root.required["sources"]
    assert isinstance(sources, Selection)
    first = next(iter(sources.fields.values()))
    assert isinstance(first, Record) and isinstance(first.required["weight"], Choice)
    return float(first.required["weight"].values[0])


def _share(space: RecipeSpace) -> float | None:
    """The largest share of the task's budget that may be written."""
    shares = space.root.required.get(BUDGET)
    return max(shares.values) if isinstance(shares, Choice) else None


def _within_budget(space: RecipeSpace, names: Sequence[str]) -> bool:
    """Whether these sources surely hold no more than the budget."""
    share = _share(space)
    if space.budget is None or share is None:
        return True
    if space.budget.tokens is None:
        return False
    sizes = [space.surveys[name].most_tokens for name in names]
    known = [size for size in sizes if size is not None]
    return len(known) == len(sizes) and sum(known) <= share * space.budget.tokens
