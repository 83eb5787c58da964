"""Whether Python code can be parsed."""

from __future__ import annotations

import ast
import re
import warnings
from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal

import polars as pl
from pydantic import Field

from datachef.core import Filter, threshold

if TYPE_CHECKING:
    from datachef.core import Signal

_BLOCK = re.compile(
    r"^[ \t]*(`{3,}|~{3,})[ \t]*(?:python3?|py3?)\b[^\n]*\n(.*?)^[ \t]*\1", re.I | re.M | re.S
)


class PythonSyntaxFilter(Filter):
    """Drops text whose Python code has a syntax error.

    The code is parsed by the Python that runs this, and not run: all that is valid Python 3 there
    is valid. With `code: blocks` it is what stands in fences marked as Python, as in answers of
    assistants, and text without any is kept unless `require_code` is set. One text after another
    goes through Python's own parser. A rejected row says what is wrong in which line.
    """

    op: Literal["python_syntax_filter"] = "python_syntax_filter"

    code: Literal["text", "blocks"] = Field(
        "text", description="What is code: the whole text, or fenced blocks that are marked python."
    )
    require_code: bool = threshold(
        False, description="With code: blocks, drop text without a block of Python."
    )

    def signals(self) -> Mapping[str, Signal]:
        return {"python_blocks": self._blocks, "python_syntax_errors": self._errors}

    def rules(self) -> Mapping[str, pl.Expr]:
        return {
            "no_python_code": (pl.col("python_blocks") == 0) & self.require_code,
            "python_syntax_error": pl.col("python_syntax_errors") > 0,
        }

    def details(self, dropped: pl.DataFrame) -> pl.Series:
        found = (filter(None, map(syntax_error, self._code(text))) for text in dropped["text"])
        return pl.Series([next(errors, "") for errors in found], dtype=pl.String)

    def _code(self, text: str | None) -> list[str]:
        if self.code == "text":
            return [text or ""]
        return [found[2] for found in _BLOCK.finditer(text or "")]

    def _blocks(self, batch: pl.DataFrame) -> pl.Series:
        return pl.Series([len(self._code(text)) for text in batch["text"]], dtype=pl.Int64)

    def _errors(self, batch: pl.DataFrame) -> pl.Series:
        counts = [sum(map(bool, map(syntax_error, self._code(text)))) for text in batch["text"]]
        return pl.Series(counts, dtype=pl.Int64)


def syntax_error(code: str) -> str:
    """What is wrong with Python code; empty where it can be parsed."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of escapes that mean nothing
        try:
            ast.parse(code)
        except SyntaxError as error:
            return f"{error.msg} (line {error.lineno})"
        except (MemoryError, RecursionError):
            return "nested too deeply"
        except ValueError as error:  # a NUL byte
            return str(error)
    return ""
