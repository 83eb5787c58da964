"""Errors, classed by what the caller does next."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from datachef.core.distribution import install_command

if TYPE_CHECKING:
    from datachef.core.problems import Problem


class DatachefError(Exception):
    """A failure explained to the user in one line, with a hint, and never as a traceback."""

    exit_code = 1

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


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


class ChangedInputError(RunError):
    """An input is not what it was when the run was planned; what was read of it is not kept."""

    def __init__(self, message: str) -> None:
        super().__init__(message, "run again when nothing writes to it")


# The largest row that is read or made, and the reason for which a larger one fails.
MAX_ROW_BYTES = 64 * 2**20
ROW_TOO_LARGE = "row_too_large"


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
