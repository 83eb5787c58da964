"""What is wrong with a recipe, where, and what to write instead."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any, Literal

from datachef.core.escaping import indented

_PLAIN = re.compile(r"[\w-]{1,100}")


@dataclass(frozen=True)
class Problem:
    """One mistake, or a warning: what does not keep a recipe from running and should be known.

    `code` is stable and meant for machines, `path` is the dotted place in the document
    (`sources.web.steps[0].min_chars`), `line` and `column` count from 1 and are 0 when the recipe
    did not come from a file, `hint` says what to write or to run.
    """

    code: str
    message: str
    path: str = ""
    hint: str = ""
    file: str = ""
    line: int = 0
    column: int = 0
    severity: Literal["error", "warning"] = "error"

    def at(self, file: str, line: int, column: int) -> Problem:
        return replace(self, file=file, line=line, column=column)

    def __str__(self) -> str:
        place = ":".join(str(part) for part in (self.file, self.line, self.column) if part)
        where = f"{place}: " if place else ""
        at = f" (at {self.path})" if self.path else ""
        hint = f"\nhint: {self.hint}" if self.hint else ""
        kind = "warning: " if self.severity == "warning" else ""
        return indented(f"{where}{kind}{self.message} [{self.code}]{at}{hint}")

    def to_data(self) -> dict[str, Any]:
        """What does not depend on where the recipe lies, as JSON-ready data."""
        names = ("severity", "code", "path", "message", "hint")
        return {name: getattr(self, name) for name in names}


def warning(code: str, message: str, path: str = "", hint: str = "") -> Problem:
    """A problem that keeps nothing from running."""
    return Problem(code, message, path, hint, severity="warning")


def shortened(value: object, limit: int = 80) -> str:
    """`repr`, cut in its middle where it is long."""
    text = repr(value)
    half = limit // 2
    return text if len(text) <= limit else f"{text[:half]}...{text[-half:]}"


def did_you_mean(word: object, known: Iterable[str]) -> str:
    """A hint that names the closest known words, or all of them when they are few."""
    names = sorted(known)
    close = difflib.get_close_matches(str(word)[:200], names, n=3, cutoff=0.5)
    if close:
        return f"did you mean {' or '.join(close)}?"
    if not names:
        return ""
    shown = ", ".join(names[:20])
    return f"known here: {shown}{', ...' if len(names) > 20 else ''}"


def dotted(location: Iterable[str | int]) -> str:
    """`("sources", "web", "steps", 0)` as `sources.web.steps[0]`; odd keys are quoted."""
    text = ""
    for part in location:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            key = part if _PLAIN.fullmatch(part) else shortened(part)
            text += f".{key}" if text else key
    return text


def parts(path: str) -> tuple[str | int, ...]:
    """The location that `dotted` wrote."""
    found = re.findall(r"\[(\d+)\]|([^.\[\]]+)", path)
    return tuple(int(index) if index else name for index, name in found)
