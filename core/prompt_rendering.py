"""Interprets prompt templates: trees that `core.prompts` has checked, one row at a time."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from datachef.core.prompt_values import (
    FILTERS,
    TAKE_UNDEFINED,
    TESTS,
    PromptError,
    PromptTooLongError,
    Undefined,
    Work,
    concatenated,
    is_in,
    known,
    member,
    number,
    text_of,
)

if TYPE_CHECKING:
    from jinja2.nodes import Template

_COMPARISONS: Mapping[str, Callable[[Any, Any], Any]] = {
    "eq": operator.eq,
    "ne": operator.ne,
    "gt": operator.gt,
    "gteq": operator.ge,
    "lt": operator.lt,
    "lteq": operator.le,
}


def rendered(tree: Template, values: Mapping[str, Any], limit: int) -> str:
    """The text of a checked template. Raises `PromptError`, past `limit` characters
    `PromptTooLongError`."""
    parts: list[str] = []
    length = 0
    try:
        for part in _Interpreter(values).parts(tree):
            length += len(part)
            if length > limit:
                raise PromptTooLongError(f"the prompt is longer than {limit:,} characters")
            parts.append(part)
    except PromptError:
        raise
    except RecursionError as error:
        raise PromptError("a value is nested too deeply") from error
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        raise PromptError(f"the prompt cannot be rendered: {error}") from error
    return "".join(parts)


class _Interpreter:
    """Works out the nodes of one template for one row."""

    def __init__(self, values: Mapping[str, Any]) -> None:
        self._names = dict(values)
        self._work = Work()

    def parts(self, node: Any) -> Iterator[str]:
        """The text of a statement, piece by piece."""
        self._work.spend()
        kind = type(node).__name__
        if kind == "TemplateData":
            yield node.data
        elif kind == "Output":
            for part in node.nodes:
                if type(part).__name__ == "TemplateData":
                    yield part.data
                elif (value := self._value(part)) is not None:
                    yield text_of(self._work, value)
        elif kind == "If":
            for branch in (node, *node.elif_):
                if self._value(branch.test):
                    yield from self._all(branch.body)
                    return
            yield from self._all(node.else_)
        elif kind == "For":
            yield from self._loop(node)
        else:  # a template
            yield from self._all(node.body)

    def _all(self, nodes: list[Any]) -> Iterator[str]:
        for node in nodes:
            yield from self.parts(node)

    def _loop(self, node: Any) -> Iterator[str]:
        items = self._value(node.iter)
        if not isinstance(items, list | tuple):
            raise PromptError(f"line {node.lineno} of the template: a loop takes a list")
        outside = self._names
        self._names = dict(outside)
        if node.test is not None:
            items = [item for item in items if self._chosen(node, item)]
        count = len(items)
        for index, item in enumerate(items):
            self._names[node.target.name] = item
            self._names["loop"] = {
                "index": index + 1,
                "index0": index,
                "revindex": count - index,
                "revindex0": count - index - 1,
                "first": index == 0,
                "last": index == count - 1,
                "length": count,
            }
            yield from self._all(node.body)
        self._names = outside
        if not items:
            yield from self._all(node.else_)

    def _chosen(self, node: Any, item: Any) -> bool:
        self._names[node.target.name] = item
        return bool(self._value(node.test))

    def _value(self, node: Any) -> Any:
        """The value of an expression, which has to be there."""
        return known(self._found(node))

    def _found(self, node: Any) -> Any:
        """The value of an expression, or `Undefined`."""
        self._work.spend()
        return getattr(self, f"_{type(node).__name__.lower()}")(node)

    def _const(self, node: Any) -> Any:
        return node.value

    def _templatedata(self, node: Any) -> str:
        return str(node.data)

    def _name(self, node: Any) -> Any:
        return self._names.get(node.name, Undefined(f"there is no {node.name!r}"))

    def _getattr(self, node: Any) -> Any:
        return member(self._value(node.node), node.attr)

    def _getitem(self, node: Any) -> Any:
        value = self._value(node.node)
        if type(node.arg).__name__ != "Slice":
            return member(value, self._value(node.arg))
        start, stop, step = (
            None if bound is None else self._value(bound)
            for bound in (node.arg.start, node.arg.stop, node.arg.step)
        )
        part = value[start:stop:step]
        self._work.read(len(part))
        return part

    def _condexpr(self, node: Any) -> Any:
        if self._value(node.test):
            return self._found(node.expr1)
        if node.expr2 is None:
            return Undefined("a value without an else is not there")
        return self._found(node.expr2)

    def _compare(self, node: Any) -> bool:
        left = self._value(node.expr)
        for operand in node.ops:
            right = self._value(operand.expr)
            if not self._compared(operand.op, left, right):
                return False
            left = right
        return True

    def _compared(self, op: str, left: Any, right: Any) -> bool:
        if op in ("in", "notin"):
            return is_in(self._work, left, right) == (op == "in")
        self._work.compare(left)
        return bool(_COMPARISONS[op](left, right))

    def _and(self, node: Any) -> Any:
        return self._value(node.left) and self._value(node.right)

    def _or(self, node: Any) -> Any:
        return self._value(node.left) or self._value(node.right)

    def _not(self, node: Any) -> bool:
        return not self._value(node.node)

    def _neg(self, node: Any) -> Any:
        return -number(self._value(node.node))

    def _add(self, node: Any) -> Any:
        left, right = self._value(node.left), self._value(node.right)
        if isinstance(left, str) and isinstance(right, str):
            return concatenated(self._work, [left, right])
        return number(left) + number(right)

    def _sub(self, node: Any) -> Any:
        return number(self._value(node.left)) - number(self._value(node.right))

    def _concat(self, node: Any) -> str:
        texts = [text_of(self._work, self._value(part)) for part in node.nodes]
        return concatenated(self._work, texts)

    def _list(self, node: Any) -> list[Any]:
        return [self._value(item) for item in node.items]

    def _tuple(self, node: Any) -> list[Any]:
        return self._list(node)

    def _filter(self, node: Any) -> Any:
        return self._called(node, FILTERS)

    def _test(self, node: Any) -> bool:
        return bool(self._called(node, TESTS))

    def _called(self, node: Any, functions: Mapping[str, Callable[..., Any]]) -> Any:
        found = self._found(node.node)
        value = found if node.name in TAKE_UNDEFINED else known(found)
        arguments = [self._value(argument) for argument in node.args]
        named = {keyword.key: self._value(keyword.value) for keyword in node.kwargs}
        return functions[node.name](self._work, value, *arguments, **named)
