"""Python code that does not parse."""

from __future__ import annotations

import ast
import re
import textwrap
import warnings

from datachef.reward.verifier.row import Row
from datachef.reward.verifier.verdict import Verdict

MAX_CODE = 200_000
_BLOCK = re.compile(
    r"^[ \t]*```[ \t]*(?P<language>[\w+#.-]*)[^\n`]*\n(?P<code>.*?)^[ \t]*```", re.M | re.S
)
_PYTHON = {"python", "python3", "py"}
# Python without a fence begins like one of these, and defines something somewhere; Ruby, Swift and
# Haskell do only one of the two.
_BEGINS = re.compile(r"\s*(?:def \w+ ?\(|class \w|import \w|from [\w.]+ import )")
_DEFINES = re.compile(r"^(?:def \w+ ?\(|class \w).*:[ \t]*(?:#.*)?\r?$", re.M)
# A protocol of an interpreter is no program.
_PROTOCOL = re.compile(r"^\s*(?:>>> |In \[\d+\]:)", re.M)


class PythonChecker:
    """Calls rows malformed whose answer has Python code that the Python running here cannot parse.

    Reads blocks that are fenced as Python, and answers without fences that begin like a Python
    module. Nothing is executed.
    """

    def check(self, row: Row) -> Verdict | None:
        for code in python_blocks(row.answer):
            if mistake := syntax_error(code):
                return Verdict("format", f"the Python code does not parse: {mistake}")
        return None


def python_blocks(answer: str) -> list[str]:
    """The pieces of an answer that are certainly meant to be Python."""
    blocks = [(found["language"].lower(), found["code"]) for found in _BLOCK.finditer(answer)]
    if not blocks and "```" not in answer and _BEGINS.match(answer) and _DEFINES.search(answer):
        blocks = [("python", answer)]
    return [code for language, code in blocks if language in _PYTHON and not _PROTOCOL.search(code)]


def syntax_error(code: str) -> str | None:
    """What is wrong with a program; None where it parses or is too large to try."""
    if len(code) > MAX_CODE:
        return None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of escapes that Python will refuse some day
            ast.parse(textwrap.dedent(code))
    except SyntaxError as error:
        return f"line {error.lineno}: {error.msg}"
    except ValueError as error:  # null bytes
        return str(error)
    except (RecursionError, MemoryError):
        return None
    return None
