"""What an operator says of itself, tried out before any row reaches it."""

from __future__ import annotations

import importlib.util
import math
from collections.abc import Callable, Collection, Iterator, Mapping
from functools import partial
from numbers import Real
from typing import Any

from pydantic import ValidationError

from datachef.core.assets.store import is_stored
from datachef.core.contracts.corpus import MixOperator, Size
from datachef.core.contracts.filter import Filter
from datachef.core.contracts.operator import Operator
from datachef.core.contracts.source import Source
from datachef.core.errors import DatachefError, PluginError, did_you_mean
from datachef.core.system.containment import ENDINGS, cause_of
from datachef.core.system.failures import raise_environment_failure
from datachef.core.text.values import described

# Columns that every row has.
ALWAYS = frozenset({"id", "source", "text"})
RESERVED = ALWAYS | {"messages"}

# Methods that return a changed copy of the operator.
_REMADE = frozenset({"located", "for_task", "scaled", "connect", "without_repeats"})
# Methods that return problems, each as (parameter, message, hint).
_REPORTING = frozenset({"check", "shortages"})
# Methods of a mix that return something for each source.
_OF_SOURCES = frozenset({"shares", "asked", "epochs", "sizes"})


def ask(operator: Operator, method: str, *arguments: Any) -> Any:
    """What a method of an operator answers; an exception of its author's is a `PluginError`."""
    try:
        answer = getattr(operator, method)(*arguments)
        answer = list(answer) if isinstance(answer, Iterator) else answer  # a generator runs here
    except DatachefError:
        raise
    except ENDINGS as error:
        raise_environment_failure(error)
        raise PluginError(f"{method}() of {operator.op} raised {cause_of(error)}") from error
    if method in _REMADE and not isinstance(answer, Operator):
        raise PluginError(f"{method}() of {operator.op} gave {described(answer)}, no operator")
    if method in _REPORTING and not _are_problems(answer):
        raise PluginError(
            f"{method}() of {operator.op} gave {described(answer)}, "
            "not a list of (parameter, message, hint)"
        )
    if method in _OF_SOURCES and (problem := _of_sources(method, answer)):
        raise PluginError(f"{method}() of {operator.op} {problem}")
    if method == "epochs" and (unsaid := set(arguments[0]) - set(answer)):
        raise PluginError(f"epochs() of {operator.op} says nothing of the source {min(unsaid)!r}")
    return answer


def _are_problems(answer: Any) -> bool:
    return isinstance(answer, Collection) and all(
        isinstance(problem, tuple | list) and [type(part) for part in problem] == [str, str, str]
        for problem in answer
    )


def _of_sources(method: str, answer: Any) -> str:
    """What is wrong with the answer of a mix for its sources: sizes, or numbers of at least 0."""
    if method == "shares" and answer is None:
        return ""
    what = "sizes" if method == "sizes" else "numbers"
    if not isinstance(answer, Mapping):
        return f"gave {described(answer)}, not a mapping of sources to {what}"
    for name, value in answer.items():
        if not isinstance(name, str):
            return f"has {described(name)} for a source"
        if method == "sizes" and not isinstance(value, Size):
            return f"gave {described(value)} for the source {name!r}, which is no Size"
        numbers: tuple[Any, ...] = (value.rows, value.tokens) if method == "sizes" else (value,)
        for number in numbers:
            if not isinstance(number, Real) or not 0 <= number < math.inf:  # type: ignore[operator]
                return f"gave {described(number)} for the source {name!r}, no number of at least 0"
    return ""


def _unit_problem(answer: Any) -> str:
    return "" if answer in ("tokens", "rows") else f"is {described(answer)}, not 'tokens' or 'rows'"


def broken_defaults(kind: type[Operator]) -> list[str]:
    """What is wrong with an operator as it is by default; nothing where it needs parameters."""
    if any(field.is_required() for name, field in kind.model_fields.items() if name != "op"):
        return []
    try:
        operator = kind(op=kind.name())
    except ValidationError as error:
        wrong = ", ".join(".".join(map(str, item["loc"])) or "op" for item in error.errors())
        return [f"its own defaults are not valid: {wrong}"]
    except ENDINGS as error:
        return [f"it cannot be made: {cause_of(error)}"]
    found = broken_answers(operator)
    return found if found or is_unready(operator) else broken_rules(operator)


def missing_packages(operator: Operator | Source) -> list[tuple[str, str]]:
    """Modules that an operator or a source needs and that are not installed, each with what pip
    installs."""
    return [
        (module, needed)
        for module, needed in operator.requires().items()
        if importlib.util.find_spec(module.split(".")[0]) is None
    ]


def is_unready(operator: Operator) -> bool:
    """Whether a package or an asset that an operator needs is missing."""
    return bool(missing_packages(operator)) or not all(map(is_stored, operator.assets()))


def broken_answers(operator: Operator) -> list[str]:
    """What is wrong with what the methods of an operator answer, each in one line."""
    found: list[str] = []
    for method, problem_of in _WANTED.items():
        found += _broken(method, getattr(operator, method), problem_of)
    if isinstance(operator, MixOperator):
        found += _broken("shares", operator.shares, partial(_of_sources, "shares"))
        found += _broken("unit", lambda: operator.unit, _unit_problem)
    return found


def _broken(name: str, method: Callable[[], Any], problem_of: Callable[[Any], str]) -> list[str]:
    try:
        problem = problem_of(method())
    except ENDINGS as error:
        problem = f"raised {cause_of(error)}"
    return [f"{name}() {problem}"] if problem else []


def broken_rules(operator: Operator) -> list[str]:
    """What is wrong with the reasons of an operator, and with the signals and rules of a filter,
    each in one line: rules read its signals and the columns that it declares, and have reasons.

    Builds expressions, for which what `requires()`, `files()` and `assets()` name has to be there.
    """
    found: list[str] = []
    if isinstance(operator, Filter):
        found += _broken("signals", operator.signals, partial(_named, "signals"))
        found += _broken("rules", operator.rules, partial(_named, "rules"))
        found = found or _broken("signal_names", operator.signal_names, _names)
    found = found or _broken("identity", operator.identity, identity_problem)
    if isinstance(operator, Filter):
        found = found or _broken("signal_identity", operator.signal_identity, identity_problem)
    found = found or _broken("reasons", operator.reasons, _names)
    return found if found or not isinstance(operator, Filter) else _broken_expressions(operator)


def _broken_expressions(operator: Filter) -> list[str]:
    signals, rules, reasons = operator.signals(), operator.rules(), operator.reasons()
    lasting = {name for name in signals if not name.startswith("_")}
    columns = ALWAYS | set(operator.reads())
    found = [f"the signal {n!r} has the name of a column" for n in sorted(lasting & RESERVED)]
    intermediates = [name for name in signals if name not in lasting]
    for name, signal in signals.items():
        if _is_expression(signal):
            beside = intermediates if name in lasting else _before(name, intermediates)
            found += _unknown(f"the signal {name!r}", signal, columns | set(beside))
        elif name not in lasting:
            found.append(f"the intermediate {name!r} is {described(signal)}, not an expression")
        elif not callable(signal):
            found.append(
                f"the signal {name!r} is {described(signal)}, neither an expression nor a function"
            )
    for name, rule in rules.items():
        if _is_expression(rule):
            found += _unknown(f"the rule {name!r}", rule, lasting | columns)
        else:
            found.append(f"the rule {name!r} is {described(rule)}, not an expression")
    found += [f"reasons() does not name the rule {name!r}" for name in rules if name not in reasons]
    return found


def _before(name: str, names: list[str]) -> list[str]:
    return names[: names.index(name)]


def _unknown(what: str, expression: Any, known: Collection[str]) -> list[str]:
    """The columns that an expression reads and that are not there."""
    unknown = [name for name in dict.fromkeys(expression.meta.root_names()) if name not in known]
    why = "which is no signal and not in reads()"
    return [f"{what} reads {name!r}, {why} ({did_you_mean(name, known)})" for name in unknown]


def _is_expression(value: Any) -> bool:
    import polars as pl

    return isinstance(value, pl.Expr)


def _named(what: str, answer: Any) -> str:
    if not isinstance(answer, Mapping):
        return f"gave {described(answer)}, not a mapping of names to {what}"
    odd = next((name for name in answer if not isinstance(name, str) or not name), None)
    return "" if odd is None else f"has {described(odd)} for a name"


def _names(answer: Any) -> str:
    if isinstance(answer, str) or not isinstance(answer, Collection):
        return f"gave {described(answer)}, not names"
    odd = next((name for name in answer if not isinstance(name, str)), None)
    return "" if odd is None else f"holds {described(odd)}, which is no name"


def _requirements(answer: Any) -> str:
    if not isinstance(answer, Mapping):
        return f"gave {described(answer)}, not a mapping of modules to what pip installs"
    return _names(answer) or _names(answer.values())


def identity_problem(answer: Any) -> str:
    """Why something is not what a result depends on, as plain data; empty where it is."""
    import orjson

    if not isinstance(answer, dict) or not isinstance(answer.get("parameters"), dict):
        return f"gave {described(answer)}, not a dictionary with `parameters`"
    try:
        orjson.dumps(answer)
    except (TypeError, ValueError, RecursionError) as error:
        return f"gave what cannot be stored as JSON: {error}"
    return ""


def _yes_or_no(answer: Any) -> str:
    return "" if isinstance(answer, bool) else f"is {described(answer)}, not True or False"


_WANTED: dict[str, Callable[[Any], str]] = {
    "reads": _names,
    "writes": _names,
    "files": _names,
    "assets": _names,
    "requires": _requirements,
    "runs_code": _yes_or_no,
}
