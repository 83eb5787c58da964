"""What is published is complete, and everything that tells how to install it is true."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Iterator
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import pytest
from packaging.metadata import Metadata
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from datachef.core.distribution import NAME
from datachef.core.registry.host import GROUP

ROOT = Path(__file__).parent.parent
PARTS = ("core", "operators", "plugins", "policy", "reward")
TEXTS = (".md", ".py", ".toml", ".yaml", ".yml", ".txt", ".sh", "")
EXTRAS = re.compile(rf"(?:{NAME}|(?<=[\s\"'`])\.)\[([a-z,]+)\]")


@pytest.fixture(scope="module")
def project() -> dict[str, Any]:
    table: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return table


def _texts() -> Iterator[tuple[Path, str]]:
    skipped = {"results", "__pycache__", ".environments"}
    for folder in (".ci", "docs", "examples", "benchmarks", "tests", *PARTS):
        for path in sorted((ROOT / folder).rglob("*")):
            if path.suffix in TEXTS and not skipped & set(path.parts) and path.is_file():
                yield path, path.read_text(encoding="utf-8")
    for path in (ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "pyproject.toml"):
        yield path, path.read_text(encoding="utf-8")


HELD = (".py", ".pyi", ".template", ".yaml")
PYTHONS = ("3.11", "3.12", "3.13")


def _holding(requirements: list[str], python: str) -> list[Requirement]:
    """What of this counts for that Python on Linux."""
    environment = {
        "python_version": python, "python_full_version": f"{python}.0", "extra": "",
        "sys_platform": "linux", "platform_machine": "x86_64",
        "platform_python_implementation": "CPython",
    }  # fmt: skip
    parsed = [Requirement(line) for line in requirements]
    return [one for one in parsed if one.marker is None or one.marker.evaluate(environment)]


def _needed(project: dict[str, Any], extra: str, python: str) -> Iterator[Requirement]:
    for one in _holding(project["optional-dependencies"][extra], python):
        if one.name != NAME:
            yield one
        for inner in one.extras if one.name == NAME else ():
            yield from _needed(project, inner, python)


@pytest.mark.parametrize("python", PYTHONS)
def test_the_constraints_hold_what_pyproject_admits(project: dict[str, Any], python: str) -> None:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    held = _holding([line for line in lines if not line.startswith("#")], python)
    versions = {canonicalize_name(one.name): str(one.specifier) for one in held}
    assert len(versions) == len(held)
    needed = [
        *_holding(project["dependencies"], python),
        *_needed(project, "dev", python),
        *_needed(project, "all", python),
    ]
    assert len(needed) > 40
    for one in needed:
        version = versions[canonicalize_name(one.name)].removeprefix("==")
        assert one.specifier.contains(version), f"{one} and {version}"


def test_the_constraints_are_names_and_versions_alone() -> None:
    first, *lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    assert first.startswith("# Made by .ci/constraints")
    for line in lines:
        assert re.fullmatch(r"[a-z0-9-]+==[0-9][0-9a-z.]*( ; [a-z_0-9<>=!'. ()A-Z]+)?", line), line
    assert not [line for line in lines if line.startswith(("nvidia", "cuda", "triton", NAME))]


@pytest.mark.parametrize("text", ["README.md", "CONTRIBUTING.md", ".ci/run", ".ci/python-versions"])
def test_what_is_installed_to_work_with_is_what_was_tested(text: str) -> None:
    lines = (ROOT / text).read_text(encoding="utf-8").splitlines()
    commands = [one for one in lines if re.search(r'pip"? install .*(\.\[dev\]| \. |\.whl)', one)]
    assert commands
    assert [one for one in commands if "-c constraints.txt" not in one] == []


def test_the_extras_that_are_named_exist(project: dict[str, Any]) -> None:
    named = {
        (extra, path.name)
        for path, text in _texts()
        for extras in EXTRAS.findall(text)
        for extra in extras.split(",")
        if path.name not in ("test_distribution.py", "test_packaging.py")
    }
    assert {"dev", "hf", "policy", "reward"} <= {extra for extra, _ in named}
    assert {e for e in named if e[0] not in project["optional-dependencies"]} == set()


def test_nothing_tells_to_install_the_package_of_somebody_else() -> None:
    foreign = re.compile(r"datachef\[[a-z,]+\]|pip install [^`\n]*\bdatachef(?![-_/\w])")
    assert [(path.name, found) for path, text in _texts() for found in foreign.findall(text)] == []


def test_a_plugin_depends_on_what_is_published() -> None:
    for path in (ROOT / "tests").rglob("pyproject.toml"):
        dependencies = tomllib.loads(path.read_text())["project"]["dependencies"]
        assert [Requirement(one).name for one in dependencies] == [NAME]


def test_our_plugins_come_from_our_distribution() -> None:
    ours = {e.dist.name for e in entry_points(group=GROUP) if e.dist and e.value[:9] == "datachef."}
    assert ours == {NAME}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    """Made from the source distribution, as a release is."""
    folder = tmp_path_factory.mktemp("packaging")
    clone = folder / "clone"
    clone.mkdir()
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, clone)
    for part in PARTS:
        shutil.copytree(ROOT / part, clone / part, ignore=shutil.ignore_patterns("__pycache__"))
    subprocess.run(
        [sys.executable, "-m", "build", "--no-isolation", "--outdir", folder / "dist", clone],
        check=True,
        capture_output=True,
    )
    assert {path.suffix for path in (folder / "dist").iterdir()} == {".gz", ".whl"}
    (path,) = (folder / "dist").glob("*.whl")
    return zipfile.ZipFile(path)


def test_the_metadata_of_the_wheel_is_complete(
    wheel: zipfile.ZipFile, project: dict[str, Any]
) -> None:
    (name,) = [name for name in wheel.namelist() if name.endswith(".dist-info/METADATA")]
    metadata = Metadata.from_email(wheel.read(name), validate=True)
    assert (metadata.name, str(metadata.version)) == ("datachef-core", project["version"])
    assert metadata.summary == project["description"]
    assert metadata.license_expression == "Apache-2.0"
    assert metadata.license_files == ["LICENSE"]
    assert metadata.author or metadata.author_email
    assert metadata.description == (ROOT / "README.md").read_text(encoding="utf-8")
    assert (metadata.description_content_type or "").startswith("text/markdown")
    assert str(metadata.requires_python) == ">=3.11"
    assert set(metadata.provides_extra or ()) == set(project["optional-dependencies"])
    assert metadata.keywords
    needed = [Requirement(str(one)) for one in metadata.requires_dist or ()]
    assert "datachef" not in {one.name for one in needed}
    assert {"polars", "pydantic", NAME} <= {one.name for one in needed}


def test_the_wheel_holds_the_code_and_nothing_else(wheel: zipfile.ZipFile) -> None:
    held = {name for name in wheel.namelist() if name.startswith("datachef/")}
    # What is run, and what it makes pages and packages of.
    suffixes = {".py", ".pyi", ".yaml", ".template", ".jinja", ".css", ".js"}
    on_disk = {
        f"datachef/{path.relative_to(ROOT)}"
        for part in PARTS
        for path in (ROOT / part).rglob("*")
        if path.is_file() and (path.suffix in suffixes or path.name == "py.typed")
    }
    assert held == on_disk
    rest = {name.split("/")[0] for name in wheel.namelist()} - {"datachef"}
    assert [name.endswith(".dist-info") for name in rest] == [True]
