"""The code of a class is told apart by its sources, wherever they lie and however they came."""

from __future__ import annotations

import compileall
import importlib
import json
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from datachef.core import Host
from datachef.core.system.code_identity import code_of, core_code, distribution_code

OPERATOR = """
from typing import Literal
from datachef.core import Filter, hookimpl, threshold
{imports}

class {name}({base}):
    "A filter."
    op: Literal["{op}"] = "{op}"
    def signals(self): return {{}}
    def rules(self): return {{}}
"""
HOOK = """
@hookimpl
def datachef_operators(): return [{names}]
"""
FILES = {
    "__init__.py": "from .one import One\nfrom .two import Two\n"
    + "from datachef.core import hookimpl\n"
    + HOOK.format(names="One, Two"),
    "one.py": OPERATOR.format(
        imports="from . import (  # several\n    helper,\n)", name="One", op="one", base="Filter"
    ),
    "helper.py": "def late():\n    from acme_operators.deep.words import WORDS\n    return WORDS\n",
    "two.py": OPERATOR.format(
        imports="from acme_operators.base import Base", name="Two", op="two", base="Base"
    ),
    "base.py": "import json\nfrom datachef.core import Filter\nclass Base(Filter):\n    pass\n",
    "deep/__init__.py": "",
    "deep/words.py": "WORDS = ['a']\n",
}
TELL = """
import sys, json
sys.path.insert(0, sys.argv[1])
from acme_operators import One, Two
from datachef.core.system.code_identity import code_of, core_code
print(json.dumps([dict(code_of(One)), dict(code_of(Two)), core_code()]))
"""


def write(folder: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = folder / "acme_operators" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


def told(place: Path) -> list[dict[str, str]]:
    """What a fresh process says of the code of `One` and `Two` in a folder or archive."""
    done = subprocess.run(
        [sys.executable, "-c", TELL, str(place)], capture_output=True, text=True, check=True
    )
    one, two, _ = json.loads(done.stdout)
    return [one, two]


@pytest.fixture
def package(tmp_path: Path) -> Path:
    return write(tmp_path / "package", FILES)


def test_modules_of_the_package_that_are_imported_count(package: Path) -> None:
    one, two = told(package)
    names = {name for name in one if name.startswith("acme")}
    assert names == {"acme_operators.one", "acme_operators.helper", "acme_operators.deep.words"}
    names = {name for name in two if name.startswith("acme")}
    assert names == {"acme_operators.two", "acme_operators.base"}


@pytest.mark.parametrize(
    ("file", "changed"),
    [("one.py", [True, False]), ("helper.py", [True, False]), ("deep/words.py", [True, False]),
     ("base.py", [False, True]), ("two.py", [False, True]), ("__init__.py", [False, False])],
)  # fmt: skip
def test_an_edit_changes_what_it_reaches(package: Path, file: str, changed: list[bool]) -> None:
    before = told(package)
    with (package / "acme_operators" / file).open("a") as stream:
        stream.write("\nMORE = 1\n")
    after = told(package)
    assert [a != b for a, b in zip(before, after, strict=True)] == changed


def test_the_place_makes_no_difference(package: Path, tmp_path: Path) -> None:
    moved = shutil.copytree(package, tmp_path / "elsewhere" / "deeper")
    archive = tmp_path / "plugins.zip"
    with zipfile.ZipFile(archive, "w") as packed:
        for name in FILES:
            packed.write(package / "acme_operators" / name, f"acme_operators/{name}")
    assert told(package) == told(moved) == told(archive)


def test_compiled_modules_without_sources_count(package: Path, tmp_path: Path) -> None:
    compiled = []
    for text in ("WORDS = ['a']\n", "WORDS = ['b']\n"):
        (package / "acme_operators" / "deep" / "words.py").write_text(text)
        bare = shutil.copytree(package, tmp_path / f"bare-{len(compiled)}")
        compileall.compile_dir(bare, quiet=2, legacy=True, stripdir=str(bare))
        for source in bare.rglob("*.py"):
            source.unlink()
        compiled.append(told(bare))
    (one, two), (other_one, other_two) = compiled
    assert one["acme_operators.one"] == other_one["acme_operators.one"]
    for before, after in ((one, other_one), (two, other_two)):
        assert {name for name in before if before[name] != after[name]} == {
            "acme_operators (compiled)"
        }


@pytest.fixture
def plugin(tmp_path: Path) -> Callable[[str], Path]:
    path = tmp_path / "my_filters.py"

    def write_it(more: str = "") -> Path:
        text = OPERATOR.format(imports="import json", name="Mine", op="mine", base="Filter")
        path.write_text(text + HOOK.format(names="Mine") + more)
        return path

    return write_it


def loaded(file: Path) -> type:
    return Host([str(file)], only=()).vocabulary["mine"]


def test_a_plugin_file_counts_by_what_was_run(plugin: Callable[[str], Path]) -> None:
    first = loaded(plugin("A = 1\n"))
    file = plugin("A = 2\n")
    second = loaded(file)
    plugin("A = 3\n")
    assert code_of(first)["my_filters.py"] != code_of(second)["my_filters.py"]
    third = loaded(file)
    assert len({code_of(cls)["my_filters.py"] for cls in (first, second, third)}) == 3
    assert code_of(loaded(plugin("A = 2\n"))) == code_of(second)


def test_a_plugin_file_of_the_same_size_and_time_runs_as_it_is(
    plugin: Callable[[str], Path],
) -> None:
    file = plugin("A = 1\n")
    status = file.stat()
    assert sys.modules[loaded(file).__module__].A == 1
    plugin("A = 2\n")
    os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert sys.modules[loaded(file).__module__].A == 2


@pytest.fixture
def local_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A module on the path, outside of any package."""
    monkeypatch.syspath_prepend(str(tmp_path))
    yield tmp_path / "acme_helpers.py"
    sys.modules.pop("acme_helpers", None)


def test_a_base_class_in_another_local_module_counts(local_module: Path, tmp_path: Path) -> None:
    file = tmp_path / "my_filters.py"
    file.write_text(
        OPERATOR.format(
            imports="from acme_helpers import Base", name="Mine", op="mine", base="Base"
        )
        + HOOK.format(names="Mine")
    )
    said = []
    for number in (1, 2):
        local_module.write_text(
            f"from datachef.core import Filter\nclass Base(Filter): pass\n# {number}\n"
        )
        sys.modules.pop("acme_helpers", None)
        importlib.invalidate_caches()
        said.append(code_of(loaded(file)))
    assert said[0]["my_filters.py"] == said[1]["my_filters.py"]
    assert said[0]["acme_helpers.py"] != said[1]["acme_helpers.py"]


def test_packages_that_are_used_count_by_their_version(installed: Host) -> None:
    used = {name: code_of(installed.vocabulary[name]) for name in installed.vocabulary}
    assert "ftfy" in used["fix_unicode"]
    assert "py3langid" in used["language_filter"]
    assert "phonenumbers" in used["redact_personal_data"]
    assert "datachef.operators.text.words" in used["exact_dedup"]
    assert not any(name.startswith("datachef.core") for code in used.values() for name in code)


def test_an_installed_distribution_counts_by_its_record() -> None:
    (said,) = distribution_code("ftfy").values()
    version, digest = said.split()
    assert version == importlib.import_module("ftfy").__version__
    assert len(digest) == 12
    assert distribution_code("/a/plugin.py") == distribution_code("") == {}


def test_the_record_says_nothing_of_where(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said = []
    for number, place in enumerate(["one", "two", "three"]):
        folder = tmp_path / place
        info = folder / "acme_words-1.0.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text("Name: acme-words\nVersion: 1.0\n")
        data = "aaa" if number < 2 else "bbb"
        (info / "RECORD").write_text(
            f"../../bin/acme,sha256={place},3\nacme/words.txt,sha256={data},3\n"
            f"acme/__pycache__/x.cpython-311.pyc,,\nacme_words-1.0.dist-info/direct_url.json,"
            f"sha256={place},3\n__editable___acme_finder.py,sha256={place},3\n"
        )
        monkeypatch.syspath_prepend(str(folder))
        distribution_code.cache_clear()
        said.append(distribution_code("acme-words")["acme-words"])
    distribution_code.cache_clear()
    assert said[0] == said[1] != said[2]
    assert said[0].startswith("1.0 ")


def test_core_is_the_same_in_every_process(package: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", TELL, str(package)], capture_output=True, text=True, check=True
    )
    assert json.loads(done.stdout)[2] == core_code()
