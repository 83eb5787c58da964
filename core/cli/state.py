"""What the commands of one process share: the host, and where they print."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from contextlib import ExitStack
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, BinaryIO

import typer

from datachef.core.cli import completion
from datachef.core.contracts.code_permission import (
    ALLOWED as ALLOWED_CODE,
    OPTION,
    UNCONFINED,
    allowed_code,
)
from datachef.core.errors import DatachefError
from datachef.core.escaping import indented_json, raw_stream
from datachef.core.registry.host import Host
from datachef.core.system.containment import own_stdout, stdout_to_stderr
from datachef.core.system.network import ALLOWED, EVERYTHING, Network, places

_HOSTS: list[Host] = []
_OUTPUTS: list[BinaryIO] = []
_WRITTEN: list[bool] = []
_VERBOSITY: list[int] = []
_VERBOSITIES = {"--quiet": -1, "--verbose": 1}

# Of the object that `--json` prints: raised where what it holds changes its meaning.
JSON_VERSION = 1


def set_host(host: Host) -> None:
    """Gives the commands the plugins of this process."""
    _HOSTS[:] = [host]


def get_host() -> Host:
    """The plugins of this process."""
    return _HOSTS[0]


def take_plugin_files(arguments: list[str]) -> tuple[list[str], list[str]]:
    """The arguments without `--plugin FILE`, and the files: they are needed before any command."""
    rest: list[str] = []
    files: list[str] = []
    waiting = iter(arguments)
    for argument in waiting:
        if argument == "--plugin":
            file = next(waiting, None)
            if file is None:
                raise DatachefError("--plugin takes a Python file")
            files.append(file)
        elif argument.startswith("--plugin="):
            files.append(argument.removeprefix("--plugin="))
        else:
            rest.append(argument)
    return rest, files


def take_network(arguments: list[str]) -> list[str]:
    """The arguments without `--allow-network`, which this process and those that it starts find in
    the environment. Raises `DatachefError` for what names no place on the network."""
    option = "--allow-network"
    for word, following in pairwise(arguments):
        if word == option and _is_meant_as_place(following):
            raise DatachefError(
                f"{option} takes its places behind an equals sign", f"{option}={following}"
            )
    named = [word for word in arguments if word.partition("=")[0] == option]
    asked = [word.partition("=")[2] if "=" in word else EVERYTHING for word in named]
    allowed = Network.of_environment().and_also(places(",".join(asked).split(",") if asked else ()))
    if asked:
        os.environ[ALLOWED] = ",".join(allowed.places)
    return [word for word in arguments if word not in named]


def take_code(arguments: list[str]) -> list[str]:
    """The arguments without `--allow-code`, which this process and those that it starts find in the
    environment. Raises `DatachefError` for a value that says nothing."""
    for word, following in pairwise(arguments):
        if (word, following) == (OPTION, UNCONFINED):
            told = f"{OPTION} takes its value behind an equals sign"
            raise DatachefError(told, f"{OPTION}={UNCONFINED}")
    named = [word for word in arguments if word.partition("=")[0] == OPTION]
    for word in named:
        os.environ[ALLOWED_CODE] = word.partition("=")[2] or "1"
    allowed_code()
    return [word for word in arguments if word not in named]


def _is_meant_as_place(word: str) -> bool:
    """Whether a word of the command line is a place on the network, and no command and no file."""
    if Path(word).suffix in (".yaml", ".yml", ".json", ".parquet") or Path(word).exists():
        return False
    try:
        places(word.split(","))
    except DatachefError:
        return False
    return "." in word or "://" in word or word == "localhost"


def take_verbosity(arguments: list[str]) -> list[str]:
    """The arguments without `--quiet` and `--verbose`, which this process knows of from now on."""
    asked = [word for word in arguments if word in _VERBOSITIES]
    if len(set(asked)) > 1:
        raise DatachefError("--quiet and --verbose exclude each other", "give one of them")
    _VERBOSITY[:] = [_VERBOSITIES[word] for word in asked[:1]]
    return [word for word in arguments if word not in _VERBOSITIES]


def is_quiet() -> bool:
    """Whether only results and errors are wanted."""
    return _VERBOSITY == [-1]


def is_verbose() -> bool:
    """Whether every part of the work is to be told."""
    return _VERBOSITY == [1]


def print_json(result: Any) -> None:
    """The result of a command, as `--json` prints it."""
    write_json({"version": JSON_VERSION, "result": result})


def print_json_error(error: Mapping[str, Any]) -> None:
    """Why a command ended, where it was to print JSON and has not printed any."""
    if "--json" in sys.argv and not _WRITTEN:
        write_json({"version": JSON_VERSION, "error": error})


def write_json(data: Any) -> None:
    """Data as indented JSON on standard output, also where everything else goes to the error."""
    _WRITTEN.append(True)
    raw = indented_json(data)
    out = _OUTPUTS[-1] if _OUTPUTS else sys.stdout.buffer
    out.write(raw)
    out.flush()


def only_json(context: typer.Context, wanted: bool) -> bool:
    """With `--json` standard output holds JSON alone, whatever libraries and plugins print."""
    if wanted and not context.resilient_parsing:
        redirected = ExitStack()
        _OUTPUTS.append(redirected.enter_context(own_stdout()))
        redirected.callback(_OUTPUTS.pop)
        redirected.enter_context(stdout_to_stderr())
        context.call_on_close(redirected.close)
    return wanted


def bytes_of(said: str) -> int:
    """A size as people write it: 500MB, 2.5 GiB, or a number of bytes."""
    from pydantic import ByteSize, TypeAdapter, ValidationError

    try:
        return int(TypeAdapter(ByteSize).validate_python(said))
    except ValidationError:
        raise typer.BadParameter(f"{said!r} is no size, such as 500MB or 100GB") from None


def console(*, errors: bool = False) -> Any:
    """A rich console; wide enough for tables where nobody is looking.

    Text is printed as it is: `[hf]` and `:key:` come from files and packages, never from us; what
    is not printed in it is escaped.
    """
    from datachef.core.cli.display import TextConsole

    stream = raw_stream(sys.stderr if errors else sys.stdout)
    width = None if stream.isatty() else 120
    return TextConsole(file=stream, width=width, highlight=False, markup=False, emoji=False)


RecipeFile = Annotated[
    Path,
    typer.Argument(
        help="The recipe, a YAML file.", autocompletion=completion.recipes, show_default=False
    ),
]
PoolFile = Annotated[
    Path | None,
    typer.Option(
        "--pool",
        help="Bind the recipe to the sources of this pool.yaml, and no others.",
        autocompletion=completion.pools,
    ),
]
Overrides = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="A.B=VALUE",
        help="Override a place of the recipe; repeatable.",
        autocompletion=completion.overrides,
    ),
]


def _folder_here(path: Path | None) -> Path | None:
    from datachef.core.system.outputs import refuse_url

    if path is not None:
        refuse_url(path)
    return path


CacheFolder = Annotated[
    Path | None,
    typer.Option(
        "--cache",
        callback=_folder_here,
        help="Where results are kept; DATACHEF_CACHE or .datachef by default.",
    ),
]
CachePlace = Annotated[
    str | None,
    typer.Option(
        "--cache",
        metavar="PATH",
        help="Where results are kept, a folder or s3://BUCKET/NAME and the like; DATACHEF_CACHE or "
        ".datachef by default.",
    ),
]
AsJson = Annotated[
    bool, typer.Option("--json", callback=only_json, help="Print JSON, for machines.")
]
