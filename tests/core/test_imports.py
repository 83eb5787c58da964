"""What is light stays light: heavy packages are imported where they are used, and nowhere else."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from importlib.metadata import packages_distributions, requires
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

HEAVY = [
    "torch", "transformers", "datasets", "polars", "numpy", "pyarrow", "openai", "httpx", "fsspec",
    "jinja2", "tokenizers", "ray",
]  # fmt: skip

CALL = "import sys; from datachef.core.cli import main; sys.argv = ['chef', *{!r}]\n"
TELL = "\nimport sys; print('loaded:', *sorted({!r} & set(sys.modules)))"


def loaded(code: str, heavy: list[str]) -> list[str]:
    """Which of the packages are loaded in a fresh interpreter that has run `code`."""
    done = subprocess.run(
        [sys.executable, "-c", code + TELL.format(set(heavy))],
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.splitlines()[-1].split()[1:]


def called(arguments: list[str]) -> str:
    return (
        CALL.format(arguments)
        + "try:\n    main()\nexcept SystemExit as end:\n    assert not end.code"
    )


def test_the_contracts_are_light() -> None:
    assert loaded("import datachef.core", [*HEAVY, "typer", "rich"]) == []


@pytest.mark.parametrize(
    "arguments", [["--help"], ["run", "--help"], ["plugins", "--json"]], ids=" ".join
)
def test_help_is_light(arguments: list[str]) -> None:
    allowed = {"polars", "numpy", "fsspec", "jinja2"} if "plugins" in arguments else set()
    assert loaded(called(arguments), [name for name in HEAVY if name not in allowed]) == []


def test_the_vocabulary_needs_no_model_and_no_network() -> None:
    heavy = [name for name in HEAVY if name not in {"polars", "numpy", "fsspec", "jinja2"}]
    assert loaded("from datachef.core import Host; Host().vocabulary.fingerprint", heavy) == []


def test_one_import_does_not_print_or_warn() -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", "import datachef.core, datachef.core.cli"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout + done.stderr == ""


# Modules that need a package of an extra, and are imported where they are used.
NEED_MORE = {"core/files/web.py"}


def imported_at_once(path: Path) -> set[str]:
    """The packages that a module imports when it is imported itself, but for typing."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    found: set[str] = set()
    for node in tree.body:
        if isinstance(node, ast.Import):
            found |= {name.name for name in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module, *(f"{node.module}.{name.name}" for name in node.names)}
    return found


def test_what_is_installed_by_default_suffices_for_core_operators_plugins_and_commands() -> None:
    names = {
        re.match(r"[A-Za-z0-9._-]+", requirement)[0].lower().replace("_", "-")
        for requirement in requires("datachef-core") or ()
        if "extra ==" not in requirement
    }
    by_module = packages_distributions()
    there = {"datachef", *sys.stdlib_module_names} | {
        module
        for module, distributions in by_module.items()
        if names & {name.lower().replace("_", "-") for name in distributions}
    } | {"pydantic_core"}  # fmt: skip
    needy = {f"datachef.{name[:-3].replace('/', '.')}" for name in NEED_MORE}
    for folder in ("core", "operators", "plugins", "reward/commands", "policy/commands"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            shown = str(path.relative_to(ROOT))
            found = imported_at_once(path)
            assert not needy & found, shown
            tops = {name.partition(".")[0] for name in found}
            assert shown in NEED_MORE or not tops - there, f"{shown}: {tops - there}"
