from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from command import chef
from pydantic import ValidationError

from datachef.core import DatachefError, Host, PluginError

Install = Callable[[str, str], None]

OPERATOR = """
from typing import Literal
from datachef.core import TextTransform, hookimpl

class {name}(TextTransform):
    \"\"\"Does nothing.\"\"\"
    op: Literal["{op}"] = "{op}"
    def rewrite(self, text):
        return text

@hookimpl
def datachef_operators():
    return [{name}]
"""


SALT = OPERATOR.format(name="Salt", op="salt")


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """Puts a package with one module and one entry point, both of its name, on the path."""
    monkeypatch.syspath_prepend(str(tmp_path))

    def put(name: str, code: str) -> None:
        (tmp_path / f"{name}.py").write_text(code)
        info = tmp_path / f"{name}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(f"[datachef]\n{name} = {name}\n")
        monkeypatch.delitem(sys.modules, name, raising=False)

    return put


def written(folder: Path, code: str) -> str:
    path = folder / "written.py"
    path.write_text(code)
    return str(path)


def test_a_package_is_found_by_its_entry_point(install: Install) -> None:
    install("spicepack", OPERATOR.format(name="Salt", op="salt"))
    host = Host(only={"spicepack"})
    assert list(host.vocabulary) == ["salt"]
    assert host.vocabulary.package("salt") == "spicepack"
    (plugin,) = host.plugins
    assert (plugin.name, plugin.version, plugin.error) == ("spicepack", "1.0", "")


def test_two_operators_of_one_name_name_both_packages(install: Install) -> None:
    install("packa", OPERATOR.format(name="Salt", op="salt"))
    install("packb", OPERATOR.format(name="OtherSalt", op="salt"))
    host = Host(only={"packa", "packb"})
    with pytest.raises(PluginError, match="two packages register the operator 'salt'") as raised:
        _ = host.vocabulary
    assert "packa (packa.Salt) and packb (packb.OtherSalt)" in raised.value.message
    assert "DATACHEF_PLUGINS" in raised.value.hint
    assert raised.value.exit_code == 3
    assert list(Host(only={"packb"}).vocabulary) == ["salt"]


def test_two_names_of_one_class_are_no_clash(install: Install) -> None:
    install("packa", OPERATOR.format(name="Salt", op="salt"))
    again = "from packa import Salt\nfrom datachef.core import hookimpl\n"
    install("packb", again + "@hookimpl\ndef datachef_operators():\n    return [Salt]\n")
    assert list(Host(only={"packa", "packb"}).vocabulary) == ["salt"]


@pytest.mark.parametrize(
    ("code", "cause"),
    [
        (SALT.replace("_operators", "_operator"), "unknown hook datachef_operator, did you mean"),
        (SALT.replace("datachef_operators", "operators"), "unknown hook operators"),
        (SALT.replace("@hookimpl", ""), "datachef_operators has no @hookimpl (from datachef.core"),
        ("import a_module_that_does_not_exist", "ModuleNotFoundError: No module named 'a_module"),
        ("1 / 0", "ZeroDivisionError: division by zero"),
        ("def", "SyntaxError: "),
        ("raise RuntimeError", "RuntimeError (written.py:1)"),
        (OPERATOR.format(name="Salt", op="No Name"), "TypeError: operator Salt: op must be in"),
        (
            OPERATOR.format(name="Salt", op="salt").replace("return [", "return 1 / 0 + ["),
            "datachef_operators: ZeroDivisionError: division by zero (written.py:13)",
        ),
    ],
)
def test_a_plugin_that_breaks_harms_no_other(
    tmp_path: Path, operators_file: str, code: str, cause: str
) -> None:
    host = Host([written(tmp_path, code), operators_file], only={"sources"})
    assert "size_filter" in host.vocabulary
    assert host.vocabulary.source_keys == ("hf", "path")
    (broken,) = host.broken
    assert broken.name == "written"
    assert broken.error.startswith(cause)


def test_an_entry_point_that_leads_nowhere_harms_no_other(install: Install, tmp_path: Path) -> None:
    install("packa", OPERATOR.format(name="Salt", op="salt"))
    install("packb", "")
    (tmp_path / "packb.py").unlink()
    host = Host(only={"packa", "packb"})
    assert list(host.vocabulary) == ["salt"]
    assert [plugin.name for plugin in host.broken] == ["packb"]


def test_what_is_loaded_can_be_restricted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATACHEF_PLUGINS", " sources , nobody")
    assert [plugin.name for plugin in Host().plugins] == ["sources"]
    monkeypatch.setenv("DATACHEF_PLUGINS", "")
    assert Host().plugins == []
    monkeypatch.delenv("DATACHEF_PLUGINS")
    assert {"sources", "filters", "engines"} <= {plugin.name for plugin in Host().plugins}


def test_a_plugin_file_that_is_missing(tmp_path: Path) -> None:
    with pytest.raises(DatachefError, match=r"no plugin file .*gone\.py") as raised:
        Host([str(tmp_path / "gone.py")], only=())
    assert raised.value.hint == "--plugin takes a Python file"


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (["ops", "--plugin", "gone.py"], 1, "no plugin file"),
        (["ops", "--plugin"], 1, "--plugin takes a Python file"),
        (["check", "x.yaml", "--plugin=clash.py"], 3, "two packages register the operator"),
    ],
)
def test_the_command_says_so_in_one_line(
    tmp_path: Path, arguments: list[str], code: int, told: str
) -> None:
    (tmp_path / "clash.py").write_text(OPERATOR.format(name="Clash", op="length_filter"))
    (tmp_path / "x.yaml").write_text("name: x\nsources:\n  web:\n    path: a.jsonl\n")
    done = chef(*arguments, folder=tmp_path, DATACHEF_PLUGINS="filters,sources")
    assert done.returncode == code
    assert done.stderr.startswith("error: ")
    assert told in done.stderr
    assert "Traceback" not in done.stderr


def test_a_host_without_plugins_has_a_vocabulary() -> None:
    empty = Host(only=()).vocabulary
    assert empty.fingerprint != Host(only={"sources"}).vocabulary.fingerprint
    pooled = {"name": "r", "sources": {"web": {}}}
    assert empty.recipe_model.model_validate(pooled).sources["web"].steps == ()
    with pytest.raises(ValidationError, match="path"):
        empty.recipe_model.model_validate({"name": "r", "sources": {"web": {"path": "a.jsonl"}}})


def test_names_of_a_hook_are_given_once(tmp_path: Path) -> None:
    code = "from datachef.core import hookimpl\n@hookimpl\ndef datachef_engines():\n    return {}\n"
    first = written(tmp_path, code.replace("{}", "{'local': dict}"))
    assert Host([first], only=()).named("datachef_engines") == {"local": dict}
    with pytest.raises(PluginError, match="both give 'local' in datachef_engines"):
        Host([first], only={"engines"}).named("datachef_engines")
