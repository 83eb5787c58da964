"""Whether code can be parsed."""

from __future__ import annotations

import ast
import importlib
import re
import warnings
from collections.abc import Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Literal

import polars as pl
from pydantic import Field

from datachef.core import Filter, extra, threshold

if TYPE_CHECKING:
    from datachef.core import Signal

# Names of languages behind the fence of a block, besides their own.
_FENCES = {
    "python": "python|python3|py|py3", "javascript": "javascript|js|jsx", "java": "java",
    "typescript": "typescript|ts", "c": "c|h", "cpp": r"c\+\+|cpp|cc|hpp", "go": "go|golang",
    "rust": "rust|rs",
}  # fmt: skip
_BLOCK = r"^[ \t]*(`{{3,}}|~{{3,}})[ \t]*(?:{})(?![\w+#-])[^\n]*\n(.*?)^[ \t]*\1"


class SyntaxFilter(Filter):
    """Drops text whose code has a syntax error; the code is parsed and never run.

    Python by its own parser: all that is valid in the version that runs this. Other languages by
    tree-sitter (https://tree-sitter.github.io), which sees macros of C and C++ before they are
    replaced, and takes some of them for errors. With `code: blocks` it is what stands in fences
    marked with the language, as in answers of assistants, and text without any is kept unless
    `require_code` is set. One text after another is parsed. A rejected row says what is wrong, or
    where.
    """

    op: Literal["syntax_filter"] = "syntax_filter"

    language: Literal[
        "python", "c", "cpp", "go", "java", "javascript", "rust", "typescript"
    ] = Field("python", description="Programming language of the code.")  # fmt: skip
    code: Literal["text", "blocks"] = Field(
        "text", description="What is code: the whole text, or fenced blocks of the language."
    )
    require_code: bool = threshold(
        False, description="With code: blocks, drop text without a block of the language."
    )

    def requires(self) -> Mapping[str, str]:
        if self.language == "python":
            return {}
        return dict.fromkeys(("tree_sitter", f"tree_sitter_{self.language}"), extra("code"))

    def signals(self) -> Mapping[str, Signal]:
        return {"code_blocks": self._blocks, "syntax_errors": self._errors}

    def rules(self) -> Mapping[str, pl.Expr]:
        return {
            "no_code": (pl.col("code_blocks") == 0) & self.require_code,
            "syntax_error": pl.col("syntax_errors") > 0,
        }

    def details(self, dropped: pl.DataFrame) -> pl.Series:
        found = (filter(None, map(self._error, self._code(text))) for text in dropped["text"])
        return pl.Series([next(errors, "") for errors in found], dtype=pl.String)

    def _code(self, text: str | None) -> list[str]:
        if self.code == "text":
            return [text or ""]
        return [found[2] for found in _block(self.language).finditer(text or "")]

    def _error(self, code: str) -> str:
        return syntax_error(code, self.language)

    def _blocks(self, batch: pl.DataFrame) -> pl.Series:
        return pl.Series([len(self._code(text)) for text in batch["text"]], dtype=pl.Int64)

    def _errors(self, batch: pl.DataFrame) -> pl.Series:
        counts = [sum(map(bool, map(self._error, self._code(text)))) for text in batch["text"]]
        return pl.Series(counts, dtype=pl.Int64)


def syntax_error(code: str, language: str) -> str:
    """What is wrong with code, or where; empty where it can be parsed."""
    if language == "python":
        return _python_error(code)
    node = _parser(language).parse(code.encode()).root_node
    if not node.has_error:
        return ""
    while inner := next((child for child in node.children if child.has_error), None):
        node = inner
    return f"syntax error (line {node.start_point[0] + 1})"


def _python_error(code: str) -> str:
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


@lru_cache(maxsize=16)
def _parser(language: str) -> Any:
    from tree_sitter import Language, Parser

    grammar = importlib.import_module(f"tree_sitter_{language}")
    made = grammar.language_typescript if language == "typescript" else grammar.language
    return Parser(Language(made()))


@lru_cache(maxsize=16)
def _block(language: str) -> re.Pattern[str]:
    return re.compile(_BLOCK.format(_FENCES[language]), re.IGNORECASE | re.MULTILINE | re.DOTALL)
