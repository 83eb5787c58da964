"""The `chef` command. Commands import what they need when they are called."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from typing import Annotated

import typer

from datachef.core.cli import catalogue, checking, doctor, running
from datachef.core.cli.state import get_host, set_host, take_plugin_files
from datachef.core.distribution import NAME, version
from datachef.core.errors import DatachefError, PluginError, RecipeError
from datachef.core.escaping import escape_output, indented
from datachef.core.host import Host
from datachef.core.paths import in_utf8, with_homes
from datachef.core.system_errors import explained

_HELP = """Turn raw sources into an LLM training corpus, with every document accounted for.

--plugin FILE.py, anywhere on the line, loads operators from a file beside the installed plugins.
"""


def build(host: Host) -> typer.Typer:
    """The command line with the commands of all plugins."""
    app = typer.Typer(
        help=_HELP,
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        add_completion=False,
        rich_markup_mode=None,  # rich takes longer to import than all the rest
    )
    app.callback()(_options)
    for module in (running, checking, catalogue, doctor):
        module.register(app)
    host.add_commands(app)
    return app


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"{NAME} {version()}")
        raise typer.Exit


def _options(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version."),
    ] = False,
) -> None:
    """The options of `chef` itself."""


def _tell_broken(host: Host, arguments: list[str]) -> None:
    """What is wrong with plugins, to whoever did not ask: a recipe may lack what is in them."""
    if not {"plugins", "doctor"} & set(arguments):
        for plugin in host.broken:
            told = f"warning: plugin {plugin.name} ({plugin.package}): {plugin.error}"
            print(indented(told), file=sys.stderr)


def main() -> None:
    """Entry point of `chef`: a user's mistake ends with a message and an exit code."""
    escape_output()
    try:
        arguments, files = take_plugin_files(with_homes(in_utf8(sys.argv[1:])))
        host = Host(files)
        set_host(host)
        try:
            build(host)(arguments)
        finally:
            _tell_broken(host, arguments)
            sys.stdout.flush()
    except RecipeError as error:
        for problem in error.problems:
            print(problem, file=sys.stderr)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        print("interrupted: run the same command to go on from here", file=sys.stderr)
        sys.exit(130)
    except BrokenPipeError:
        _drop_output()
        sys.exit(141)
    except Exception as error:
        told = error if isinstance(error, DatachefError) else _told(error)
        if told is None:
            raise
        _drop_output()
        print(indented(f"error: {told.message}"), file=sys.stderr)
        if told.hint:
            print(indented(f"hint: {told.hint}"), file=sys.stderr)
        for note in getattr(error, "__notes__", []):
            print(note, file=sys.stderr)
        sys.exit(told.exit_code)


def _told(error: Exception) -> DatachefError | None:
    """What the system refuses, and what breaks in somebody else's plugin, as errors for people."""
    told = explained(error)
    if told is None and (origin := get_host().origin(error, ours=False)):
        from datachef.core.containment import cause_of

        told = PluginError(f"{origin}: {cause_of(error)}", "this is for its author to mend")
    return told


def _drop_output() -> None:
    """Flushes what was printed; where it cannot be, Python shall not try again, and fail, as it
    ends."""
    try:
        sys.stdout.flush()
    except OSError:
        with suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
