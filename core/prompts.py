"""Prompt templates: the part of Jinja's language that prompts need, read by Jinja and run by us.

A template may come from a stranger or a model. Jinja parses it and nothing more: no Python code is
made of it and no constant is folded. What stands in it is checked node by node against what is
known here, and `core.prompt_rendering` interprets it, step by step, within limits. Rows are values
alone: a template in a row is text.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import AfterValidator, Field

from datachef.core import surrogates
from datachef.core.prompt_rendering import rendered
from datachef.core.prompt_values import FILTERS, TESTS, PromptError, PromptTooLongError, fits

if TYPE_CHECKING:
    import jinja2
    import jinja2.nodes

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
