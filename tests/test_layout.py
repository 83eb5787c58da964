"""Packages, type checkers' links and files on disk agree."""

from __future__ import annotations

import ast
import tomllib
from pathlib import Path

import pytest

from datachef.core import Host

ROOT = Path(__file__).parent.parent
PACKAGES = ("core", "operators", "plugins", "policy", "reward")


@pytest.fixture(scope="module")
def setuptools_table() -> dict[str, object]:
    with (ROOT / "pyproject.toml").open("rb") as stream:
        table: dict[str, object] = tomllib.load(stream)["tool"]["setuptools"]
    return table


def test_every_package_on_disk_is_packaged(setuptools_table: dict[str, object]) -> None:
    on_disk = {
        "datachef." + str(init.parent.relative_to(ROOT)).replace("/", ".")
        for package in PACKAGES
        for init in (ROOT / package).rglob("__init__.py")
    }
    assert set(setuptools_table["packages"]) == on_disk  # type: ignore[call-overload]


@pytest.mark.parametrize("package", PACKAGES)
def test_type_checkers_see_every_package(package: str) -> None:
    link = ROOT / ".pyroot" / "datachef" / package
    assert link.is_symlink()
    assert link.resolve() == ROOT / package
    assert (ROOT / package / "py.typed").is_file()


def test_every_folder_with_code_is_a_package() -> None:
    folders = {file.parent for package in PACKAGES for file in (ROOT / package).rglob("*.py")}
    assert not [folder for folder in folders if not (folder / "__init__.py").is_file()]


# What is kept of rejected rows, the key of a cache, a column of a log and a usual field of a source
# have the name of an operator, and are none.
WORDS = {"sample", "system_prompt"}


@pytest.mark.parametrize("package", ["core", "policy", "reward"])
def test_no_operator_is_known_by_name(package: str) -> None:
    """What an operator is for, it declares itself: any other may take its place."""
    operators = set(Host().vocabulary) - WORDS
    named = [
        f"{file.relative_to(ROOT)}:{node.lineno}: {node.value}"
        for file in sorted((ROOT / package).rglob("*.py"))
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.Constant) and node.value in operators
    ]
    assert "weighted_mix" in operators
    assert named == []
