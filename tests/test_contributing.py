"""The code of CONTRIBUTING.md is run as it is printed."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

from command import chef

TEXT = (Path(__file__).parent.parent / "CONTRIBUTING.md").read_text(encoding="utf-8")
OPERATOR, CONTRACT = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)[:2]


def test_the_first_operator_works_and_keeps_the_contract(tmp_path: Path) -> None:
    (tmp_path / "my_filters.py").write_text(OPERATOR)
    (tmp_path / "test_my_filters.py").write_text(CONTRACT)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(tmp_path)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout


def test_the_first_operator_runs_in_a_recipe(tmp_path: Path) -> None:
    (tmp_path / "my_filters.py").write_text(OPERATOR)
    rows = [{"text": "LOUD"}, {"text": "quiet"}]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (tmp_path / "recipe.yaml").write_text(
        "name: first\nsources:\n  rows: {path: rows.jsonl}\nsteps:\n  - op: shouting_filter\n"
    )
    done = chef("--plugin", "my_filters.py", "run", "recipe.yaml", "--json", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["result"]["ledger"][1]["dropped"] == {"shouting": 1}
