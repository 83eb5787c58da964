"""Unit tests: the program that an answer becomes runs to its end."""

from __future__ import annotations

import ast
import re
import warnings
from typing import Any

from datachef.core.benchmark import BenchmarkItem
from datachef.core.errors import DatachefError, RowError
from datachef.core.formats import fill
from datachef.reward.metrics.base import Checker
from datachef.reward.metrics.sandbox import Limits, Outcome, run_program

_FENCE = re.compile(r"^[ \t]*```[^\n`]*\n(.*?)(?:^[ \t]*```|\Z)", re.MULTILINE | re.DOTALL)
_MARKER = re.compile(r"^[ \t]*#SOLUTION#[ \t]*$", re.MULTILINE)


def code_of(response: str) -> str:
    """The code in a response: its longest fenced block that is Python, or else all of it.

    Where no block is Python, which the body of a function alone is not, the longest block counts.
    """
    blocks = sorted(_FENCE.findall(response), key=len, reverse=True)
    return next(filter(_parses, blocks), blocks[0] if blocks else response)


def _parses(code: str) -> bool:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            ast.parse(code)
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            return False
    return True


def assembled(program: str, code: str, item: BenchmarkItem) -> str:
    """The program to run: the fields in braces filled in, {answer} being `code`.

    A line `#SOLUTION#`, in `program` or in a field, stands for the code as well.
    Raises `DatachefError` where the item lacks a field.
    """
    values: dict[str, Any] = {"prompt": item.prompt, **item.row}
    values = {
        name: _MARKER.sub(lambda _: code, value) if isinstance(value, str) else value
        for name, value in values.items()
    }
    try:
        return fill({**values, "answer": code}, _MARKER.sub("{answer}", program))
    except RowError as error:
        raise DatachefError(
            f"an item cannot be made into a program: {error}",
            hint="name the fields of the benchmark in `program`, such as '{answer}\\n{tests}'",
        ) from error


def require_permission(what: str, allow_code: bool) -> None:
    """Raises `DatachefError` unless running a model's code was allowed."""
    if not allow_code:
        raise DatachefError(
            f"{what} runs code that a model wrote, which was not allowed",
            hint="allow it with allow_code=True, or --allow-code on the command line",
        )


class UnitTests(Checker):
    """Right where the program runs to its end within its limits; leaving it early is a failure.

    See `sandbox` for what holds the program back.
    """

    def __init__(self, program: str, *, allow_code: bool, limits: Limits | None = None) -> None:
        """Raises `DatachefError` unless running code is allowed."""
        require_permission("the metric unit_tests", allow_code)
        self.program = program
        self.limits = limits or Limits()

    def run(self, response: str, item: BenchmarkItem) -> Outcome:
        """How the program of a response ended."""
        return run_program(assembled(self.program, code_of(response), item), self.limits)

    def _accepts(self, response: str, item: BenchmarkItem) -> bool:
        return self.run(response, item).passed
