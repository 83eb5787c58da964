"""Prompt templates: the part of Jinja's language that prompts need, read by Jinja and run by us.

A template may come from an unknown author or a model. Jinja parses it and nothing more: no Python
code is made of it and no constant is folded. Its nodes are checked one by one against what is known
here, and interpreted step by step, within limits. Rows are values alone: a template in a row is
text.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import AfterValidator, Field

from datachef.core import escaping as surrogates
from datachef.core.language_models.prompt_values import (
    FILTERS,
    TAKE_UNDEFINED,
    TESTS,
    PromptError,
    PromptTooLongError,
    Undefined,
    Work,
    concatenated,
    fits,
    is_in,
    known,
    member,
    number,
    text_of,
)

if TYPE_CHECKING:
    import jinja2
    import jinja2.nodes
    from jinja2.nodes import Template


__all__ = ["PromptError", "PromptTemplate", "PromptTooLongError", "names_in", "render"]

MAX_TEMPLATE = 20_000
MAX_NODES = 2_000
MAX_DEPTH = 40
_MOST = 2**63

_NODES = frozenset(
    (
        "Template", "Output", "TemplateData", "Name", "Const", "Getattr", "Getitem", "Slice",
        "If", "For", "CondExpr", "Compare", "Operand", "And", "Or", "Not", "Neg", "Add", "Sub",
        "Concat", "Filter", "Test", "List", "Tuple", "Keyword",
    )
)  # fmt: skip


def names_in(template: str) -> frozenset[str]:
    """The columns and parameters that a template names; a bad template is a `PromptError`."""
    return _parsed(template)[1]


def render(template: str, values: Mapping[str, Any], limit: int) -> str:
    """The template filled in.

    Raises `PromptError` where a value is missing or does not fit, or where it takes too many steps,
    and `PromptTooLongError` past `limit` characters.
    """
    text = rendered(_parsed(template)[0], values, limit)
    try:
        return surrogates.joined(text)
    except UnicodeError:
        raise PromptError("the prompt holds half a surrogate pair, which is no character") from None


@lru_cache(maxsize=1)
def _language() -> jinja2.Environment:
    import jinja2

    # It only parses. Whatever it offers beyond the grammar is refused below.
    return jinja2.Environment(keep_trailing_newline=True, autoescape=False)  # noqa: S701 - no HTML


@lru_cache(maxsize=64)
def _parsed(template: str) -> tuple[jinja2.nodes.Template, frozenset[str]]:
    """The tree of an allowed template, and the names that it leaves open."""
    import jinja2

    if len(template) > MAX_TEMPLATE:
        raise PromptError(f"the template is longer than {MAX_TEMPLATE:,} characters")
    try:
        tree = _language().parse(template)
    except jinja2.TemplateSyntaxError as error:
        raise PromptError(f"line {error.lineno} of the template: {error.message}") from error
    except RecursionError as error:
        raise PromptError("the template is nested too deeply") from error
    except ValueError as error:  # a number of thousands of digits
        raise PromptError(f"the template cannot be read: {error}") from error
    for node in _nodes(tree):
        refusal = _refusal(node)
        if refusal:
            raise PromptError(f"line {node.lineno} of the template: {refusal}")
    return tree, frozenset(_open_names(tree, frozenset()))


def _nodes(tree: jinja2.nodes.Node) -> Iterator[jinja2.nodes.Node]:
    """Every node, as long as there are not too many, nor too many within each other."""
    waiting, seen = [(tree, 0)], 0
    while waiting:
        node, depth = waiting.pop()
        seen += 1
        if depth > MAX_DEPTH:
            raise PromptError("the template is nested too deeply")
        if seen > MAX_NODES:
            raise PromptError(f"the template has more than {MAX_NODES:,} parts")
        yield node
        waiting += [(child, depth + 1) for child in node.iter_child_nodes()]


def _refusal(node: Any) -> str:
    """Why a node may not stand in a prompt; nothing where it may."""
    kind = type(node).__name__
    if kind not in _NODES:
        return f"{kind.lower()} is not available in prompts"
    name = node.attr if kind == "Getattr" else getattr(node, "name", "")
    if name.startswith("_"):
        return f"{name} is not available in prompts"
    if kind == "For":
        return _refusal_of_loop(node)
    if kind in ("Filter", "Test"):
        return _refusal_of_call(node, FILTERS if kind == "Filter" else TESTS)
    if kind == "Tuple" and any(type(item).__name__ == "Slice" for item in node.items):
        return "a slice stands alone"
    if kind == "Const" and isinstance(node.value, int | float) and abs(node.value) >= _MOST:
        return "the number is too large"
    return ""


def _refusal_of_loop(node: Any) -> str:
    if node.recursive or any(type(inner).__name__ == "For" for inner in _within(node)):
        return "a loop inside of a loop is not available in prompts"
    if type(node.iter).__name__ not in ("Name", "Getattr"):
        return "a loop takes a column as it is"
    if type(node.target).__name__ != "Name" or node.target.name == "loop":
        return "a loop gives its items one name, which is not loop"
    return ""


def _within(node: Any) -> Iterator[Any]:
    children = _nodes(node)
    next(children)
    return children


def _refusal_of_call(node: Any, known: Mapping[str, Any]) -> str:
    what = type(node).__name__.lower()
    if node.name not in known:
        return f"no {what} {node.name!r} in prompts; there are {', '.join(known)}"
    if node.dyn_args or node.dyn_kwargs or node.node is None:
        return f"{what} {node.name} is written with its arguments one by one"
    names = [keyword.key for keyword in node.kwargs]
    if len(names) > len(set(names)) or not fits(known[node.name], len(node.args), names):
        return f"{what} {node.name} does not take these arguments"
    return ""


def _open_names(node: Any, bound: frozenset[str]) -> Iterator[str]:
    """The names that are not the variable of a loop around them."""
    if type(node).__name__ == "Name":
        yield from {node.name} - bound
    elif type(node).__name__ == "For":
        own = bound | {node.target.name}
        yield from _open_names(node.iter, bound)
        if node.test is not None:
            yield from _open_names(node.test, own)
        for part in node.body:
            yield from _open_names(part, own | {"loop"})
        for part in node.else_:
            yield from _open_names(part, bound)
    else:
        for child in node.iter_child_nodes():
            yield from _open_names(child, bound)


def _allowed(template: str) -> str:
    names_in(template)
    return template


PromptTemplate = Annotated[str, Field(max_length=MAX_TEMPLATE), AfterValidator(_allowed)]


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
