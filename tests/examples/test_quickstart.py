"""The first command of the README prints what the README says."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from command import chef

ROOT = Path(__file__).parents[2]


@pytest.mark.skipif(
    sys.version_info[:2] != (3, 11), reason="its rows are the documentation of Python 3.11"
)
def test_the_readme_shows_what_is_printed(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "examples" / "quickstart", tmp_path / "examples" / "quickstart")
    making = [sys.executable, "examples/quickstart/make_data.py"]
    made = subprocess.run(making, cwd=tmp_path, capture_output=True, text=True, check=True)
    done = chef("run", "examples/quickstart/recipe.yaml", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert shape(made.stdout + done.stdout) in shape((ROOT / "README.md").read_text())


def shape(text: str) -> str:
    """Without numbers: times differ from run to run, rows from one Python to the next."""
    return re.sub(r"[ -]*\d[\d,.]*( [a-zA-Z]*B/s)?", " #", text)
