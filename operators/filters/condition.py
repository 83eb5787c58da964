"""A small language of conditions on the columns of a row, such as `score >= 3 and lang == 'en'`.

A condition is parsed by Python's own parser, of whose syntax a few forms are taken, and becomes a
polars expression. Nothing in it runs as Python.
"""

from __future__ import annotations

import ast
import operator
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import polars as pl

_FUNCTIONS = ("column", "len", "lower", "number", "starts_with", "ends_with")
_FORMS = (
    "columns, values, == != < <= > >=, in, is null, and, or, not, + - * /, and the functions "
    + ", ".join(_FUNCTIONS)
)
MOST_CHARACTERS = 2_000
MOST_DEPTH = 50

BOOL, NUMBER, TEXT, LIST, NULL, ANY = "yes or no", "a number", "text", "a list", "null", "any"
_CONSTANTS = {"true": True, "false": False, "null": None}
_COMPARISONS: dict[type[ast.cmpop], Callable[[Any, Any], pl.Expr]] = {
    ast.Eq: operator.eq, ast.NotEq: operator.ne, ast.Lt: operator.lt, ast.LtE: operator.le,
    ast.Gt: operator.gt, ast.GtE: operator.ge,
}  # fmt: skip
_ARITHMETIC: dict[type[ast.operator], Callable[[Any, Any], pl.Expr]] = {
    ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.Div: operator.truediv,
}  # fmt: skip


class ConditionError(ValueError):
    """What is wrong with a condition, and where."""


@dataclass(frozen=True)
class Term:
    """A part of a condition as an expression, and of what kind its values are."""

    expression: pl.Expr
    kind: str


@dataclass(frozen=True)
class Condition:
    """A condition that is well formed, and the columns that it names."""

    text: str
    tree: ast.expr
    columns: frozenset[str]

    def expression(self, kinds: Mapping[str, str]) -> pl.Expr:
        """What is asked of rows with columns of these kinds; a column that has none may be any.

        It is null where a value is missing that matters. Raises `ConditionError` where kinds do not
        fit, such as text that is compared with a number.
        """
        return _Compiler(self.text, kinds).condition(self.tree).expression


def parse_condition(text: str) -> Condition:
    """Raises `ConditionError` for what is no condition."""
    line = text.replace("\n", " ").replace("\r", " ").strip()
    if len(line) > MOST_CHARACTERS:
        raise ConditionError(f"a condition has at most {MOST_CHARACTERS:,} characters")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of escapes that mean nothing
            tree = ast.parse(line, mode="eval").body
    except SyntaxError as error:
        at = error.offset or len(line) + 1  # 0 stands for the end
        hint = "; == compares" if line[at - 1 : at] == "=" else ""
        raise ConditionError(f"{error.msg}{hint} (character {at})") from None
    except (MemoryError, RecursionError, ValueError) as error:
        raise ConditionError(str(error) or "nested too deeply") from None
    compiler = _Compiler(line, {})
    compiler.condition(tree)
    return Condition(line, tree, frozenset(compiler.columns))


class _Compiler:
    """Turns the syntax tree into an expression, form by form; any other form is an error."""

    def __init__(self, text: str, kinds: Mapping[str, str]) -> None:
        self._text = text.encode()
        self._kinds = kinds
        self._depth = 0
        self.columns: set[str] = set()

    def _error(self, message: str, node: ast.expr) -> ConditionError:
        before = self._text[: node.col_offset].decode()  # the parser counts bytes
        return ConditionError(f"{message} (character {len(before) + 1})")

    def condition(self, node: ast.expr) -> Term:
        """A term that is true or not."""
        term = self._term(node)
        if term.kind not in (BOOL, ANY):
            raise self._error(f"{term.kind} stands where a condition is wanted", node)
        return term

    def _term(self, node: ast.expr) -> Term:
        self._depth += 1
        if self._depth > MOST_DEPTH:
            raise self._error("nested too deeply", node)
        try:
            return self._of_form(node)
        finally:
            self._depth -= 1

    def _of_form(self, node: ast.expr) -> Term:
        match node:
            case ast.BoolOp(op, values):
                join = pl.all_horizontal if isinstance(op, ast.And) else pl.any_horizontal
                return Term(join([self.condition(value).expression for value in values]), BOOL)
            case ast.UnaryOp(ast.Not(), operand):
                return Term(self.condition(operand).expression.not_(), BOOL)
            case ast.UnaryOp(ast.USub(), operand):
                return Term(-self._number(operand).expression, NUMBER)
            case ast.Compare(left, operators, rights):
                return self._comparison([left, *rights], operators)
            case ast.BinOp(left, op, right) if type(op) in _ARITHMETIC:
                parts = self._number(left).expression, self._number(right).expression
                # Zero by zero is no number, and what is no number is greater than any.
                return Term(_ARITHMETIC[type(op)](*parts).fill_nan(None), NUMBER)
            case ast.Call(ast.Name(name), arguments, []) if name in _FUNCTIONS:
                return self._call(node, name, arguments)
            case ast.Name(name):
                if name in _CONSTANTS:
                    return _literal(_CONSTANTS[name])
                return self._column(name)
            case ast.Constant(value) if value is None or self._is_value(value, node):
                return _literal(value)
        raise self._error(f"this form is not part of conditions: they are made of {_FORMS}", node)

    def _column(self, name: str) -> Term:
        self.columns.add(name)
        kind, column = self._kinds.get(name, ANY), pl.col(name)
        return Term(column.fill_nan(None) if kind == NUMBER else column, kind)

    def _number(self, node: ast.expr) -> Term:
        return self._of_kind(node, NUMBER)

    def _of_kind(self, node: ast.expr, *kinds: str) -> Term:
        term = self._term(node)
        if term.kind not in (*kinds, ANY, NULL):
            hint = "; number(...) reads one from text" if kinds == (NUMBER,) else ""
            raise self._error(f"{term.kind} stands where {kinds[0]} is wanted{hint}", node)
        if kinds == (TEXT,) and term.kind == ANY:
            return Term(term.expression.cast(pl.String), TEXT)
        return term

    def _comparison(self, parts: list[ast.expr], operators: list[ast.cmpop]) -> Term:
        links = [
            self._link(left, op, right)
            for left, op, right in zip(parts, operators, parts[1:], strict=False)
        ]
        return Term(pl.all_horizontal(links) if len(links) > 1 else links[0], BOOL)

    def _link(self, left: ast.expr, op: ast.cmpop, right: ast.expr) -> pl.Expr:
        if isinstance(op, ast.In | ast.NotIn):
            found = self._membership(left, right)
            return found.not_() if isinstance(op, ast.NotIn) else found
        first, second = self._term(left), self._term(right)
        if isinstance(op, ast.Is | ast.IsNot):
            if second.kind != NULL:
                raise self._error("is and is not take null; write == or !=", right)
            missing = first.expression.is_null()
            return missing.not_() if isinstance(op, ast.IsNot) else missing
        if NULL in (first.kind, second.kind):
            raise self._error("nothing equals null; write is null or is not null", right)
        self._refuse_unlike(first, second, right)
        if LIST in (first.kind, second.kind):
            raise self._error("a list cannot be compared; write in, or len(...)", right)
        return _COMPARISONS[type(op)](first.expression, second.expression)

    def _membership(self, left: ast.expr, right: ast.expr) -> pl.Expr:
        if isinstance(right, ast.List | ast.Tuple | ast.Set):
            first, values = self._term(left), [self._value(value) for value in right.elts]
            if not values:
                raise self._error("the list is empty", right)
            for value in values:
                self._refuse_unlike(first, _literal(value), right)
            if len({_literal(value).kind for value in values}) > 1:
                raise self._error("the values of the list are of different kinds", right)
            return first.expression.is_in(values)
        first, second = self._of_kind(left, TEXT), self._of_kind(right, TEXT)
        return second.expression.str.contains(first.expression, literal=True)

    def _value(self, node: ast.expr) -> Any:
        """The value of a constant."""
        match node:
            case ast.UnaryOp(ast.USub(), ast.Constant(int() | float() as value)):
                return -value
            case ast.Name("true" | "false" as name):
                return _CONSTANTS[name]
            case ast.Constant(value) if self._is_value(value, node):
                return value
        raise self._error("a list holds numbers, texts, true and false", node)

    def _is_value(self, value: Any, node: ast.expr) -> bool:
        if type(value) is int and value.bit_length() > 63:
            raise self._error("a whole number beyond 64 bits", node)
        return type(value) in (bool, int, float, str)

    def _call(self, node: ast.expr, name: str, arguments: list[ast.expr]) -> Term:
        wanted = 2 if name.endswith("_with") else 1
        if len(arguments) != wanted:
            raise self._error(f"{name} takes {wanted} value{'s' * (wanted > 1)}", node)
        first = arguments[0]
        if name == "column":
            if not isinstance(first, ast.Constant) or not isinstance(first.value, str):
                raise self._error("column takes the name of a column in quotes", first)
            return self._column(first.value)
        if name == "len":
            term = self._of_kind(first, TEXT, LIST)
            values = term.expression
            length = values.list.len() if term.kind == LIST else values.str.len_chars()
            return Term(length.cast(pl.Int64), NUMBER)
        if name == "number":
            expression = self._of_kind(first, TEXT, NUMBER, BOOL).expression
            return Term(expression.cast(pl.Float64, strict=False), NUMBER)
        texts = [self._of_kind(argument, TEXT).expression for argument in arguments]
        if name == "lower":
            return Term(texts[0].str.to_lowercase(), TEXT)
        if name == "starts_with":
            return Term(texts[0].str.starts_with(texts[1]), BOOL)
        return Term(texts[0].str.ends_with(texts[1]), BOOL)

    def _refuse_unlike(self, first: Term, second: Term, node: ast.expr) -> None:
        kinds = {first.kind, second.kind}
        if len(kinds) > 1 and ANY not in kinds:
            hint = "; number(...) reads one from text" if kinds == {TEXT, NUMBER} else ""
            raise self._error(f"{first.kind} is compared with {second.kind}{hint}", node)


def _literal(value: Any) -> Term:
    match value:
        case None:
            return Term(pl.lit(None), NULL)
        case bool():
            return Term(pl.lit(value), BOOL)
        case str():
            return Term(pl.lit(value), TEXT)
    return Term(pl.lit(value), NUMBER)
