"""An interrupt ends `chef` quietly, also while it is starting."""

from __future__ import annotations

import subprocess
import sys

import pytest

INTERRUPTED = """
import sys

class Interrupting:
    def find_spec(self, name, path=None, target=None):
        if name == sys.argv[1]:
            raise KeyboardInterrupt

sys.meta_path.insert(0, Interrupting())
from datachef.core.cli import main
main()
"""


@pytest.mark.parametrize("module", ["typer", "datachef.core.cli.running"])
def test_an_interrupt_while_it_is_imported_shows_no_trace(module: str) -> None:
    command = [sys.executable, "-c", INTERRUPTED, module]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "")


def test_what_else_breaks_while_it_is_imported_is_shown() -> None:
    broken = INTERRUPTED.replace("KeyboardInterrupt", "RuntimeError('broken')")
    command = [sys.executable, "-c", broken, "typer"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "RuntimeError: broken" in done.stderr
