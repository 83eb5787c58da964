"""`chef plugins`: the plugins that were found, and whether a package keeps the contracts."""

from __future__ import annotations

import os
import select
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import asdict
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from datachef.core.cli.completion import words
from datachef.core.cli.state import AsJson, console, get_host, print_json
from datachef.core.errors import DatachefError, PluginError, did_you_mean
from datachef.core.escaping import indented

if TYPE_CHECKING:
    from datachef.core.registry.host import Plugin
    from datachef.core.system.child_process import Child

_SIGNS = {"passed": "ok", "failed": "!!", "untried": "- "}


def register(app: typer.Typer) -> None:
    group = typer.Typer(invoke_without_command=True)
    group.callback()(plugins)
    group.command("check")(check)
    group.command("trust")(trust)
    app.add_typer(group, name="plugins")


def plugins(context: typer.Context, as_json: AsJson = False) -> None:
    """List the plugins that were found with all that is wrong with them, or check one.

    Exit code 3 where two of them cannot be used together; `chef doctor` fails where one is broken.
    """
    if context.invoked_subcommand is not None:
        return
    host = get_host()
    try:
        host.examine()
    finally:
        _show_plugins(host.plugins, as_json)


def _show_plugins(found: list[Plugin], as_json: bool) -> None:
    if as_json:
        print_json([asdict(plugin) for plugin in found])
        return
    from rich.table import Table

    table = Table("plugin", "package", "version", "module", "state")
    for plugin in found:
        state = plugin.error or (f"loaded: {plugin.note}" if plugin.note else "loaded")
        table.add_row(plugin.name, plugin.package, plugin.version, plugin.module, state)
    console().print(table)


def _packages() -> set[str]:
    return {plugin.package for plugin in get_host().plugins}


def check(
    package: Annotated[
        str,
        typer.Argument(
            help="The folder of a package (with its pyproject.toml), or an installed one by name.",
            autocompletion=words(_packages),
            show_default=False,
        ),
    ],
    as_json: AsJson = False,
) -> None:
    """Say of each operator, feature, gate and reward of a package which contracts it keeps.

    This imports the package and runs its code with your rights. It need not be installed, but what
    it depends on does. Exit code 3 where a check fails.
    """
    from datachef.core.registry.packages import folder_package, installed_package

    folder = Path(package)
    described = folder_package(folder) if folder.is_dir() else installed_package(package)
    if described is None:
        raise DatachefError(
            f"{package} is neither a folder nor an installed package with plugins",
            did_you_mean(package, _packages()),
        )
    print(f"running the code of {described.name} with your rights", file=sys.stderr)
    argument = str(folder.resolve()) if described.folder else described.name
    checks = list(_checks(argument))
    failed = [one for one in checks if one["state"] == "failed"]
    verdict = {
        "package": described.name, "version": described.version, "requires": described.requires,
        "passed": not failed, "checks": checks,
    }  # fmt: skip
    if as_json:
        print_json(verdict)
    else:
        _show_verdict(verdict, len(failed))
    if failed:
        raise typer.Exit(PluginError.exit_code)


def trust(
    folder: Annotated[
        Path, typer.Argument(help="The folder of a datachef.toml or pyproject.toml.")
    ] = Path(),
    remove: Annotated[bool, typer.Option("--remove", help="Trust it no longer.")] = False,
) -> None:
    """Load the plugin files that a folder's configuration names, whenever chef runs in or below it.

    They run with your rights, and so do those that its configuration will name later.
    """
    from datachef.core.cli import configuration

    if remove:
        configuration.distrust(folder)
        print(f"{folder.resolve()} is not trusted")
        return
    found = configuration.trust(folder)
    print(f"{found.file.parent} is trusted; loaded from now on:")
    for plugin in found.plugins:
        print(plugin)


def _checks(package: str) -> Iterator[dict[str, Any]]:
    """The checks that a process of its own makes, as they are made; the one that ends it, or does
    not come to an end, has failed."""
    import orjson

    from datachef.core.registry.host import plugin_patience
    from datachef.core.system.child_process import start

    child = start(
        ["-m", "datachef.core.cli.plugin_check", package],
        # Steps of a recipe have one thread each, too.
        environment=os.environ | {"POLARS_MAX_THREADS": "1", "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    begun = {"kind": "package", "name": package, "check": "loads", "state": "begun", "advice": ""}
    patience = plugin_patience()
    try:
        for line in _lines(child, patience):
            begun = orjson.loads(line)
            if begun["state"] != "begun":
                yield begun
    except TimeoutError:
        said = f"it does not come to an end ({patience:g} s)"
        yield {**begun, "state": "failed", "said": said}
        return
    finally:
        status = child.end()
    if begun["state"] == "begun":
        from datachef.core.run.worker import why_it_ended

        said = f"it ends the process: {why_it_ended(status, '', for_memory=False)[0]}"
        yield {**begun, "state": "failed", "said": said}


def _lines(child: Child, patience: float) -> Iterator[bytes]:
    """The lines that a process writes. Raises `TimeoutError` where one is waited for too long."""
    held, source = b"", child.stdout.fileno()
    while select.select([source], [], [], patience)[0]:
        if not (read := os.read(source, 2**16)):
            return
        *lines, held = (held + read).split(b"\n")
        yield from lines
    raise TimeoutError


def _show_verdict(verdict: dict[str, Any], failed: int) -> None:
    print(f"{verdict['package']} {verdict['version']}, for {verdict['requires'] or 'any datachef'}")
    for (kind, name), group in groupby(verdict["checks"], lambda one: (one["kind"], one["name"])):
        found = list(group)
        passed = sum(one["state"] == "passed" for one in found)
        if passed:
            print(f"{_SIGNS['passed']}  {kind} {name}: {passed} of {len(found)} checks")
        for said in dict.fromkeys(one["said"] for one in found if one["state"] == "untried"):
            print(f"{_SIGNS['untried']}  {kind} {name}: not tried: {indented(said)}")
        for one in found:
            if one["state"] == "failed":
                said = f": {one['said']}" if one["said"] else ""
                print(f"{_SIGNS['failed']}  {kind} {name}: {one['check']}{indented(said)}")
                if one["advice"]:
                    print(f"    hint: {indented(one['advice'])}")
    number = len(verdict["checks"])
    print(f"{failed or 'none'} of {number} checks failed")
