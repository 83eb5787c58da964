"""The contract of a search, the loop that runs one, and the searches that do not learn."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Generic, TypeVar

from datachef.core.contracts.reward import Score
from datachef.policy.scored_recipes import Recipe, ScoredRecipe, ScoreTracker, recipe_key
from datachef.policy.space import RandomChooser, RecipeSpace
from datachef.policy.space.nodes import Choice, OneOf, Record, Selection
from datachef.policy.space.space import BUDGET
from datachef.policy.space.steps import minimal_step


class Search(ABC):
    """Proposes recipes, and may learn from their scores what to propose next."""

    @abstractmethod
    def ask(self, count: int) -> list[dict[str, Any]]:
        """The next `count` recipes to score; fewer, and finally none, if the search runs out."""

    def tell(self, recipes: Sequence[Recipe], scores: Sequence[Score]) -> None:  # noqa: B027 - most do not learn
        """Gives the search the scores of recipes that `ask` returned, in any order, each once."""


def run_search(
    search: Search, tracker: ScoreTracker, calls: int, batch: int = 8
) -> list[ScoredRecipe]:
    """Runs a search for `calls` reward calls, or until it runs out, and returns what it scored.

    `batch` recipes are proposed and scored at a time. Raises `ValueError` for a batch below 1.
    """
    if batch < 1:
        raise ValueError("a batch has at least one recipe")
    start = len(tracker.scored)
    while left := calls - (len(tracker.scored) - start):
        wanted = min(batch, left)
        recipes = search.ask(wanted)[:wanted]
        if not recipes:
            break
        search.tell(recipes, tracker.score_all(recipes))
    return tracker.scored[start:]


class ListedSearch(Search):
    """Proposes given recipes in their order, each once."""

    def __init__(self, recipes: Iterable[dict[str, Any]]) -> None:
        self._left = list(recipes)

    def ask(self, count: int) -> list[dict[str, Any]]:
        asked, self._left = self._left[:count], self._left[count:]
        return asked


# After this many draws a repeated recipe is proposed: a small space may have no other left.
DRAWS_PER_RECIPE = 10

Origin = TypeVar("Origin")


class DrawnSearch(Search, Generic[Origin]):
    """Draws recipes from a space, and draws again if a recipe was proposed before.

    `Origin` is what a search has to keep of a draft to learn from its score.
    """

    def __init__(self, space: RecipeSpace, name: str) -> None:
        """The recipes are named `name` and a number."""
        self.space = space
        self.asked = 0
        self._name = name
        self._seen: set[bytes] = set()
        self._pending: dict[str, Origin] = {}

    @abstractmethod
    def draw(self) -> tuple[dict[str, Any], Origin]:
        """A new draft, and what to keep of it."""

    @abstractmethod
    def learn(self, origin: Origin, value: float) -> None:
        """Learns from the value of a draft that was proposed."""

    def ask(self, count: int) -> list[dict[str, Any]]:
        return [self._proposed() for _ in range(count)]

    def tell(self, recipes: Sequence[Recipe], scores: Sequence[Score]) -> None:
        """Raises `KeyError` for a recipe that was not proposed, or was given before."""
        for recipe, score in zip(recipes, scores, strict=True):
            self.learn(self._pending.pop(recipe["name"]), score.value)

    def _proposed(self) -> dict[str, Any]:
        self.asked += 1
        name = f"{self._name}-{self.asked}"
        for left in reversed(range(DRAWS_PER_RECIPE)):
            draft, origin = self.draw()
            recipe = self.space.recipe(draft, name)
            key = recipe_key(recipe)
            if key not in self._seen or not left:
                break
        self._seen.add(key)
        self._pending[name] = origin
        return recipe


class RandomSearch(DrawnSearch[None]):
    """Recipes with uniformly random choices (Bergstra and Bengio 2012,
    https://jmlr.org/papers/v13/bergstra12a.html)."""

    def __init__(self, space: RecipeSpace, seed: int) -> None:
        super().__init__(space, "random")
        self._seed = seed
        self._draws = 0

    def draw(self) -> tuple[dict[str, Any], None]:
        self._draws += 1
        return self.space.draw(RandomChooser(f"{self._seed}/{self._draws}")), None

    def learn(self, origin: None, value: float) -> None:
        """Nothing to learn."""


class SourceBaselines(ListedSearch):
    """The sources unprocessed: all by their sizes, all with equal weights, and each one alone.

    A mix is used only to cut them to the task's budget, or to make the weights equal."""

    def __init__(self, space: RecipeSpace) -> None:
        super().__init__(_recipes(space))


def _recipes(space: RecipeSpace) -> Iterator[dict[str, Any]]:
    names = list(space.sources)
    mix = _mix(space)
    if len(names) > 1:
        if mix is None or _within_budget(space, names):
            yield _whole(space, names, "all-by-size")
        elif (weights := _optional_weights(space, mix["op"])) is not None:
            mixed = _mixed(space, names, mix, "all-by-size")
            del mixed["mix"][weights]
            yield mixed
        if mix is not None:
            yield _mixed(space, names, mix, "all-equally")
    for name in names:
        alone = f"only-{name}"[:100]
        if mix is None or _within_budget(space, [name]):
            yield _whole(space, [name], alone)
        else:
            yield _mixed(space, [name], mix, alone)


def _optional_weights(space: RecipeSpace, name: str) -> str | None:
    """The parameter of a mix for weights, if the mix can do without any."""
    kind = space.mix_type(name)
    weights = kind.weights_parameter() if kind is not None else None
    required = kind is None or weights is None or kind.model_fields[weights].is_required()
    return None if required else weights


def _whole(space: RecipeSpace, names: Sequence[str], called: str) -> dict[str, Any]:
    return space.recipe({"sources": {name: {} for name in names}}, called)


def _mixed(
    space: RecipeSpace, names: Sequence[str], mix: dict[str, Any], called: str
) -> dict[str, Any]:
    sources = {name: {"weight": _weight(space)} for name in names}
    return space.recipe({"sources": sources, "mix": mix, BUDGET: _share(space)}, called)


def _mix(space: RecipeSpace) -> dict[str, Any] | None:
    """The first mix of the space, with its default parameters."""
    mixes = space.root.required.get("mix")
    if mixes is None:
        return None
    assert isinstance(mixes, OneOf) and isinstance(mixes.alternatives[0], Record)
    return minimal_step(mixes.alternatives[0])


def _weight(space: RecipeSpace) -> float:
    """Any weight on offer: all that matters is that they are equal."""
    sources = space.root.required["sources"]
    assert isinstance(sources, Selection)
    first = next(iter(sources.fields.values()))
    assert isinstance(first, Record) and isinstance(first.required["weight"], Choice)
    return float(first.required["weight"].values[0])


def _share(space: RecipeSpace) -> float | None:
    """The largest share of the task's budget on offer."""
    shares = space.root.required.get(BUDGET)
    return max(shares.values) if isinstance(shares, Choice) else None


def _within_budget(space: RecipeSpace, names: Sequence[str]) -> bool:
    """Whether these sources are known to be within the budget."""
    share = _share(space)
    if space.budget is None or share is None:
        return True
    if space.budget.tokens is None:
        return False
    sizes = [space.sources[name].most_tokens for name in names]
    known = [size for size in sizes if size is not None]
    return len(known) == len(sizes) and sum(known) <= share * space.budget.tokens
