"""Files and modules as plugins: which are loaded, how often, in which order; what imports do."""

from __future__ import annotations

import logging
import os
import sys
import warnings
from pathlib import Path

import pytest
from odd_plugins import HEAD, OPERATORS, Write, examined

from datachef.core import DatachefError, Host


def test_order_is_that_of_packages_and_of_tryfirst_and_trylast(tmp_path: Path) -> None:
    marks = {"a": "trylast=True", "b": "", "c": "tryfirst=True", "d": "tryfirst=True", "e": ""}
    files = []
    for name, mark in marks.items():
        path = tmp_path / f"{name}.py"
        path.write_text(
            f"{HEAD}\nclass O(RunObserver):\n    name = {name!r}\n"
            f"@hookimpl({mark})\ndef datachef_run_observers():\n    return [O()]\n"
        )
        files.append(str(path))
    for given in (files, files[::-1]):
        observers = Host(given, only=()).observers()
        assert "".join(observer.name for observer in observers) == "cdbea"  # type: ignore[attr-defined]


def test_a_file_given_twice_is_loaded_once(write_plugin: Write, tmp_path: Path) -> None:
    file = write_plugin("print('loading')\n" + OPERATORS.format(""))
    (tmp_path / "link.py").symlink_to(file)
    around = str(tmp_path / "." / ".." / tmp_path.name / "odd.py")
    host = Host([file, around, str(tmp_path / "link.py")], only=())
    assert [plugin.name for plugin in host.plugins] == ["odd"]
    assert host.files == (file,)
    assert list(host.vocabulary) == ["good"]


def test_two_files_of_one_stem_are_two_plugins(write_plugin: Write, tmp_path: Path) -> None:
    first = write_plugin(OPERATORS.format(""))
    second = tmp_path / "more" / "odd.py"
    second.parent.mkdir()
    second.write_text(Path(first).read_text().replace("good", "better").replace("Good", "Better"))
    host = Host([first, str(second)], only=())
    assert list(host.vocabulary) == ["better", "good"]
    modules = [host.vocabulary[name].__module__ for name in host.vocabulary]
    assert [sys.modules[name].__file__ for name in modules] == [str(second), first]


def test_an_edit_within_the_same_second_is_seen(write_plugin: Write) -> None:
    file = write_plugin(OPERATORS.format(""))
    assert list(Host([file], only=()).vocabulary) == ["good"]
    times = Path(file).stat()
    Path(file).write_text(Path(file).read_text().replace('"good"', '"food"'))
    os.utime(file, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert list(Host([file], only=()).vocabulary) == ["food"]


@pytest.mark.parametrize("name", ["gone.py", ".", "~nobody_at_all/x.py"])
def test_what_is_no_file_is_a_mistake_of_the_call(tmp_path: Path, name: str) -> None:
    with pytest.raises(DatachefError, match="no plugin file") as raised:
        Host([str(tmp_path / name)], only=())
    assert raised.value.hint == "--plugin takes a Python file"


@pytest.mark.parametrize(
    ("raw", "cause"),
    [
        (b"x = '\xff'\n", "SyntaxError"),
        (b"def f(:\n", "SyntaxError: invalid syntax (odd.py, line 1)"),
        (b"\x00\x01", "SyntaxError"),
        (b"import sys\nsys.exit('bye')\n", "SystemExit: bye (odd.py:2)"),
        (b"raise BaseException\n", "BaseException (odd.py:1)"),
        (b"class E(Exception):\n    def __str__(self): return 1/0\nraise E\n", "E: (it cannot be"),
        (b"raise ValueError('a\\nb' + 'x' * 9999)\n", "ValueError: a bxxx"),
    ],
)
def test_a_file_that_cannot_be_loaded(tmp_path: Path, raw: bytes, cause: str) -> None:
    path = tmp_path / "odd.py"
    path.write_bytes(raw)
    before = sys.modules.get("datachef_plugin_odd")
    _, odd = examined(str(path))
    assert odd.error.startswith(cause)
    assert "\n" not in odd.error
    assert len(odd.error) < 600
    assert sys.modules.get("datachef_plugin_odd") is before


def test_what_an_import_does_to_the_process_is_undone(
    write_plugin: Write, capfd: pytest.CaptureFixture[str]
) -> None:
    folder, handlers, level = Path.cwd(), list(logging.root.handlers), logging.root.level
    file = write_plugin(
        "print('printed'); os.write(1, b'written\\n'); os.system('echo from a child')\n"
        "logging.basicConfig(level=1, force=True); logging.disable(50)\n"
        "warnings.simplefilter('error'); os.chdir('/'); sys.stdout = None\n"
        + OPERATORS.format("").replace("    return", "    print('hook')\n    return")
    )
    stdout, filters = sys.stdout, list(warnings.filters)
    host, odd = examined(file)
    assert odd.error == ""
    out, said = capfd.readouterr()
    assert out == ""
    for words in ("printed", "written", "from a child", "hook"):
        assert words in said
    assert Path.cwd() == folder
    assert (list(logging.root.handlers), logging.root.level) == (handlers, level)
    assert logging.root.manager.disable == 0
    assert warnings.filters == filters
    assert sys.stdout is stdout
    assert list(host.vocabulary) == ["good"]


def distribution(folder: Path, name: str, points: dict[str, str]) -> None:
    info = folder / f"{name}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    lines = [f"{point} = {module}\n" for point, module in points.items()]
    (info / "entry_points.txt").write_text("[datachef]\n" + "".join(lines))


def test_one_module_under_two_entry_points_is_loaded_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engines = "@hookimpl\ndef datachef_engines():\n    return {'mine': dict}\n"
    (tmp_path / "spicemod.py").write_text(HEAD + OPERATORS.format("") + engines)
    distribution(tmp_path, "spicea", {"salt": "spicemod", "pepper": "spicemod"})
    distribution(tmp_path, "spiceb", {"thyme": "spicemod"})
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "spicemod", raising=False)
    host = Host(only={"salt", "pepper", "thyme"})
    told = {plugin.name: (plugin.error, plugin.note) for plugin in host.plugins}
    assert told == {
        "pepper": ("", ""),
        "salt": ("", "the same module as pepper, loaded once"),
        "thyme": ("", "the same module as pepper, loaded once"),
    }
    assert list(host.vocabulary) == ["good"]
    assert host.named("datachef_engines") == {"mine": dict}
