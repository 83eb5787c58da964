"""Unit tests: the program that an answer becomes runs to its end."""

from __future__ import annotations

import ast
import re
import secrets
import warnings
from typing import Any

from datachef.core.contracts.code_permission import require_permission
from datachef.core.contracts.metric import PROGRAM, AllowCode, BenchmarkItem, Metric
from datachef.core.errors import DatachefError, RowError
from datachef.core.text.final_answers import after_thinking
from datachef.core.text.values import composed_text
from datachef.reward.metrics.sandbox import (
    Program,
    ProgramResult,
    SandboxLimits,
    run_tests,
)

_FENCE = re.compile(r"^[ \t]*```[^\n`]*\n(.*?)(?:^[ \t]*```|\Z)", re.MULTILINE | re.DOTALL)
_MARKER = re.compile(r"^[ \t]*#SOLUTION#[ \t]*$", re.MULTILINE)


class UnitTests(Metric):
    """Right where the tests run to their end within the limits; leaving early is a failure.

    See `sandbox` for what holds the answer back, and what of it the tests see.
    """

    name = "unit_tests"
    criterion = "the answer is code that must pass unit tests"
    runs_code = True
    answer_kind = "code"
    needs_gold = False

    @classmethod
    def build(cls, *, program: str = PROGRAM, allow_code: AllowCode = False) -> UnitTests:
        return cls(program, allow_code=allow_code)

    def __init__(
        self, program: str, *, allow_code: AllowCode, limits: SandboxLimits | None = None
    ) -> None:
        """Raises what `require_permission` raises."""
        require_permission("the metric unit_tests", allow_code)
        self.program = program
        self.limits = limits or SandboxLimits()
        self._unconfined = allow_code == "unconfined"

    def run(self, response: str, item: BenchmarkItem) -> ProgramResult:
        """How the tests of a response ended. Raises `DatachefError` where nothing tests it."""
        program = assembled(self.program, code_of(response), item)
        if not program.after.strip():
            raise DatachefError(
                "nothing follows the answer in the program, so nothing tests it",
                hint="put the tests after the answer, such as '{answer}\n{tests}'",
            )
        return run_tests(program, self.limits, gold=item.answer, unconfined=self._unconfined)

    def score(self, response: str, item: BenchmarkItem) -> float:
        return float(self.run(after_thinking(response), item).passed)


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


def assembled(program: str, code: str, item: BenchmarkItem) -> Program:
    """The program to run: the fields in braces filled in, {answer} being `code`.

    A line `#SOLUTION#`, in `program` or in a field, stands for the code as well.
    Raises `DatachefError` where the item lacks a field, and where the answer has no place.
    """
    answer = secrets.token_hex(16)
    values: dict[str, Any] = {"prompt": item.prompt, **item.row}
    values = {
        name: _MARKER.sub(answer, value) if isinstance(value, str) else value
        for name, value in values.items()
    }
    try:
        text = composed_text({**values, "answer": answer}, _MARKER.sub("{answer}", program))
    except RowError as error:
        raise DatachefError(
            f"an item cannot be made into a program: {error}",
            hint="name the fields of the benchmark in `program`, such as '{answer}\n{tests}'",
        ) from error
    if answer not in text:
        raise DatachefError(
            f"the program {program!r} has no place for the answer",
            hint="write {answer} where it belongs, or a line #SOLUTION#",
        )
    before, *between, after = text.split(answer)
    return Program(before, code.join(["", *between, ""]) if between else code, after)
