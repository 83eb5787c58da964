"""What a prompt template may do with values: filters and tests, and the work that they cost.

Values are what rows hold (text, numbers, booleans, lists, mappings, null), never objects with
methods. Text stays text: no filter makes a list of its letters, so no loop goes over them.
"""

from __future__ import annotations

import inspect
import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from numbers import Number
from typing import Any

# Of one template and row. A step takes about a microsecond.
MAX_STEPS = 300_000
_CHARACTERS_PER_STEP = 1_000
_CHARACTERS_PER_STEP_BY_WORD = 20  # to find words, or one of several characters
_CHARACTERS_PER_STEP_TO_SPLIT = 4
_CHARACTERS_PER_STEP_TO_QUOTE = 20  # each may become ten
_MOST_DIGITS = 15
_MOST_TRIMMED = 20

_WORD = re.compile(r"\w+")
_WORD_START = re.compile(r"([-\s({\[<]+)")


class PromptError(ValueError):
    """A template that is not allowed, or that cannot be rendered for a row."""


class PromptTooLongError(PromptError):
    """A rendered prompt beyond the limit."""


class Work:
    """Counts down the steps that are left for a template and a row."""

    def __init__(self) -> None:
        self._left = MAX_STEPS

    def spend(self, steps: int = 1) -> None:
        """Raises `PromptError` where no step is left."""
        self._left -= steps
        if self._left < 0:
            raise PromptError(f"rendering the prompt takes more than {MAX_STEPS:,} steps")

    def read(self, characters: int, per_step: int = _CHARACTERS_PER_STEP) -> None:
        """Spends what it takes to go over so much text."""
        self.spend(1 + characters // per_step)

    def compare(self, value: Any, per_step: int = _CHARACTERS_PER_STEP) -> None:
        """Spends what it takes to go over a value with all that lies in it."""
        if isinstance(value, str):
            self.read(len(value), per_step)
        elif isinstance(value, list | tuple | Mapping):
            self.spend(1 + len(value))
            parts = chain(value, value.values()) if isinstance(value, Mapping) else value
            for part in parts:
                self.compare(part, per_step)


@dataclass(frozen=True)
class Undefined:
    """What stands where a row has no such value; only `default`, `defined` and `undefined` take it.

    `what` tells people what is missing.
    """

    what: str


def known(value: Any) -> Any:
    """The value; one that is not there is a `PromptError`."""
    if isinstance(value, Undefined):
        raise PromptError(value.what)
    return value


def text_of(work: Work, value: Any) -> str:
    """A value as it is written into a prompt."""
    if isinstance(value, str):
        return value
    work.compare(value, _CHARACTERS_PER_STEP_TO_QUOTE)
    return str(value)


def concatenated(work: Work, texts: Sequence[str], separator: str = "") -> str:
    """The texts in one; what it costs is spent before it is made."""
    work.read(sum(map(len, texts)) + len(separator) * max(len(texts) - 1, 0))
    return separator.join(texts)


def member(value: Any, key: Any) -> Any:
    """An item of a list or text, a field of a mapping; `Undefined` where there is none."""
    fits = (isinstance(value, Mapping) and isinstance(key, str)) or (
        isinstance(value, str | list | tuple) and isinstance(key, int)
    )
    try:
        return value[key] if fits else Undefined(f"there is no {key!r} in a {_kind(value)}")
    except LookupError:
        return Undefined(f"there is no {key!r} in the {_kind(value)}")


def _kind(value: Any) -> str:
    kinds = {str: "text", list: "list", tuple: "list", bool: "boolean", type(None): "null"}
    number = "number" if isinstance(value, Number) else "mapping"
    return kinds.get(type(value), number)


def _text(work: Work, value: Any, per_step: int = _CHARACTERS_PER_STEP) -> str:
    text = text_of(work, value)
    work.read(len(text), per_step)
    return text


def _capitalize(work: Work, value: Any) -> str:
    return _text(work, value).capitalize()


def _default(work: Work, value: Any, default_value: Any = "", boolean: bool = False) -> Any:
    missing = isinstance(value, Undefined) or (boolean and not value)
    return default_value if missing else value


def _first(work: Work, value: Any) -> Any:
    return member(_sequence(value), 0)


def _last(work: Work, value: Any) -> Any:
    return member(_sequence(value), -1)


def _join(work: Work, value: Any, d: str = "", attribute: str | int | None = None) -> str:
    if not isinstance(value, list | tuple):
        raise PromptError(f"join takes a list, not a {_kind(value)}")
    work.spend(len(value))
    parts = value if attribute is None else [known(member(item, attribute)) for item in value]
    return concatenated(work, [text_of(work, part) for part in parts], text_of(work, d))


def _length(work: Work, value: Any) -> int:
    return len(value)


def _lower(work: Work, value: Any) -> str:
    return _text(work, value).lower()


def _round(work: Work, value: Any, precision: int = 0, method: str = "common") -> Any:
    ways: dict[str, Callable[[float], float]] = {"floor": math.floor, "ceil": math.ceil}
    if not isinstance(precision, int) or abs(precision) > _MOST_DIGITS:
        raise PromptError(f"round keeps {_MOST_DIGITS} digits at most")
    value = number(value)
    if method == "common":
        return round(value, precision)
    if method not in ways:
        raise PromptError("round is common, floor or ceil")
    return ways[method](value * 10**precision) / 10**precision


def _title(work: Work, value: Any) -> str:
    parts = _WORD_START.split(_text(work, value, _CHARACTERS_PER_STEP_TO_SPLIT))
    return "".join(part[:1].upper() + part[1:].lower() for part in parts)


def _trim(work: Work, value: Any, chars: str | None = None) -> str:
    if chars is not None and len(chars) > _MOST_TRIMMED:
        raise PromptError(f"trim takes {_MOST_TRIMMED} characters at most")
    per_step = _CHARACTERS_PER_STEP_BY_WORD if chars else _CHARACTERS_PER_STEP
    return _text(work, value, per_step).strip(chars)


def _truncate(
    work: Work,
    value: Any,
    length: int = 255,
    killwords: bool = False,
    end: str = "...",
    leeway: int = 5,
) -> str:
    if not isinstance(value, str):
        raise PromptError(f"truncate takes text, not a {_kind(value)}")
    if length < len(end) or leeway < 0:
        raise PromptError(f"truncate to {length} leaves no room for {end!r}")
    if len(value) <= length + leeway:
        return value
    work.read(length)
    kept = value[: length - len(end)]
    return (kept if killwords else kept.rsplit(" ", 1)[0]) + end


def _upper(work: Work, value: Any) -> str:
    return _text(work, value).upper()


def _wordcount(work: Work, value: Any) -> int:
    text = _text(work, value, _CHARACTERS_PER_STEP_BY_WORD)
    return sum(1 for _ in _WORD.finditer(text))


def _sequence(value: Any) -> Any:
    if not isinstance(value, str | list | tuple):
        raise PromptError(f"a {_kind(value)} has no first and no last")
    return value


def is_in(work: Work, value: Any, seq: Any) -> bool:
    """Whether a text holds another, a list an item, a mapping a field."""
    if not isinstance(seq, Mapping):
        work.compare(seq)
    return bool(value in seq)


def number(value: Any) -> Any:
    """The number; of anything else Python has a meaning of its own (`%` formats text)."""
    if not isinstance(value, int | float):
        raise PromptError(f"a {_kind(value)} is no number")
    return value


FILTERS: Mapping[str, Callable[..., Any]] = {
    "capitalize": _capitalize,
    "default": _default,
    "first": _first,
    "join": _join,
    "last": _last,
    "length": _length,
    "lower": _lower,
    "round": _round,
    "title": _title,
    "trim": _trim,
    "truncate": _truncate,
    "upper": _upper,
    "wordcount": _wordcount,
}
TESTS: Mapping[str, Callable[..., bool]] = {
    "defined": lambda work, value: not isinstance(value, Undefined),
    "undefined": lambda work, value: isinstance(value, Undefined),
    "none": lambda work, value: value is None,
    "string": lambda work, value: isinstance(value, str),
    "number": lambda work, value: isinstance(value, Number),
    "sequence": lambda work, value: isinstance(value, str | list | tuple | Mapping),
    "even": lambda work, value: number(value) % 2 == 0,
    "odd": lambda work, value: number(value) % 2 == 1,
    "in": is_in,
    "divisibleby": lambda work, value, num: number(value) % number(num) == 0,
}
# Those that are asked of what may not be there.
TAKE_UNDEFINED = frozenset({"default", "defined", "undefined"})


def fits(function: Callable[..., Any], positional: int, names: Sequence[str]) -> bool:
    """Whether a filter or test takes this number of arguments, and others of these names."""
    try:
        inspect.signature(function).bind(None, None, *range(positional), **dict.fromkeys(names))
    except TypeError:
        return False
    return True
