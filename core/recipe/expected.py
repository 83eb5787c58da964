"""What reaches each step of a recipe, and what decisions on it need, estimated before a run."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from datachef.core.contracts.corpus import CorpusOperator, MixOperator, Size
from datachef.core.contracts.synthesis import Synthesis
from datachef.core.recipe.checked import (
    CheckedRecipe,
    PlacedStep,
    corpus_steps,
    reference_sources,
    source_steps,
)
from datachef.core.recipe.checking import expected_sizes
from datachef.core.registry.promises import ask
from datachef.core.registry.vocabulary import Vocabulary

Sizes = Mapping[str, Size]


@dataclass(frozen=True)
class DecisionNeeds:
    """About what the decision of a step takes where no step before it drops a row: `memory` is of
    the process that decides, `disk` of the cache, in bytes."""

    step: str
    op: str
    rows: int
    memory: int
    disk: int


def expected_decisions(checked: CheckedRecipe, vocabulary: Vocabulary) -> list[DecisionNeeds]:
    """What the decisions of a recipe need; nothing where the size of a source is unclear."""
    found = []
    for step, sizes in expected_arrivals(checked, vocabulary) or ():
        operator = step.operator
        if isinstance(operator, CorpusOperator):
            whole = total(sizes)
            needed = ask(operator, "decision_bytes", whole)
            rows = round(whole.rows)
            found.append(DecisionNeeds(step.path, operator.op, rows, *map(round, needed)))
    return found


def expected_arrivals(
    checked: CheckedRecipe, vocabulary: Vocabulary
) -> list[tuple[PlacedStep, Sizes]] | None:
    """Each step with what reaches it of each source, where no step before it drops a row; a
    decision of a source that compares with another is reached by both. None where the size of a
    source is unclear."""
    sizes = expected_sizes(checked)
    if sizes is None:
        return None
    references = reference_sources(checked)
    found: list[tuple[PlacedStep, Sizes]] = []
    left: dict[str, Size] = {}
    for name, size in sizes.items():
        steps, after = _through(source_steps(checked, name), {name: size})
        found += steps
        left |= after
    corpus = {name: size for name, size in left.items() if name not in references}
    found += _through(corpus_steps(checked, vocabulary), corpus)[0]
    return [(step, {**_compared(step, left), **arrived}) for step, arrived in found]


def _compared(step: PlacedStep, left: Sizes) -> Sizes:
    """The sources that a step compares with, as their own steps leave them."""
    operator = step.operator
    named = operator.references() if isinstance(operator, CorpusOperator) else ()
    return {name: left[name] for name in named}


def _through(
    steps: Iterable[PlacedStep], sizes: Sizes
) -> tuple[list[tuple[PlacedStep, Sizes]], Sizes]:
    """Each step with what reaches it, and what the last one leaves."""
    found = []
    for step in steps:
        operator = step.operator
        found.append((step, sizes))
        if isinstance(operator, MixOperator):
            epochs = ask(operator, "epochs", sizes)
            sizes = {name: _times(size, epochs.get(name, 1.0)) for name, size in sizes.items()}
        elif isinstance(operator, Synthesis):
            sizes = {n: _times(size, operator.rows_per_row) for n, size in sizes.items()}
    return found, sizes


def total(sizes: Sizes) -> Size:
    """What all sources hold together."""
    return Size(
        sum(size.rows for size in sizes.values()), sum(size.tokens for size in sizes.values())
    )


def _times(size: Size, factor: float) -> Size:
    return Size(size.rows * factor, size.tokens * factor)
