"""Whether code that rows hold, or a model wrote, may be run: not unless the user allowed it.

A user allows it by `--allow-code`, anywhere on the line, or by DATACHEF_ALLOW_CODE, for this
process and those that it starts; no recipe, pool or row does. It is run confined, by
`core.system.confinement`; `unconfined` lets it run even where this system confines nothing.
"""

from __future__ import annotations

import os

from datachef.core.contracts.metric import AllowCode
from datachef.core.errors import DatachefError, UnavailableError
from datachef.core.system.confinement import missing_layers

OPTION = "--allow-code"
ALLOWED = "DATACHEF_ALLOW_CODE"
UNCONFINED = "unconfined"
_ANSWERS: dict[str, AllowCode] = {
    "": False, "0": False, "false": False, "no": False,
    "1": True, "true": True, "yes": True, "confined": True,
    UNCONFINED: "unconfined",
}  # fmt: skip


class UnconfinedError(UnavailableError):
    """This system cannot confine a program, so nothing is run."""

    exit_code = 1

    def __init__(self, missing: str) -> None:
        super().__init__(
            f"untrusted code cannot be confined here: no layer around {missing}",
            hint="run it on Linux 5.13 or later, outside of containers that forbid seccomp and "
            f"Landlock; {OPTION}={UNCONFINED} runs it all the same, and it can do all that you can",
        )


def allowed_code(said: str | None = None) -> AllowCode:
    """What the environment allows, or what is said in its place. Raises `DatachefError` for a word
    that is none."""
    word = os.environ.get(ALLOWED, "") if said is None else said
    if (found := _ANSWERS.get(word.strip().lower())) is None:
        raise DatachefError(
            f"{word!r} does not say whether code may be run",
            f"{OPTION} or {ALLOWED}=1 where it can be confined, {OPTION}={UNCONFINED} anywhere",
        )
    return found


def require_permission(what: str, allow_code: AllowCode) -> None:
    """Raises `DatachefError` unless running such code was allowed, and `UnconfinedError` where
    only confined runs are allowed and this system cannot confine them."""
    if not allow_code:
        raise DatachefError(
            f"{what} runs code that rows hold or a model wrote, which was not allowed",
            hint=f"if it should be, confined: {OPTION} on the command line, or {ALLOWED}=1",
        )
    if allow_code != UNCONFINED and (missing := missing_layers()):
        raise UnconfinedError(missing)
