"""Failures that say nothing of a recipe: servers, packages, inputs and the machine as they are now.

Whatever scores, measures or compares recipes asks here before a failure counts against one.
"""

from __future__ import annotations

from collections.abc import Iterable

from datachef.core.contracts.source import SourceError
from datachef.core.errors import MissingPackageError, RecipeError, UnavailableError
from datachef.core.problems import Problem
from datachef.core.system.failures import causes, environment_failure

# Problems that the same recipe may not have tomorrow, or on another machine.
CODES = frozenset(("missing_package", "unreachable", "changed_input"))


def unavailable(error: BaseException) -> bool:
    """Whether an exception is, or was raised for, something outside of the recipe."""
    return environment_failure(error) is not None or any(map(_is_outside, causes(error)))


def refuse_unavailable(problems: Iterable[Problem]) -> None:
    """Raises `UnavailableError` where a problem is none of the recipe itself."""
    for problem in problems:
        if problem.code in CODES:
            raise UnavailableError(problem.message, problem.hint)


def _is_outside(error: BaseException) -> bool:
    if isinstance(error, RecipeError):
        return any(problem.code in CODES for problem in error.problems)
    if isinstance(error, SourceError):
        return error.code in CODES
    return isinstance(error, UnavailableError | MissingPackageError)
