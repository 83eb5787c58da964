"""The order in which a recipe's steps meet the rows, told once for checking and planning."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from datachef.core.contracts.corpus import CorpusOperator
from datachef.core.contracts.filter import Filter
from datachef.core.contracts.operator import Operator
from datachef.core.contracts.recipe import Recipe
from datachef.core.document import Location
from datachef.core.problems import dotted
from datachef.core.recipe.resolving import Loaded
from datachef.core.registry.promises import ask
from datachef.core.registry.take import Take
from datachef.core.registry.vocabulary import Vocabulary

if TYPE_CHECKING:
    from datachef.core.rows.inspection import SourceInfo


@dataclass(frozen=True)
class PlacedStep:
    """An operator, ready for its task, at its place in the recipe; `from_pool` are those that a
    source of the pool brings along."""

    location: Location
    operator: Operator
    from_pool: bool = False

    @property
    def path(self) -> str:
        return dotted(self.location)


def source_steps(loaded: Loaded, name: str) -> Iterator[PlacedStep]:
    """The steps of one source: `take`, those that it brings from the pool, those of the recipe."""
    source = loaded.sources[name]
    own = len(loaded.recipe.sources[name].steps) if loaded.recipe is not None else 0
    pooled = len(source.steps) - own
    if source.take is not None:
        yield PlacedStep(("sources", name, "take"), Take(op="take", rows=source.take))
    for index, operator in enumerate(source.steps):
        place: Location = ("sources", name, "pool", index)
        if index >= pooled:
            place = loaded.place(("sources", name, "steps"), index - pooled)
        yield PlacedStep(place, _ready(loaded, operator), from_pool=index < pooled)


def corpus_steps(loaded: Loaded, vocabulary: Vocabulary) -> Iterator[PlacedStep]:
    """The mix, the steps on the corpus, and the guards that a task turns on.

    Guards come last, or first of all where the steps only leave rows out: so mix and steps count
    rows that stay, and weights, budgets and numbers of rows are met.
    """
    recipe = loaded.recipe
    assert recipe is not None
    guards = list(_guards(loaded, recipe, vocabulary))
    first = all(_only_drops_rows(step) for step in recipe.steps)
    if first:
        yield from guards
    if recipe.mix is not None:
        yield PlacedStep(("mix",), _ready(loaded, recipe.mix))
    for index, operator in enumerate(recipe.steps):
        yield PlacedStep(loaded.place(("steps",), index), _ready(loaded, operator))
    if not first:
        yield from guards


def _guards(loaded: Loaded, recipe: Recipe, vocabulary: Vocabulary) -> Iterator[PlacedStep]:
    """The guards that the recipe does not write itself, where it has a task."""
    written = {operator.op for operator in recipe.steps}
    for name in vocabulary if recipe.task is not None else ():
        guard = vocabulary[name]
        if guard.guards_task and name not in written:
            yield PlacedStep(("task", name), _ready(loaded, guard(op=name)))


def _only_drops_rows(operator: Operator) -> bool:
    if isinstance(operator, CorpusOperator):
        return type(operator).apply is CorpusOperator.apply
    return isinstance(operator, Filter)


def makes_messages(loaded: Loaded, name: str) -> bool:
    """Whether a step turns the documents of a source into conversations."""
    corpus = loaded.recipe.steps if loaded.recipe is not None else ()
    return any("messages" in step.writes() for step in (*loaded.sources[name].steps, *corpus))


def output_schema(loaded: Loaded, surveys: Mapping[str, SourceInfo]) -> str:
    """The schema of the output: as written, or conversations where all sources are such."""
    assert loaded.recipe is not None
    written = loaded.recipe.output.schema_
    if written is not None:
        return written
    conversational = all(
        found.format.conversational or makes_messages(loaded, name)
        for name, found in surveys.items()
    )
    return "messages" if conversational else "text"


def _ready(loaded: Loaded, operator: Operator) -> Operator:
    placed: Operator = ask(operator, "located", loaded.folder)
    return placed if loaded.task is None else ask(placed, "for_task", loaded.task)
