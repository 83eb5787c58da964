"""How the caps on language models reach the space: no draft asks for more than `check` allows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from datachef.core.language_model_caps import LanguageModelCaps
from datachef.core.operator import Operator
from datachef.core.synthesis import Synthesis
from datachef.policy.space.limits import Limits
from datachef.policy.space.steps import NotOfferedError, same

Fits = Callable[[Any], bool]


def within_caps(
    kind: type[Operator], limits: Limits, caps: LanguageModelCaps, places: int
) -> tuple[Limits, frozenset[str]]:
    """The limits with the values that the caps allow for the parameters of an operator, and those
    of them whose default is none of these.

    `places` is how many steps a draft has at most: each may spend as large a part of the budget, so
    that all together stay within it. Raises `NotOfferedError` where nothing may be asked.
    """
    if not issubclass(kind, Synthesis):
        return limits, frozenset()
    if caps.models is None or caps.budget_tokens is None:
        why = "language_models of the pool, or the environment, has to name models and a budget"
        raise NotOfferedError(f"{why} for {kind.name()}.model")
    share = caps.budget_tokens // max(places, 1)
    most = {"budget_tokens": share, **_numbers(caps)}
    allowed: dict[str, tuple[tuple[Any, ...], Fits]] = {
        name: ((number,) if number else (), _at_most(number)) for name, number in most.items()
    }
    allowed["model"] = (caps.models, caps.models.__contains__)
    if caps.backends is not None:
        allowed["backend"] = (caps.backends, caps.backends.__contains__)
    parameters, always = dict(limits.parameters), set()
    for name, (values, fits) in allowed.items():
        key, usual = f"{kind.name()}.{name}", kind.model_fields[name].get_default()
        if key not in parameters and fits(usual):
            continue
        kept = tuple(value for value in parameters.get(key, values) if fits(value))
        if not kept:
            raise NotOfferedError(f"the caps on language models allow no value of {key}")
        parameters[key] = kept
        if not any(same(value, usual) for value in kept):
            always.add(name)
    return limits.model_copy(update={"parameters": parameters}), frozenset(always)


def _numbers(caps: LanguageModelCaps) -> dict[str, int]:
    found = {name: getattr(caps, name) for name in ("max_tokens", "max_concurrency")}
    return {name: number for name, number in found.items() if number is not None}


def _at_most(number: int) -> Fits:
    return lambda said: isinstance(said, int) and said <= number
