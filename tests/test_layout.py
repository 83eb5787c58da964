"""Packages, type checkers' links and files on disk agree."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

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
