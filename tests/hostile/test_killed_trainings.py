"""`benchmarks/kill_training.py` with few kills: it kills twenty trainings and ten evolutions."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "kill_training.py"


@pytest.mark.slow
def test_kills_change_nothing_and_touch_nothing_of_others(tmp_path: Path) -> None:
    pytest.importorskip("psutil")
    command = [
        sys.executable,
        str(SCRIPT),
        "--trainings",
        "3",
        "--evolutions",
        "0",
        "--longest",
        "6",
    ]
    done = subprocess.run(
        [*command, "--work", str(tmp_path)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads(done.stdout)["train"]
    assert found["failures"] == []
    assert found["kills"] >= 1
    assert found["compared"] == 3
