"""A run with a model server that is killed again and again; `benchmarks/kills.py` kills longer."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path
from typing import Any

import pytest

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "kills.py"


@pytest.fixture
def kills(monkeypatch: pytest.MonkeyPatch) -> Any:
    pytest.importorskip("psutil")
    monkeypatch.syspath_prepend(SCRIPT.parent)
    spec = importlib.util.spec_from_file_location("kills", SCRIPT)
    assert spec is not None and spec.loader is not None
    sys.modules["kills"] = module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_kills_change_nothing_and_no_kept_answer_is_paid_for_again(
    kills: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--kills", "6", "--most", "6", "--seed", "4", "--rows", "4", "--longest", "4"]
    code = kills.main([*options, "--slowest", "0.3", "--work", str(tmp_path)])
    counted = json.loads(capsys.readouterr().out)
    assert counted["failures"] == []
    assert code == 0
    assert counted["paid_twice"] == 0
    assert counted["kills"] >= 3, "the kills came too late to show anything"
    assert counted["answers"] > 30
