"""What the steps of a recipe will ask of language models, estimated before anything is paid."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import chain

from datachef.core.contracts.corpus import Size
from datachef.core.contracts.synthesis import Synthesis
from datachef.core.language_models.prices import prices_of_environment
from datachef.core.recipe.checked import (
    CheckedRecipe,
    PlacedStep,
    corpus_steps,
    source_steps,
)
from datachef.core.recipe.expected import expected_arrivals, total
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
    arrivals = expected_arrivals(checked, vocabulary)
    if arrivals is None:
        return None
    return [_calls(step, sizes) for step, sizes in arrivals if isinstance(step.operator, Synthesis)]


def asked_models(checked: CheckedRecipe, vocabulary: Vocabulary) -> dict[str, str]:
    """The model that each synthesis step asks, by the place of the step."""
    steps = chain(
        chain.from_iterable(source_steps(checked, name) for name in checked.sources),
        corpus_steps(checked, vocabulary),
    )
    return {
        step.path: step.operator.model for step in steps if isinstance(step.operator, Synthesis)
    }


def _calls(step: PlacedStep, sizes: Mapping[str, Size]) -> ModelCalls:
    operator = step.operator
    assert isinstance(operator, Synthesis)
    whole = total(sizes)
    calls = round(whole.rows * operator.calls)
    # What a template says besides its fields is about as long as the template.
    said = len((operator.system + operator.prompt).encode()) // 4
    asked = (calls * said + round(whole.tokens * operator.calls), calls * operator.max_tokens)
    price = prices_of_environment().get(operator.model)
    return ModelCalls(
        step.path,
        operator.op,
        operator.backend,
        operator.model,
        calls,
        *asked,
        operator.budget_tokens,
        None if price is None else round(price.of(*asked), 6),
    )
