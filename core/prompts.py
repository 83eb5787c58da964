"""Prompt templates: Jinja in a sandbox, cut down to what a prompt needs.

A template may come from a stranger or a model. Jinja's sandbox keeps it away from Python; what is
left out here (calls, assignments, nested loops, loops over letters, multiplication, filters that
pad) keeps it from using up time and memory.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import AfterValidator, Field

from datachef.core import surrogates

if TYPE_CHECKING:
    import jinja2.nodes
    from jinja2.sandbox import ImmutableSandboxedEnvironment

MAX_TEMPLATE = 20_000

_NODES = frozenset(
    (
        "Template", "Output", "TemplateData", "Name", "Const", "Getattr", "Getitem", "Slice",
        "If", "For", "CondExpr", "Compare", "Operand", "And", "Or", "Not", "Neg", "Add", "Sub",
        "Concat", "Filter", "Test", "List", "Tuple", "Keyword",
    )
)  # fmt: skip
_LOOPED = ("Name", "Getattr")
_FILTERS = (
    "capitalize", "default", "first", "join", "last", "length", "list", "lower", "round",
    "striptags", "title", "trim", "truncate", "unique", "upper", "wordcount",
)  # fmt: skip
_TESTS = (
    "defined", "undefined", "none", "string", "number", "sequence", "even", "odd", "in",
    "divisibleby",
)  # fmt: skip


class PromptError(ValueError):
    """A template that is not allowed, or that cannot be rendered for a row."""


class PromptTooLongError(PromptError):
    """A rendered prompt beyond the limit."""


@lru_cache(maxsize=1)
def _environment() -> ImmutableSandboxedEnvironment:
    import jinja2
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    environment = ImmutableSandboxedEnvironment(
        undefined=jinja2.StrictUndefined,
        autoescape=False,
        keep_trailing_newline=True,
        finalize=lambda value: "" if value is None else value,
    )
    environment.globals.clear()
    environment.filters = {name: environment.filters[name] for name in _FILTERS}
    environment.tests = {name: environment.tests[name] for name in _TESTS}
    return environment


def names_in(template: str) -> frozenset[str]:
    """The columns and parameters that a template names; a bad template is a `PromptError`."""
    from jinja2 import meta

    return frozenset(meta.find_undeclared_variables(_parse(template)))


def render(template: str, values: Mapping[str, Any], limit: int) -> str:
    """The template filled in.

    Raises `PromptError` where a value is missing or does not fit, `PromptTooLongError` past `limit`
    characters.
    """
    import jinja2

    guarded = {name: _guard(value) for name, value in values.items()}
    parts: list[str] = []
    length = 0
    try:
        for part in _compile(template).generate(guarded):
            length += len(part)
            if length > limit:
                raise PromptTooLongError(f"the prompt is longer than {limit:,} characters")
            parts.append(part)
    except (jinja2.TemplateError, ArithmeticError, LookupError, TypeError) as error:
        raise PromptError(f"the prompt cannot be rendered: {error}") from error
    try:
        return surrogates.joined("".join(parts))
    except UnicodeError:
        raise PromptError("the prompt holds half a surrogate pair, which is no character") from None


class _Text(str):
    """A string that loops refuse."""

    __slots__ = ()
    __iter__ = None  # type: ignore[assignment]


def _guard(value: Any) -> Any:
    if isinstance(value, str):
        return _Text(value)
    if isinstance(value, dict):
        return {key: _guard(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_guard(item) for item in value]
    return value


@lru_cache(maxsize=64)
def _compile(template: str) -> jinja2.Template:
    _parse(template)
    return _environment().from_string(template)


def _parse(template: str) -> jinja2.nodes.Template:
    import jinja2

    try:
        tree = _environment().parse(template)
        for node, loops in _walk(tree):
            _refuse(node, loops)
        _environment().compile(template)
    except jinja2.TemplateSyntaxError as error:
        raise PromptError(f"line {error.lineno} of the template: {error.message}") from error
    except (RecursionError, SyntaxError, MemoryError) as error:
        raise PromptError("the template is nested too deeply") from error
    return tree


def _walk(node: jinja2.nodes.Node, loops: int = 0) -> Iterator[tuple[jinja2.nodes.Node, int]]:
    """Every node with the number of loops around it."""
    yield node, loops
    for child in node.iter_child_nodes():
        yield from _walk(child, loops + (type(node).__name__ == "For"))


def _refuse(node: jinja2.nodes.Node, loops: int) -> None:
    kind = type(node).__name__
    where = f"line {node.lineno} of the template"
    if kind not in _NODES:
        raise PromptError(f"{where}: {kind.lower()} is not available in prompts")
    if kind == "For" and (loops or getattr(node, "recursive", False)):
        raise PromptError(f"{where}: a loop inside of a loop is not available in prompts")
    if kind == "For" and type(getattr(node, "iter", None)).__name__ not in _LOOPED:
        raise PromptError(f"{where}: a loop takes a column as it is")
    name = str(getattr(node, "attr", "")) if kind == "Getattr" else str(getattr(node, "name", ""))
    if name.startswith("_"):
        raise PromptError(f"{where}: {name} is not available in prompts")


def _allowed(template: str) -> str:
    names_in(template)
    return template


PromptTemplate = Annotated[str, Field(max_length=MAX_TEMPLATE), AfterValidator(_allowed)]
