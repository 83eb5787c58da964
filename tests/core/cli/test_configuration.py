"""Plugin files of the user's configuration and of folders that the user trusts, and no others."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from command import chef

from datachef.core import DatachefError
from datachef.core.cli import configuration
from datachef.core.cli.configuration import configured_plugins, distrust, trust

MARK = "import pathlib\npathlib.Path(__file__).with_suffix('.ran').touch()\n"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder below one with a plugin file; the user's configuration lies elsewhere."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    (tmp_path / "project" / "below").mkdir(parents=True)
    (tmp_path / "project" / "mine.py").write_text(MARK)
    monkeypatch.chdir(tmp_path / "project" / "below")
    return tmp_path / "project"


NAMED = {
    "datachef.toml": 'plugins = ["mine.py"]\n',
    "pyproject.toml": '[tool.datachef]\nplugins = ["mine.py"]\n',
}


@pytest.mark.parametrize("file", NAMED)
def test_a_folder_loads_plugins_only_while_it_is_trusted(folder: Path, file: str) -> None:
    (folder / file).write_text(NAMED[file])
    plugin = str(folder / "mine.py")
    files, untrusted = configured_plugins()
    assert (files, untrusted and untrusted.plugins) == ([], (plugin,))
    assert trust(folder).plugins == (plugin,)
    assert configured_plugins() == ([plugin], None)
    distrust(folder)
    assert configured_plugins()[0] == []


def test_the_command_says_what_it_does_not_load(folder: Path) -> None:
    (folder / "datachef.toml").write_text(NAMED["datachef.toml"])
    refused = chef("plugins")
    assert f"hint: to trust what is in that folder: chef plugins trust {folder}" in refused.stderr
    assert not (folder / "mine.ran").exists()
    trusted = chef("plugins", "trust", folder)
    assert str(folder / "mine.py") in trusted.stdout
    assert str(folder / "mine.py") in chef("plugins", "--json").stdout
    assert (folder / "mine.ran").exists()


def test_the_user_names_plugins_for_every_folder(folder: Path) -> None:
    own = configuration.user_folder()
    own.mkdir(parents=True)
    (own / "datachef.toml").write_text('plugins = ["always.py"]\n')
    assert configured_plugins() == ([str(own / "always.py")], None)


@pytest.mark.parametrize(
    "text", ["plugins = [", "plugins = 3", "plugins = [1]", "a = " + "[" * 100_000, "a = 'é"]
)
def test_what_cannot_be_read_matters_where_it_is_trusted(folder: Path, text: str) -> None:
    file = folder / "datachef.toml"
    file.write_text(NAMED["datachef.toml"])
    trust(folder)
    file.write_text(text, encoding="latin-1")
    with pytest.raises(DatachefError, match=r"datachef\.toml"):
        configured_plugins()
    distrust(folder)
    assert configured_plugins() == ([], None)


def test_a_pipe_and_a_missing_file(folder: Path) -> None:
    os.mkfifo(folder / "below" / "datachef.toml")
    assert configured_plugins() == ([], None)
    with pytest.raises(DatachefError, match="configures no plugin files"):
        trust(folder)
    (folder / "datachef.toml").write_text('plugins = ["gone.py"]\n')
    with pytest.raises(DatachefError, match=r"names no file: .*gone\.py"):
        trust(folder)
