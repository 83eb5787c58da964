"""Whatever this is installed from, the printed commands install from there as well."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
from importlib.metadata import Distribution
from pathlib import Path
from typing import Any

import pytest
from command import chef

from datachef.core import Host, MissingPackageError, distribution, extra
from datachef.core.cli import doctor
from datachef.core.distribution import NAME, install_command, version

ROOT = Path(__file__).parents[2]


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Pretends that pip wrote down this origin of the installation."""

    def pretend(origin: dict[str, Any] | None) -> None:
        info = tmp_path / "site" / "datachef_core-0.1.0.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text(f"Metadata-Version: 2.4\nName: {NAME}\nVersion: 0.1.0\n")
        if origin is not None:
            (info / "direct_url.json").write_text(json.dumps(origin))
        monkeypatch.setattr(distribution, "distribution", lambda _: Distribution.at(info))

    return pretend


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    folder = tmp_path / "a clone"
    folder.mkdir()
    (folder / "pyproject.toml").touch()
    return folder


def test_a_release_is_named(installed: Any) -> None:
    installed(None)
    assert install_command(extra("hf", "llm")) == 'pip install "datachef-core[hf,llm]"'


def test_a_clone_is_installed_from_where_it_lies(
    installed: Any, clone: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    installed({"url": clone.as_uri(), "dir_info": {"editable": True}})
    assert install_command(extra("hf")) == f'pip install -e "{clone}[hf]"'
    monkeypatch.chdir(clone)
    assert install_command(extra("hf")) == 'pip install -e ".[hf]"'
    assert install_command(NAME) == 'pip install -e "."'


def test_a_copy_of_a_clone_is_not_made_editable(installed: Any, clone: Path) -> None:
    installed({"url": clone.as_uri(), "dir_info": {}})
    assert install_command(extra("hf")) == f'pip install "{clone}[hf]"'


def test_a_clone_that_is_gone_is_not_named(installed: Any, tmp_path: Path) -> None:
    installed({"url": (tmp_path / "gone").as_uri(), "dir_info": {}})
    assert install_command(extra("hf")) == 'pip install "datachef-core[hf]"'


def test_a_wheel_is_named_while_it_is_there(installed: Any, tmp_path: Path) -> None:
    wheel = tmp_path / "datachef_core-0.1.0-py3-none-any.whl"
    wheel.touch()
    installed({"url": wheel.as_uri(), "archive_info": {}})
    assert install_command(extra("hf")) == f'pip install "datachef-core[hf] @ {wheel.as_uri()}"'
    wheel.unlink()
    assert install_command(extra("hf")) == 'pip install "datachef-core[hf]"'


def test_a_commit_is_named(installed: Any) -> None:
    vcs = {"vcs": "git", "commit_id": "0123abc"}
    installed({"url": "https://example.org/datachef.git", "vcs_info": vcs})
    place = "git+https://example.org/datachef.git@0123abc"
    assert install_command(extra("hf")) == f'pip install "datachef-core[hf] @ {place}"'


def test_requirements_of_others_are_left_alone(installed: Any, clone: Path) -> None:
    installed({"url": clone.as_uri(), "dir_info": {"editable": True}})
    assert install_command("a-package[heavy]>=2") == 'pip install "a-package[heavy]>=2"'
    assert install_command("datachef-core-extras") == 'pip install "datachef-core-extras"'


def test_the_command_survives_a_shell(installed: Any, tmp_path: Path) -> None:
    folder = tmp_path / "costs $HOME"
    folder.mkdir()
    (folder / "pyproject.toml").touch()
    installed({"url": folder.as_uri(), "dir_info": {}})
    assert shlex.split(install_command(extra("hf")))[-1] == f"{folder}[hf]"


def test_pip_takes_the_command_as_it_is_printed() -> None:
    """Here, where this is installed: from a checkout or from anything else."""
    words = shlex.split(MissingPackageError("x", extra("reward", "hf"), "a test").hint)
    assert words[0] == "pip"
    quick = ["--dry-run", "--no-deps", "--no-build-isolation"]
    done = subprocess.run(
        [sys.executable, "-m", *words, *quick],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "does not provide the extra" not in done.stdout + done.stderr


def test_chef_says_its_name_and_version() -> None:
    shown = chef("--version")
    assert shown.stdout == f"datachef-core {version()}\n"


def test_doctor_prints_the_command_that_fits(
    installed: Any, clone: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    installed({"url": clone.as_uri(), "dir_info": {"editable": True}})
    monkeypatch.setattr(doctor, "EXTRAS", {"vllm": "a_module_that_does_not_exist"})
    monkeypatch.setattr(doctor, "get_host", lambda: Host([], only=()))
    doctor.doctor(as_json=False)
    assert f'pip install -e "{clone}[vllm]"' in capsys.readouterr().out
