"""Errors, by what the caller does next, and problems: what is wrong with a recipe, and where."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from importlib import import_module
from typing import Any, Literal

from datachef.core.distribution import install_command
from datachef.core.escaping import indented
from datachef.core.similar_names import similar_names


class DatachefError(Exception):
    """A failure explained to the user in one line, with a hint, and never as a traceback."""

    exit_code = 1

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __reduce__(self) -> tuple[Any, ...]:
        return _without_init, (type(self), self.args), self.__dict__


def _without_init(kind: type[DatachefError], arguments: tuple[Any, ...]) -> DatachefError:
    """An error that comes from another process: what `__init__` of its kind takes is not known."""
    return kind.__new__(kind, *arguments)


class RecipeError(DatachefError):
    """The recipe cannot be run as written; carries every problem that was found."""

    exit_code = 2

    def __init__(self, problems: Sequence[Problem]) -> None:
        count = len(problems)
        super().__init__(f"{count} problem{'' if count == 1 else 's'} in the recipe")
        self.problems = tuple(problems)

    def __str__(self) -> str:
        return "\n".join([self.message, *(str(problem) for problem in self.problems)])


class PluginError(DatachefError):
    """A plugin is broken in a way that makes its result meaningless."""

    exit_code = 3


class RunError(DatachefError):
    """A run started and could not finish; what was done stays done."""

    exit_code = 4


class UnavailableError(RunError):
    """What is needed from outside cannot be had now: a server, a key that it takes, an input at
    rest, room on a disk. It says nothing of the recipe or its rows; see `unavailable`."""

    exit_code = 5


class MissingModelError(UnavailableError):
    """A language model that a command names cannot be loaded."""

    exit_code = 1


class ChangedInputError(UnavailableError):
    """An input is not what it was when the run was planned; what was read of it is not kept."""

    def __init__(self, message: str) -> None:
        super().__init__(message, "run again when nothing writes to it")


# The largest row that is read or made, and the reason for which a larger one fails.
MAX_ROW_BYTES = 64 * 2**20
ROW_TOO_LARGE = "row_too_large"

# The reason of rows that failed because a server did not answer, though it was asked again: it says
# nothing of them, or of the recipe.
NO_ANSWER = "no_answer"


class RowError(ValueError):
    """A row that does not fit its source's format; `reason` is its name in the ledger."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason


class MissingPackageError(DatachefError):
    """An optional package is needed now and is not installed."""

    def __init__(self, module: str, requirement: str, needed_by: str) -> None:
        super().__init__(
            f"{needed_by} needs the package {module}, which is not installed",
            hint=install_command(requirement),
        )


def optional_package(module: str, requirement: str, needed_by: str) -> Any:
    """A module of an optional package; `MissingPackageError` where a package is not installed."""
    try:
        return import_module(module)
    except ImportError as error:
        missing = (error.name or module).partition(".")[0]
        raise MissingPackageError(missing, requirement, needed_by) from error


def is_panic(error: BaseException) -> bool:
    """Whether compiled code of a library (polars, Arrow, tokenizers) gave up in the middle."""
    return type(error).__name__ == "PanicException" and not isinstance(error, Exception)


def words_of(error: BaseException) -> str:
    """What an exception says, as text that any file can hold, whatever its author made of it."""
    try:
        words = str(error)
    except (Exception, SystemExit, GeneratorExit):  # noqa: BLE001 - it tells of another one
        return "(it cannot be printed)"
    return words.encode(errors="backslashreplace").decode()


def panicked(error: BaseException) -> PluginError:
    """A panic as an error for people."""
    first = (words_of(error).splitlines() or [""])[0][:300]
    return PluginError(
        f"compiled code of a library panicked: {first}",
        "a bug of that library, or a value that it cannot take; leave the step out, or give it "
        "other rows (take:, another column) to see which",
    )


_KINDS = {
    kind.__name__: kind
    for kind in (
        DatachefError, MissingPackageError, PluginError, RunError, UnavailableError,
        ChangedInputError,
    )
}  # fmt: skip


def kind_of(error: DatachefError) -> str:
    """The name of the kind of an error by which `error_of_kind` makes it again elsewhere."""
    return next(cls.__name__ for cls in type(error).__mro__ if cls.__name__ in _KINDS)


def error_of_kind(kind: str, message: str, hint: str) -> DatachefError:
    """An error of another process, as what it was there."""
    error = _without_init(_KINDS[kind], ())
    DatachefError.__init__(error, message, hint)
    return error


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
    """A hint that names the known words that are like this one, or else those that there are."""
    names = sorted(known)
    if close := similar_names(str(word), names):
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
