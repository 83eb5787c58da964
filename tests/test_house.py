"""What keeps the house in order: packages, links and files on disk agree."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
ROOMS = ("core", "operators", "plugins", "policy", "reward")


@pytest.fixture(scope="module")
def setuptools_table() -> dict[str, object]:
    with (ROOT / "pyproject.toml").open("rb") as stream:
        table: dict[str, object] = tomllib.load(stream)["tool"]["setuptools"]
    return table


def test_every_package_on_disk_is_packaged(setuptools_table: dict[str, object]) -> None:
    on_disk = {
        "datachef." + str(init.parent.relative_to(ROOT)).replace("/", ".")
        for room in ROOMS
        for init in (ROOT / room).rglob("__init__.py")
    }
    assert set(setuptools_table["packages"]) == on_disk  # type: ignore[call-overload]


@pytest.mark.parametrize("room", ROOMS)
def test_type_checkers_see_every_room(room: str) -> None:
    link = ROOT / ".pyroot" / "datachef" / room
    assert link.is_symlink()
    assert link.resolve() == ROOT / room
    assert (ROOT / room / "py.typed").is_file()


def test_every_folder_with_code_is_a_package() -> None:
    folders = {file.parent for room in ROOMS for file in (ROOT / room).rglob("*.py")}
    assert not [folder for folder in folders if not (folder / "__init__.py").is_file()]
