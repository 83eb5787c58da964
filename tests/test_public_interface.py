"""The public interface is importable and light, and documentation and operators import it alone."""

from __future__ import annotations

import ast
import inspect
import re
import subprocess
import sys
from pathlib import Path

import pytest

import datachef.core

ROOT = Path(__file__).parent.parent
PUBLIC = {"datachef.core", "datachef.core.testing"}
IMPORT = re.compile(r"(?:from|import) (datachef\.[\w.]+)")
SHOWN = [
    path
    for pattern in ("docs/**/*.md", "docs/**/*.py", "*.md", "examples/**/*.md", "examples/**/*.py")
    for path in sorted(ROOT.glob(pattern))
]
OPERATORS = sorted((ROOT / "operators").rglob("*.py"))


@pytest.mark.parametrize("name", datachef.core.__all__)
def test_every_public_name_is_there_and_says_what_it_is(name: str) -> None:
    value = getattr(datachef.core, name)
    if inspect.isclass(value) or inspect.isroutine(value):
        assert (value.__doc__ or "").strip()


def test_the_version_is_the_installed_one() -> None:
    assert re.fullmatch(r"\d+\.\d+\.\d+\S*", datachef.core.__version__)


def test_importing_the_interface_loads_nothing_else() -> None:
    code = "import sys, datachef.core; print(*sorted(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    ours = {name for name in done.stdout.split() if name.startswith("datachef")}
    assert ours <= {"datachef", "datachef.core"}
    assert not {"polars", "pydantic", "numpy", "torch", "datasets"} & set(done.stdout.split())


@pytest.mark.parametrize("path", SHOWN, ids=lambda path: str(path.relative_to(ROOT)))
def test_what_people_copy_imports_the_public_interface_alone(path: Path) -> None:
    assert set(IMPORT.findall(path.read_text(encoding="utf-8"))) <= PUBLIC


@pytest.mark.parametrize("path", OPERATORS, ids=lambda path: str(path.relative_to(ROOT)))
def test_operators_import_the_public_interface_and_each_other(path: Path) -> None:
    modules = {
        node.module
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("datachef.")
    }
    assert {name for name in modules if not name.startswith("datachef.operators.")} <= PUBLIC
