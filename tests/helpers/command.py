"""`chef` as people start it: a process of its own, in a folder, with variables of its own."""

from __future__ import annotations

import json
import os
import site
import subprocess
import sys
import venv
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from datachef.core import document

# As for the script that is installed, the folder where it is started is no place for modules.
CHEF = (sys.executable, "-P", "-m", "datachef.core.cli")


def chef(
    *arguments: object,
    folder: Path | None = None,
    python: Path | None = None,
    limit: Callable[[], None] | None = None,
    **variables: str,
) -> subprocess.CompletedProcess[str]:
    """Runs a command to its end, however it ends; with the Python of another environment, or in a
    process that `limit` has bounded."""
    return subprocess.run(
        [str(python or sys.executable), *CHEF[1:], *map(str, arguments)],
        cwd=folder,
        env=os.environ | variables,
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=limit,
    )


def environment_with(folder: Path, *packages: Path) -> Path:
    """The Python of an environment in the folder that sees this one's packages and has these
    installed, without a network."""
    venv.create(folder, symlinks=True)
    python = folder / "bin" / "python"
    (libraries,) = (folder / "lib").glob("python*/site-packages")
    ours = [path for path in site.getsitepackages() if Path(path).is_dir()]
    lines = [f"import site; site.addsitedir({path!r})" for path in ours]
    (libraries / "ours.pth").write_text("\n".join(lines) + "\n")
    command = [python, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation"]
    subprocess.run([*command, *packages], check=True)
    return python


@dataclass(frozen=True)
class Workspace:
    """A folder with files for commands, which run in it."""

    folder: Path

    def write(self, name: str, data: Any) -> None:
        """A YAML file."""
        (self.folder / name).write_text(document.dump(data))

    def read(self, name: str) -> Any:
        """What a YAML file holds."""
        return document.read(self.folder / name).data

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """A command that runs on while the test does."""
        return subprocess.Popen(
            [*CHEF, *arguments],
            cwd=self.folder,
            env=os.environ | {"OMP_NUM_THREADS": "1", "COLUMNS": "200"},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def chef(self, *arguments: str, fails: int = 0) -> subprocess.CompletedProcess[str]:
        """A command that ends with that status, and never with a traceback."""
        command = self.start(*arguments)
        printed, said = command.communicate()
        assert command.returncode == fails, said
        assert "Traceback" not in said
        return subprocess.CompletedProcess(command.args, fails, printed, said)

    def json(self, *arguments: str) -> Any:
        """What a command prints when asked for JSON."""
        return json.loads(self.chef(*arguments, "--json").stdout)["result"]
