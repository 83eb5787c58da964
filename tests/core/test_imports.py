"""What is light stays light: heavy packages are imported where they are used, and nowhere else."""

from __future__ import annotations

import subprocess
import sys

import pytest

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
