"""How a command that fails ends: in words and with an exit code.

The trace of Python is for whoever mends the code: it is shown with `--debug`, or where the
environment has `DATACHEF_DEBUG`, and kept in a file where it would otherwise be lost.
"""

from __future__ import annotations

import os
import sys
import tempfile
import traceback
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from datachef.core.cli.state import get_host, print_json_error
from datachef.core.errors import DatachefError, PluginError, RecipeError
from datachef.core.escaping import indented
from datachef.core.system.failures import explained

DEBUG = "DATACHEF_DEBUG"
_OURS = Path(__file__).parents[2]


def take_debug(arguments: list[str]) -> list[str]:
    """The arguments without `--debug`, which this process and all that it starts then know of."""
    if "--debug" in arguments:
        os.environ[DEBUG] = "1"
    return [argument for argument in arguments if argument != "--debug"]


def open_streams() -> None:
    """Where standard streams are closed, what is printed goes nowhere, and files that are opened
    later do not get their numbers, which children print to."""
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= 2:
        os.set_inheritable(descriptor, True)
    os.close(descriptor)
    for name in ("stdin", "stdout", "stderr"):
        if getattr(sys, name) is None:
            mode = "r" if name == "stdin" else "w"
            setattr(sys, name, Path(os.devnull).open(mode))  # noqa: SIM115 - as long as we live


def hidden_cause(ending: SystemExit) -> BaseException | None:
    """The interrupt, or the reader that went away, for which click ended a command in its way."""
    cause = ending.__context__
    while cause is not None and not isinstance(cause, KeyboardInterrupt | BrokenPipeError):
        cause = cause.__cause__
    return cause


def report_error(error: BaseException) -> int:
    """Says on standard error why a command ended, and returns its exit code."""
    _drop_output()
    if isinstance(error, BrokenPipeError):
        return 141
    if isinstance(error, KeyboardInterrupt):
        _tell_json("Interrupted", "interrupted", "run the same command to continue", 130)
        print("interrupted: run the same command to continue from here", file=sys.stderr)
        return 130
    if isinstance(error, RecipeError):
        problems = [asdict(problem) for problem in error.problems]
        _tell_json("RecipeError", error.message, error.hint, error.exit_code, problems)
        for problem in error.problems:
            print(problem, file=sys.stderr)
        _show_trace(error)
        return error.exit_code
    shown = error if isinstance(error, DatachefError) else _as_datachef_error(error)
    # What a worker or a library did, which nobody else keeps.
    lost = shown is None or bool(getattr(error, "__notes__", None))
    if shown is None:
        shown = _unforeseen(error)
    _tell_json(type(shown).__name__, shown.message, shown.hint, shown.exit_code)
    print(indented(f"error: {shown.message}"), file=sys.stderr)
    hints = [shown.hint] if shown.hint else []
    if lost and not os.environ.get(DEBUG):
        hints.append(_kept(_trace(error)))
    if hints:
        print(indented("hint: " + "\n".join(hints)), file=sys.stderr)
    _show_trace(error)
    return shown.exit_code


def report_usage(error: Any) -> None:
    """Says where JSON is wanted that the command line is wrong; click itself says it to people."""
    _tell_json("UsageError", error.format_message(), "see --help", error.exit_code)


def _tell_json(
    kind: str, message: str, hint: str, exit_code: int, problems: Sequence[Any] = ()
) -> None:
    print_json_error(
        {"kind": kind, "message": message, "hint": hint, "exit_code": exit_code,
         "problems": problems}
    )  # fmt: skip


def _as_datachef_error(error: BaseException) -> DatachefError | None:
    """What the system refuses, and what breaks in a plugin, as errors for people."""
    shown = explained(error)
    if shown is not None and not _has_working_folder():
        return DatachefError("the working folder is not there any more", "change to one that is")
    if shown is None and isinstance(error, Exception):
        with suppress(IndexError):  # there are no plugins yet
            if origin := get_host().origin(error, ours=False):
                from datachef.core.system.containment import cause_of

                shown = PluginError(f"{origin}: {cause_of(error)}", "report this to its author")
    return shown


def _has_working_folder() -> bool:
    try:
        return bool(Path.cwd())
    except OSError:
        return False


def _unforeseen(error: BaseException) -> DatachefError:
    """An exception that nobody foresaw: of a library that we call, or a mistake of ours."""
    from datachef.core.system.containment import cause_of, innermost

    said, line = cause_of(error), innermost(error.__traceback__, _OURS)
    package = _package(error)
    if package:
        return DatachefError(
            f"{package} failed: {said}", f"datachef called it in {line}" if line else ""
        )
    where = f" ({line})" if line else ""
    return DatachefError(
        f"a bug of datachef, not a mistake of yours: {said}{where}", "please report it"
    )


def _package(error: BaseException) -> str:
    """The installed package, not ours, in whose code an exception was raised; or nothing."""
    trace, file = error.__traceback__, ""
    while trace is not None:
        file = trace.tb_frame.f_code.co_filename
        trace = trace.tb_next
    parts = Path(file).parts
    if "site-packages" not in parts or Path(file).is_relative_to(_OURS):
        return ""
    after = parts[len(parts) - 1 - parts[::-1].index("site-packages") + 1 :]
    return Path(after[0]).stem if after else ""


def _trace(error: BaseException) -> str:
    return "".join(traceback.format_exception(error))


def _show_trace(error: BaseException) -> None:
    if os.environ.get(DEBUG):
        print(_trace(error), file=sys.stderr)


def _kept(trace: str) -> str:
    """Keeps a trace in a file, and says where; where there can be none, says how to see it."""
    try:
        descriptor, name = tempfile.mkstemp(prefix="datachef-trace-", suffix=".txt")
        with os.fdopen(descriptor, "w", encoding="utf-8", errors="backslashreplace") as file:
            file.write(trace)
    except OSError:
        return "with --debug it shows the trace"
    return f"the trace is in {name}; --debug shows it"


def _drop_output() -> None:
    """Flushes what was printed; where it cannot be, Python shall not try again, and fail, as it
    ends."""
    try:
        sys.stdout.flush()
    except (OSError, ValueError):
        with suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
