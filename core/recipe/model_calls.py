"""What the steps of a recipe will ask of language models, estimated before anything is paid."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import chain

from datachef.core.contracts.corpus import MixOperator, Size
from datachef.core.contracts.synthesis import Synthesis
from datachef.core.language_models.prices import prices_of_environment
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


@dataclass(frozen=True)
class ModelCalls:
    """The calls of one step and their tokens: prompts about as long as the rows of the sources make
    them, answers at most. `budget_tokens` bounds both together, where the step has one; `cost` is
    what they cost, where the environment names prices."""

    step: str
    op: str
    backend: str
    model: str
    calls: int
    prompt_tokens: int
    answer_tokens: int
    budget_tokens: int | None
    cost: float | None


def expected_calls(checked: CheckedRecipe, vocabulary: Vocabulary) -> list[ModelCalls] | None:
    """What each synthesis step asks where no step before it drops a row and all that it asked is
    answered; None where the size of a source is unclear."""
    sizes = expected_sizes(checked)
    if sizes is None:
        return None
    found: list[ModelCalls] = []
    corpus: dict[str, Size] = {}
    references = reference_sources(checked)
    for name, size in sizes.items():
        left = _after(source_steps(checked, name), {name: size}, found)
        if name not in references:
            corpus |= left
    _after(corpus_steps(checked, vocabulary), corpus, found)
    return found


def asked_models(checked: CheckedRecipe, vocabulary: Vocabulary) -> dict[str, str]:
    """The model that each synthesis step asks, by the place of the step."""
    steps = chain(
        chain.from_iterable(source_steps(checked, name) for name in checked.sources),
        corpus_steps(checked, vocabulary),
    )
    return {
        step.path: step.operator.model for step in steps if isinstance(step.operator, Synthesis)
    }


def _after(
    steps: Iterable[PlacedStep], sizes: dict[str, Size], found: list[ModelCalls]
) -> dict[str, Size]:
    """What sources hold behind some steps, whose calls are added to those that were found."""
    for step in steps:
        operator = step.operator
        if isinstance(operator, MixOperator):
            epochs = ask(operator, "epochs", sizes)
            sizes = {name: _times(size, epochs.get(name, 1.0)) for name, size in sizes.items()}
        elif isinstance(operator, Synthesis):
            rows = sum(size.rows for size in sizes.values())
            tokens = sum(size.tokens for size in sizes.values())
            calls = round(rows * operator.calls)
            # What a template says besides its fields is about as long as the template.
            said = len((operator.system + operator.prompt).encode()) // 4
            asked = (calls * said + round(tokens * operator.calls), calls * operator.max_tokens)
            price = prices_of_environment().get(operator.model)
            found.append(
                ModelCalls(
                    step.path,
                    operator.op,
                    operator.backend,
                    operator.model,
                    calls,
                    *asked,
                    operator.budget_tokens,
                    None if price is None else round(price.of(*asked), 6),
                )
            )
            sizes = {n: _times(size, operator.rows_per_row) for n, size in sizes.items()}
    return sizes


def _times(size: Size, factor: float) -> Size:
    return Size(size.rows * factor, size.tokens * factor)
