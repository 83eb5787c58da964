"""Where the rules of a filter cut a signal: which parameter says it, and which side is dropped."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import inf, nextafter
from typing import Any, Literal, get_args

import polars as pl

from datachef.core.contracts.filter import Filter

THRESHOLDS: dict[str, Any] = {
    "step": pl.String, "reason": pl.String, "signal": pl.String, "parameter": pl.String,
    "value": pl.Float64, "whole": pl.Boolean, "drops": pl.String, "edge": pl.Float64,
}  # fmt: skip


@dataclass(frozen=True)
class Threshold:
    """A rule that drops the rows whose `signal` lies on one side of a parameter's `value`.

    `edge` is the least number on the upper side: `value` itself, or the next number where `value`
    belongs to the lower side. `whole` says that the parameter is a whole number.
    """

    reason: str
    signal: str
    parameter: str
    value: float
    whole: bool
    drops: Literal["below", "above"]
    edge: float


def thresholds_of(operator: Filter) -> tuple[Threshold, ...]:
    """The thresholds of a filter; of rules that look at several signals, or that no number decides,
    there are none.

    Found by trying: a rule that another value of a parameter changes is evaluated beside the value.
    """
    return tuple(_found(operator))


def _found(operator: Filter) -> Iterator[Threshold]:
    rules = operator.rules()
    signals = set(operator.signal_names())
    for parameter in sorted(operator.thresholds()):
        value = getattr(operator, parameter)
        if isinstance(value, bool) or not isinstance(value, int | float):
            continue
        try:
            others = _with(operator, parameter, value + 1).rules()
        except Exception:  # noqa: BLE001, S112 - rules of plugins need not work for a value they refuse
            continue
        for reason, rule in rules.items():
            if reason not in others or rule.meta.eq(others[reason]):
                continue
            named = set(rule.meta.root_names())
            if len(named) != 1 or not named <= signals:
                continue
            (signal,) = named
            side = _side(rule, signal, float(value))
            if side is not None:
                annotation = type(operator).model_fields[parameter].annotation
                whole = float not in (annotation, *get_args(annotation))
                yield Threshold(reason, signal, parameter, float(value), whole, *side)


def _with(operator: Filter, parameter: str, value: float) -> Filter:
    """The filter with another value, which need not be one that people may give."""
    fields = {name: getattr(operator, name) for name in type(operator).model_fields}
    return type(operator).model_construct(**fields | {parameter: value})


def _side(
    rule: pl.Expr, signal: str, value: float
) -> tuple[Literal["below", "above"], float] | None:
    """Which side of the value the rule drops, and the edge of the upper side; None for a rule that
    is not decided by it alone."""
    above = nextafter(value, inf)
    far = 10 * abs(value) + 1
    tried = [value - far, nextafter(value, -inf), value, above, value + far]
    try:
        answer = pl.DataFrame({signal: tried}).select(rule.alias("dropped"))["dropped"].to_list()
    except pl.exceptions.PolarsError:
        return None
    least, before, at, after, most = answer
    if least is before is True and after is most is False:
        return "below", above if at else value
    if least is before is False and after is most is True:
        return "above", value if at else above
    return None
