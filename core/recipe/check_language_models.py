"""What the steps of a recipe ask of language models is within the caps."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from datachef.core.contracts.operator import Operator
from datachef.core.contracts.synthesis import Synthesis
from datachef.core.language_models.caps import (
    LISTED,
    VARIABLES,
    LanguageModelCaps,
    caps_of_environment,
)
from datachef.core.problems import did_you_mean
from datachef.core.recipe.flow import PlacedStep
from datachef.core.recipe.resolving import Loaded

_COUNTED = ("max_tokens", "max_concurrency")


def check_language_models(loaded: Loaded, steps: Iterable[PlacedStep]) -> None:
    """Adds to the problems of a recipe what its steps ask of language models beyond the caps.

    The caps of a pool hold for the steps of the recipe, those of the environment also for steps
    that the pool brings. A recipe that is bound to a pool asks nothing that no cap bounds.
    """
    asking = [step for step in steps if _asks(step.operator)]
    own = [step for step in asking if not step.from_pool]
    if not asking:
        return
    environment, pool = caps_of_environment(), loaded.pool_caps or LanguageModelCaps()
    if loaded.bound and not environment.with_those_of(pool).bounds_cost:
        asking = [step for step in asking if step.from_pool]
        for step in own:
            loaded.add(
                "not_in_pool",
                step.location,
                f"{step.operator.op} asks a language model, and nothing says which ones this recipe"
                " may ask, nor for how many tokens",
                "give the pool language_models: {models: [...], budget_tokens: ...}, or set "
                f"{VARIABLES['models']} and {VARIABLES['budget_tokens']}",
            )
    else:
        _check_caps(loaded, own, pool, "the pool")
    _check_caps(loaded, asking, environment, "the environment")


def _asks(operator: Operator) -> bool:
    return isinstance(operator, Synthesis) or type(operator).connect is not Operator.connect


def _check_caps(
    loaded: Loaded, steps: Iterable[PlacedStep], caps: LanguageModelCaps, whose: str
) -> None:
    if caps.none:
        return
    spent = 0
    for step in steps:
        operator = step.operator
        if not isinstance(operator, Synthesis):
            message = f"{operator.op} asks language models in a way that {whose} cannot cap"
            loaded.add("over_cap", step.location, message, "this is for its author to mend")
            continue
        for parameter, message, hint in _excesses(operator, caps, whose):
            loaded.add("over_cap", (*step.location, parameter), message, hint)
        spent += operator.budget_tokens or 0
        if caps.budget_tokens is not None and operator.budget_tokens and spent > caps.budget_tokens:
            message = (
                f"the budgets of this recipe add up to {spent:,} tokens here, and {whose} allows"
                f" {caps.budget_tokens:,}"
            )
            loaded.add("over_cap", (*step.location, "budget_tokens"), message, "lower them")


def _excesses(
    operator: Synthesis, caps: LanguageModelCaps, whose: str
) -> Iterator[tuple[str, str, str]]:
    """What an operator says beyond the caps: (parameter, message, hint) each."""
    for name, parameter in LISTED.items():
        allowed, said = getattr(caps, name), getattr(operator, parameter)
        if allowed is not None and said not in allowed:
            hint = did_you_mean(said, allowed)
            yield parameter, f"{whose} does not allow the {parameter} {said!r}", hint
    for name in _COUNTED:
        most, said = getattr(caps, name), getattr(operator, name)
        if most is not None and said > most:
            yield name, f"{name} is {said:,}, and {whose} allows {most:,}", f"write {name}: {most}"
    if caps.budget_tokens is not None and operator.budget_tokens is None:
        message = (
            f"{operator.op} has no budget, and {whose} allows {caps.budget_tokens:,} tokens for the"
            " whole recipe"
        )
        yield "budget_tokens", message, f"write budget_tokens: {caps.budget_tokens}, or less"
