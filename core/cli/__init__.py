"""The `chef` command. Commands import what they need when they are called."""

# ruff: noqa: E402 - an interrupt while these are imported is reported like any other
from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Annotated, Any, cast


def _quiet(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """Ends the process of an interrupt that `main` does not meet, without a trace."""
    if issubclass(kind, KeyboardInterrupt):
        os._exit(130)
    sys.__excepthook__(kind, error, trace)


sys.excepthook = _quiet

import typer
from typer.core import TyperGroup

from datachef.core.cli import assets, cache, checking, doctor, ops, plugins, running, status
from datachef.core.cli.configuration import Configuration, configured_plugins
from datachef.core.cli.failures import (
    hidden_cause,
    open_streams,
    report_error,
    report_usage,
    take_debug,
)
from datachef.core.cli.state import (
    is_quiet,
    set_host,
    take_code,
    take_network,
    take_plugin_files,
    take_verbosity,
)
from datachef.core.distribution import NAME, version
from datachef.core.escaping import escape_output, indented
from datachef.core.registry.host import Host, plugin_patience
from datachef.core.system.paths import in_utf8, with_homes

_HELP = """Turn raw sources into an LLM training corpus, with every document accounted for.

--plugin FILE.py, anywhere on the line, loads operators from a file beside the installed plugins;
so does a line plugins = ["FILE.py"] in datachef.toml of ~/.config/datachef, or of a folder that
you trust (chef plugins trust). --debug shows where in the code an error came from.

--quiet, anywhere on the line, leaves results and errors alone; --verbose tells each part of a run.
NO_COLOR and TERM=dumb turn colours off.

--allow-network=HOST,..., anywhere on the line, lets sources and models be fetched from these hosts;
--allow-network alone from all that are public. DATACHEF_ALLOW_NETWORK does so for all commands.

--allow-code, anywhere on the line, lets unit tests run code that rows hold or a model wrote, where
this system can confine it; --allow-code=unconfined even where it cannot. DATACHEF_ALLOW_CODE=1 does
so for all commands.
"""
# Commands that report what is wrong with plugins, and so have to survive all of them.
_EXAMINING = {"plugins", "doctor"}
# A shell asks for the words that it offers: what is printed is shown in the middle of its line.
_IS_COMPLETING = "_CHEF_COMPLETE" in os.environ


# What click raises where the command line is wrong: typer names no class that all of them have.
_UsageError = cast(type[Exception], typer.BadParameter.__bases__[0])


class _Commands(TyperGroup):
    """Commands that are listed with their whole first sentence, however narrow the terminal, and
    that tell what is wrong with the command line in JSON, too, where that is asked for."""

    def make_context(self, *arguments: Any, **options: Any) -> Any:
        with _told_in_json():
            return super().make_context(*arguments, **options)

    def invoke(self, ctx: Any) -> Any:
        with _told_in_json():
            return super().invoke(ctx)

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        commands = {name: self.get_command(ctx, name) for name in self.list_commands(ctx)}
        rows = [
            (name, command.get_short_help_str(limit=sys.maxsize))
            for name, command in commands.items()
            if command is not None and not command.hidden
        ]
        with formatter.section("Commands"):
            formatter.write_dl(rows)


@contextmanager
def _told_in_json() -> Iterator[None]:
    try:
        yield
    except _UsageError as error:
        report_usage(error)
        raise


def build(host: Host, arguments: Sequence[str] = ()) -> typer.Typer:
    """The command line for these arguments, with the commands of all plugins."""
    app = typer.Typer(
        cls=_Commands,
        help=_HELP,
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,  # rich takes longer to import than all the rest
    )
    app.callback()(_options)
    for module in (running, status, checking, ops, plugins, assets, cache, doctor):
        module.register(app)
    host.add_commands(app, arguments)
    for group in app.registered_groups:
        if group.typer_instance is not None:
            group.typer_instance.info.cls = _Commands
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


def _warn_of_broken_plugins(host: Host, arguments: list[str]) -> None:
    """What is wrong with plugins, to whoever did not ask: a recipe may lack what is in them."""
    if not _EXAMINING & set(arguments) and not is_quiet():
        for plugin in host.broken:
            message = f"warning: plugin {plugin.name} ({plugin.package}): {plugin.error}"
            print(indented(message), file=sys.stderr)


def _tell_of_untrusted(found: Configuration | None, arguments: list[str]) -> None:
    """Plugin files that are not loaded, as they lie in a folder that nobody trusts."""
    if found is not None and not is_quiet() and not _IS_COMPLETING and "trust" not in arguments:
        names = ", ".join(Path(plugin).name for plugin in found.plugins)
        note = f"note: {found.file} names plugins, which are not loaded: {names}"
        remedy = f"hint: to trust what is in that folder: chef plugins trust {found.file.parent}"
        print(f"{indented(note)}\n{indented(remedy)}", file=sys.stderr)


def main() -> None:
    """Entry point of `chef`: whatever ends a command early ends with a message and an exit code."""
    open_streams()
    escape_output()
    try:
        arguments, files = take_plugin_files(take_debug(with_homes(in_utf8(sys.argv[1:]))))
        arguments = take_verbosity(take_code(take_network(arguments)))
        configured, untrusted = configured_plugins()
        files = [*configured, *files]
        _tell_of_untrusted(untrusted, arguments)
        patience = plugin_patience()
        refused = {}
        if _EXAMINING & set(arguments):
            from datachef.core.cli.probe import unloadable

            refused = unloadable(files, patience)
        host = Host(files, patience=patience, refused=refused)
        set_host(host)
        try:
            build(host, arguments)(arguments)
        finally:
            _warn_of_broken_plugins(host, arguments)
            sys.stdout.flush()
    except SystemExit as ending:
        if (cause := hidden_cause(ending)) is None:
            raise
        sys.exit(report_error(cause))
    except BaseException as error:  # noqa: BLE001 - reported, with its trace where it is asked for
        sys.exit(report_error(error))
