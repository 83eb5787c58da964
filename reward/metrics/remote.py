"""Objects of another process, which need not be trusted.

Their operations are carried out where they live. Needs the standard library alone, so that a script
can load it by path.
"""

from __future__ import annotations

import copy
import operator
from collections.abc import Callable
from typing import Any, Literal, Protocol

Operation = Callable[..., Any]


class Asker(Protocol):
    """What carries a question to the other process and brings what it gives or raises there."""

    def ask(self, what: str, /, *args: object, **kwargs: object) -> Any: ...


class RemoteObject:
    """An object of the other process. It has no operator for something of this process, as its
    answer could not be trusted, unless it extends a type of Python's own: a copy of that has."""

    __slots__ = ("_channel", "_number")

    def __init__(self, channel: Asker, number: int) -> None:
        object.__setattr__(self, "_channel", channel)
        object.__setattr__(self, "_number", number)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__array"):  # where numpy asks for addresses of memory, which it reads
            raise AttributeError(name)
        return self._channel.ask("get", self, name)

    def __setattr__(self, name: str, value: object) -> None:
        self._channel.ask("set", self, name, value)

    def __delattr__(self, name: str) -> None:
        self._channel.ask("delete", self, name)

    def __call__(self, /, *args: object, **kwargs: object) -> Any:
        return self._channel.ask("call", self, *args, **kwargs)

    def __next__(self) -> Any:
        found = self._channel.ask("next", self)
        if not found:
            raise StopIteration
        return found[0]

    def __instancecheck__(self, instance: object) -> bool:
        return isinstance(instance, RemoteObject) and bool(
            self._channel.ask("instance", self, instance)
        )

    def __subclasscheck__(self, cls: object) -> bool:
        return isinstance(cls, RemoteObject) and bool(self._channel.ask("subclass", self, cls))

    def __copy__(self) -> Any:
        return self._channel.ask("copy", self)

    def __deepcopy__(self, memo: object) -> Any:
        return self._channel.ask("deepcopy", self)

    def __enter__(self) -> Any:
        return self._channel.ask("enter", self)

    def __exit__(self, *_: object) -> Literal[False]:
        self._channel.ask("exit", self)
        return False

    def __str__(self) -> str:
        return str(self._channel.ask("str", self))

    def __repr__(self) -> str:
        return str(self._channel.ask("repr", self))

    def __format__(self, how: str) -> str:
        return str(self._channel.ask("format", self, how))

    def __hash__(self) -> int:
        return int(self._channel.ask("hash", self))

    def __bool__(self) -> bool:
        return self._channel.ask("bool", self) is True

    def __getitem__(self, key: object) -> Any:
        return self._channel.ask("getitem", self, key)

    def __setitem__(self, key: object, value: object) -> None:
        self._channel.ask("setitem", self, key, value)

    def __delitem__(self, key: object) -> None:
        self._channel.ask("delitem", self, key)


# What says something of an object alone.
_UNARY: dict[str, Callable[[Any], Any]] = {
    "iter": iter, "len": len, "reversed": reversed, "int": int, "float": float, "complex": complex,
    "index": operator.index, "neg": operator.neg, "pos": operator.pos, "abs": abs,
    "invert": operator.invert,
}  # fmt: skip
# What compares or combines two: asked only where both are of the other process.
_BINARY: dict[str, Callable[[Any, Any], Any]] = {
    name: getattr(operator, f"__{name}__")
    for name in (
        "eq", "ne", "lt", "le", "gt", "ge", "add", "sub", "mul", "truediv", "floordiv", "mod",
        "pow", "matmul", "and", "or", "xor", "lshift", "rshift",
    )
}  # fmt: skip


def _unary(name: str) -> Callable[[RemoteObject], Any]:
    return lambda self: self._channel.ask(name, self)


def _binary(name: str) -> Callable[[RemoteObject, object], Any]:
    def ask(self: RemoteObject, other: object) -> Any:
        if isinstance(other, RemoteObject):
            return self._channel.ask(name, self, other)
        ours = self._channel.ask("plain", self)
        if ours is None or isinstance(ours, RemoteObject):
            return NotImplemented
        return _BINARY[name](ours, other)

    return ask


for _name in _UNARY:
    setattr(RemoteObject, f"__{_name}__", _unary(_name))
for _name in _BINARY:
    setattr(RemoteObject, f"__{_name}__", _binary(_name))
setattr(RemoteObject, "__doc__", property(lambda self: self._channel.ask("get", self, "__doc__")))  # noqa: B010


_BASES = (int, float, complex, str, bytes, tuple, list, dict, set, frozenset)


def plain(value: object) -> Any:
    """A copy, of a type of Python's own, of an object whose class extends one; else None."""
    for base in _BASES:
        if isinstance(value, base):
            made = base(value)  # type: ignore[arg-type]
            return made if type(made) is base else None
    return None


def _next(iterator: Any) -> list[Any]:
    try:
        return [next(iterator)]
    except StopIteration:
        return []


def _wait_for(awaitable: Any) -> Any:
    import asyncio

    async def wait() -> Any:
        return await awaitable

    return asyncio.run(wait())


OPERATIONS: dict[str, Operation] = {
    **_UNARY,
    **_BINARY,
    "get": getattr,
    "set": setattr,
    "delete": delattr,
    "call": lambda function, /, *args, **kwargs: function(*args, **kwargs),
    "next": _next,
    "instance": lambda cls, instance: isinstance(instance, cls),
    "subclass": lambda cls, other: issubclass(other, cls),
    "plain": plain,
    "copy": copy.copy,
    "deepcopy": copy.deepcopy,
    "enter": lambda manager: manager.__enter__(),
    "exit": lambda manager: manager.__exit__(None, None, None),
    "str": str,
    "repr": repr,
    "format": format,
    "hash": hash,
    "bool": bool,
    "getitem": operator.getitem,
    "setitem": operator.setitem,
    "delitem": operator.delitem,
    "wait": _wait_for,
}
# What may be asked of the functions, iterators and objects that tests hand over.
HARMLESS = {
    name: OPERATIONS[name]
    for name in (*_BINARY, "call", "next", "iter", "len", "getitem", "bool", "hash", "str", "repr",
                 "plain", "copy", "deepcopy")
}  # fmt: skip
