"""A few cases of the ledger fuzz; its script runs them for as long as one likes."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).parent / "fuzz" / "run.py"


def test_random_recipes_leave_no_row_unaccounted_for(tmp_path: Path) -> None:
    command = [sys.executable, str(SCRIPT), "--cases", "10", "--seed", "2", "--work", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    counts = dict(re.findall(r"(\w+): (\d+)", done.stdout))
    assert counts["cases"] == "10"
    assert int(counts["exact"]) >= 5
