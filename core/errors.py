"""Errors, classed by what the caller does next."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

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
    rest. It says nothing of the recipe or its rows; see `unavailable`."""


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
