"""Python values as JSON and back, between processes that need not trust each other.

Numbers, texts, containers and the like become copies, everything else a reference to an object
that stays where it is. Nothing that is read is ever run: what can be made is listed here. Needs the
standard library alone, so that a script can load it by path.
"""

from __future__ import annotations

import base64
import builtins
import collections
import datetime
import decimal
import enum
import fractions
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property, lru_cache, partial
from typing import Any, Protocol

from datachef.reward.metrics.remote import Asker, RemoteObject, plain


class RemoteError(Exception):
    """An exception of the other side whose class is not known here."""


class ChannelEnd(Asker, Protocol):
    """What packing has to know of an end of the channel.

    `shared` gives the classes of which both sides have a definition of their own, by name: their
    instances cross as copies. `errors` are the classes made here for exceptions of the other side,
    `remotes` its other objects, each by its number.
    """

    shared: Callable[[], Mapping[str, type]]
    remotes: dict[int, RemoteObject]
    errors: dict[int, type[BaseException]]

    def hand_over(self, value: object) -> int: ...

    def handed(self, number: int) -> object: ...


_PLAIN = (type(None), bool, float, str)
_SMALL = 1 << 53
_SEQUENCES: dict[type, str] = {
    list: "list", tuple: "tuple", set: "set", frozenset: "frozenset",
}  # fmt: skip
_MAPPINGS: dict[type, str] = {
    dict: "dict", collections.OrderedDict: "OrderedDict", collections.Counter: "Counter",
    collections.defaultdict: "defaultdict",
}  # fmt: skip
_MAKE: dict[str, Callable[[], Any]] = {
    "list": list, "set": set, "deque": collections.deque, "bytearray": bytearray,
    **{name: made for made, name in _MAPPINGS.items()},
}  # fmt: skip
_TIMES: dict[type, str] = {
    datetime.date: "date", datetime.time: "time", datetime.datetime: "datetime",
}  # fmt: skip
# Kinds of nodes whose objects can be changed in place.
CHANGING = {*_MAKE, "object", "array"}
_ARRAY = re.compile(r"[<>|=][biufcSU]\d{1,6}")
QUIET = (StopIteration, StopAsyncIteration, GeneratorExit)
# Modules whose exceptions tests expect by their classes. None of them skips a test.
_RAISING = {
    "_csv", "_queue", "asyncio", "binascii", "calendar", "configparser", "dataclasses", "decimal",
    "graphlib", "ipaddress", "json", "numpy", "queue", "re", "sqlite3", "statistics", "struct",
    "xml", "zlib",
}  # fmt: skip
# Attributes that a class computes itself.
_COMPUTED = (property, cached_property)
_MISSING, _UNFINISHED = object(), object()


class Packing:
    """Values as a list of nodes, which refer to one another by place: `[3]`, and by `[-1]`, `[-2]`,
    ... to what the other side has sent in the same exchange."""

    def __init__(self, channel: ChannelEnd, known: Sequence[Any]) -> None:
        self._channel = channel
        self.nodes: list[Any] = []
        self.kept: list[Any] = []
        self._places = {id(value): -1 - place for place, value in enumerate(known)}
        self._left: list[int] = []

    def reference(self, value: Any) -> Any:
        if type(value) in _PLAIN or (type(value) is int and -_SMALL < value < _SMALL):
            return value
        if id(value) not in self._places:
            self._places[id(value)] = len(self.nodes)
            self._left.append(len(self.nodes))
            self.nodes.append(None)
            self.kept.append(value)
        return [self._places[id(value)]]

    def finish(self) -> None:
        while self._left:
            place = self._left.pop()
            self.nodes[place] = self.node(self.kept[place])

    def node(self, value: Any) -> list[Any]:  # noqa: PLR0912 - a list of kinds
        kind, ref = type(value), self.reference
        if kind in _SEQUENCES:
            return [_SEQUENCES[kind], [ref(item) for item in value]]
        if kind in _MAPPINGS:
            return [_MAPPINGS[kind], [ref(part) for item in value.items() for part in item]]
        if kind is int:
            return ["int", hex(value)]
        if kind in {bytes, bytearray}:
            return [kind.__name__, base64.b64encode(value).decode()]
        if kind is collections.deque:
            return ["deque", [ref(item) for item in value], value.maxlen]
        if kind is complex:
            return ["complex", value.real, value.imag]
        if kind is range:
            return ["range", ref(value.start), ref(value.stop), ref(value.step)]
        if kind is slice:
            return ["slice", ref(value.start), ref(value.stop), ref(value.step)]
        if kind is decimal.Decimal:
            return ["Decimal", str(value)]
        if kind is fractions.Fraction:
            return ["Fraction", ref(value.numerator), ref(value.denominator)]
        if kind in _TIMES:
            return [_TIMES[kind], value.isoformat()]
        if kind is datetime.timedelta:
            return ["timedelta", value.days, value.seconds, value.microseconds]
        if value is Ellipsis or value is NotImplemented:
            return ["constant", "Ellipsis" if value is Ellipsis else "NotImplemented"]
        if isinstance(value, RemoteObject):
            return ["yours", value._number]
        if isinstance(value, BaseException):
            state = {n: ref(v) for n, v in _state(value).items() if n[:2] != "__"}
            args = value.args
            if isinstance(value, BaseExceptionGroup):
                args = (value.message, value.exceptions)
            return ["error", self._error_class(kind), [ref(part) for part in args], state]
        if isinstance(value, type):
            return self._type(value)
        if kind is type(sys) and _known_module(value.__name__):
            return ["module", value.__name__]
        if kind.__module__ == "numpy" and (array := self._array(value)) is not None:
            return array
        return self._instance(value)

    def _instance(self, value: Any) -> list[Any]:
        kind = type(value)
        if self._channel.shared().get(kind.__name__) is kind:
            if isinstance(value, enum.Enum):
                return ["member", kind.__name__, value.name]
            if plain(value) is None:
                state = _state(value)
                return ["object", kind.__name__, {n: self.reference(v) for n, v in state.items()}]
        # What extends a type of Python's own without more methods crosses as a copy of that type.
        if not _has_methods(kind) and (copy := plain(value)) is not None:
            if isinstance(value, tuple) and isinstance(getattr(kind, "_fields", None), tuple):
                parts = [self.reference(part) for part in copy]
                return ["namedtuple", kind.__name__, list(kind._fields), parts]
            return [type(copy).__name__, copy] if type(copy) in _PLAIN else self.node(copy)
        if hasattr(kind, "__await__"):
            return ["awaitable", self._channel.hand_over(value)]
        return ["mine", self._channel.hand_over(value)]

    def _type(self, value: type) -> list[Any]:
        if (found := _builtin_type(value.__name__)) is value:
            return ["type", found.__name__]
        if self._channel.shared().get(value.__name__) is value:
            return ["shared", value.__name__]
        if issubclass(value, BaseException):
            return ["errors", self._error_class(value)]
        return ["mine", self._channel.hand_over(value)]

    def _error_class(self, kind: type) -> list[Any]:
        """The name of a class of exceptions and its module or, where it is no one's but ours, its
        number and its bases, or nothing where it stands for one of theirs."""
        if getattr(builtins, kind.__name__, None) is kind:
            return [kind.__name__]
        if _error_of(kind.__module__, kind.__name__) is kind:
            return [kind.__name__, kind.__module__]
        for number, made in self._channel.errors.items():
            if made is kind:
                return [kind.__name__, number, None]
        bases = [self._error_class(b) for b in kind.__bases__ if issubclass(b, BaseException)]
        return [kind.__name__, self._channel.hand_over(kind), bases]

    @staticmethod
    def _array(value: Any) -> list[Any] | None:
        import numpy as np

        if not isinstance(value, np.ndarray | np.generic) or value.dtype.hasobject:
            return None
        if _ARRAY.fullmatch(value.dtype.str) is None:
            return None
        data = base64.b64encode(value.tobytes()).decode()
        shape = list(value.shape) if isinstance(value, np.ndarray) else None
        return ["array", value.dtype.str, shape, data]


class Unpacking:
    """Makes values of nodes. What is made of others is made at once, what can be changed later is
    filled later, so that cycles are possible."""

    def __init__(self, channel: ChannelEnd, nodes: list[Any], known: Sequence[Any]) -> None:
        self._channel = channel
        self._nodes = nodes
        self._known = known
        self.made: list[Any] = [_MISSING] * len(nodes)
        self.found: list[Any] = []
        self._first: list[tuple[Any, list[Any]]] = []
        self._last: list[tuple[Any, list[Any]]] = []

    def value(self, reference: Any) -> Any:
        if not isinstance(reference, list):
            if type(reference) is int or type(reference) in _PLAIN:
                return reference
            raise TypeError
        (place,) = reference
        if place < 0:
            return self._known[-1 - place]
        if self.made[place] is _MISSING:
            self.made[place] = _UNFINISHED
            node = self._nodes[place]
            made = self._make(node)
            self.made[place] = made
        if self.made[place] is _UNFINISHED:
            raise ValueError
        return self.made[place]

    def finish(self) -> None:
        """Fills what is empty; what hashes its parts comes after those are filled."""
        while self._first or self._last:
            value, node = self._first.pop() if self._first else self._last.pop(0)
            self._fill(value, node)

    def change(self, value: Any, node: list[Any]) -> None:
        """Makes a value of ours the same as it has become on the other side."""
        kind = node[0]
        if kind == "array":
            value[...] = self._array(node)
        elif kind == "object" and type(value) is self._channel.shared().get(node[1]):
            for name in set(_state(value)) - set(node[2]):
                object.__delattr__(value, name)
            self._first.append((value, node))
        elif type(value) is type(_MAKE[kind]()):
            parts = [self.value(part) for part in node[1]] if kind != "bytearray" else node[1]
            value.clear()
            self._put(value, kind, parts)
        else:
            raise TypeError

    def _fill(self, value: Any, node: list[Any]) -> None:
        if node[0] in {"object", "error"}:
            for name, part in node[-1].items():
                ours = getattr(type(value), name, None)
                if name.startswith("__") or callable(ours):
                    raise TypeError  # the class, all attributes at once, a method of the tests
                if not isinstance(ours, _COMPUTED):
                    object.__setattr__(value, name, self.value(part))
            return
        self._put(value, node[0], [self.value(part) for part in node[1]])

    @staticmethod
    def _put(value: Any, kind: str, parts: Any) -> None:
        if kind in {"list", "deque"}:
            value.extend(parts)
        elif kind == "set":
            value.update(parts)
        elif kind == "bytearray":
            value[:] = base64.b64decode(parts)
        else:
            dict.update(value, zip(parts[::2], parts[1::2], strict=True))

    def _make(self, node: list[Any]) -> Any:  # noqa: PLR0912 - a list of kinds
        kind, *rest = node
        value = self.value
        if kind == "deque":
            made: Any = collections.deque(maxlen=rest[1])
            self._first.append((made, node))
            return made
        if kind in {"bytearray", "bytes"}:
            data = base64.b64decode(rest[0])
            return data if kind == "bytes" else bytearray(data)
        if kind in _MAKE:
            made = _MAKE[kind]()
            (self._first if kind == "list" else self._last).append((made, node))
            return made
        if kind == "namedtuple":
            return self._named_tuple(rest[0], tuple(rest[1]), [value(part) for part in rest[2]])
        if kind in {"tuple", "frozenset"}:
            return (tuple if kind == "tuple" else frozenset)(value(part) for part in rest[0])
        if kind == "object":
            made = object.__new__(self._channel.shared()[rest[0]])
            self._first.append((made, node))
            return made
        if kind == "int":
            return int(rest[0], 16)
        if kind in {"float", "str"}:
            return {"float": float, "str": str}[kind](rest[0])
        if kind == "complex":
            return complex(rest[0], rest[1])
        if kind in {"range", "slice", "Fraction"}:
            makers = {"range": range, "slice": slice, "Fraction": fractions.Fraction}
            return makers[kind](*map(value, rest))
        if kind == "Decimal":
            return decimal.Decimal(rest[0])
        if kind in _TIMES.values():
            return getattr(datetime, kind).fromisoformat(rest[0])
        if kind == "timedelta":
            return datetime.timedelta(*rest)
        if kind == "constant":
            return {"Ellipsis": Ellipsis, "NotImplemented": NotImplemented}[rest[0]]
        if kind == "array":
            return self._array(node)
        if kind == "error":
            found = self._error_class(rest[0])
            # Classes of Python's own take the arguments as they are; what others do with them has
            # been done, and is in the attributes.
            make = found if found.__module__ == "builtins" else partial(found.__new__, found)
            made = make(*map(value, rest[1]))
            self._first.append((made, node))
            return made
        return self._make_reference(kind, rest)

    def _named_tuple(self, name: str, fields: tuple[str, ...], parts: list[Any]) -> tuple[Any, ...]:
        known = self._channel.shared().get(name)
        same = isinstance(known, type) and getattr(known, "_fields", None) == fields
        cls = known if same and issubclass(known, tuple) else _named_tuples(name, fields)  # type: ignore[arg-type]
        if len(parts) != len(fields):
            raise ValueError
        return tuple.__new__(cls, parts)  # type: ignore[arg-type]

    def _make_reference(self, kind: str, rest: list[Any]) -> Any:
        channel = self._channel
        if kind == "mine":
            number = int(rest[0])  # the same object each time, as tests compare by `is`
            return channel.remotes.setdefault(number, RemoteObject(channel, number))
        if kind == "yours":
            return channel.handed(int(rest[0]))
        if kind == "awaitable":
            return _waiting(RemoteObject(channel, int(rest[0])))
        if kind == "errors":
            return self._error_class(rest[0])
        if kind == "member":
            return channel.shared()[rest[0]][rest[1]]  # type: ignore[index]
        if kind == "shared":
            return channel.shared()[rest[0]]
        if kind == "type" and (found := _builtin_type(rest[0])) is not None:
            return found
        if kind == "module" and _known_module(rest[0]):
            import importlib

            return importlib.import_module(rest[0])
        raise ValueError

    def _error_class(self, names: list[Any]) -> type[BaseException]:
        """A class of exceptions: ours, or one with the name and the bases of one that is not."""
        known = self._channel.shared().get(names[0])
        if len(names) == 1:
            found = getattr(builtins, names[0])
        elif len(names) == 2:
            found = _error_of(names[1], names[0])
        elif names[2] is None:
            found = self._channel.handed(int(names[1]))
        elif isinstance(known, type) and issubclass(known, BaseException):
            found = known
        else:
            classes = self._channel.errors
            if names[1] not in classes:
                bases = map(self._error_class, names[2])
                kept = dict.fromkeys(b if issubclass(b, Exception) else RemoteError for b in bases)
                classes[names[1]] = type(str(names[0]), tuple(kept), {})
            found = classes[names[1]]
        if not issubclass(found, BaseException) or issubclass(found, QUIET):
            return RemoteError
        return found  # type: ignore[no-any-return]

    @staticmethod
    def _array(node: list[Any]) -> Any:
        import numpy as np

        _, kind, shape, data = node
        if _ARRAY.fullmatch(kind) is None:
            raise ValueError
        flat = np.frombuffer(base64.b64decode(data), dtype=np.dtype(kind))
        return flat[0] if shape is None else flat.reshape([int(size) for size in shape]).copy()


@lru_cache(maxsize=256)
def _named_tuples(name: str, fields: tuple[str, ...]) -> type[tuple[Any, ...]]:
    return collections.namedtuple(name, fields)


def _has_methods(kind: type) -> bool:
    """Whether a class of a program has methods that Python's own types do not have."""
    return any(
        callable(found) or isinstance(found, property | classmethod)
        for each in kind.__mro__
        if each.__module__ == "__main__"
        for name, found in vars(each).items()
        if not name.startswith("_")
    )


def _error_of(module: str, name: str) -> Any:
    """A class of exceptions by its module, where that is one of those that tests may expect."""
    if module.partition(".")[0] not in _RAISING:
        return None
    import importlib

    found = getattr(importlib.import_module(module), name, None)
    return found if isinstance(found, type) and issubclass(found, Exception) else None


def _state(value: Any) -> dict[str, Any]:
    slots = [name for cls in type(value).__mro__ for name in getattr(cls, "__slots__", ())]
    found = {n: getattr(value, n) for n in slots if n[:2] != "__" and hasattr(value, n)}
    return {**found, **getattr(value, "__dict__", {})}


def _builtin_type(name: str) -> type | None:
    """A type of Python's own by its name; none that makes types."""
    found = getattr(builtins, name, None)
    return found if isinstance(found, type) and not issubclass(found, type) else None


def _known_module(name: str) -> bool:
    return name.partition(".")[0] in {*sys.stdlib_module_names, "numpy"} - {
        "__main__",
        "this",
        "antigravity",
    }


async def _waiting(remote: RemoteObject) -> Any:
    return remote._channel.ask("wait", remote)
