"""What commands print for programs, quietly and in detail."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from command import chef

from datachef.core.cli.state import console


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    (tmp_path / "rows.jsonl").write_text('{"text": "whales"}\n')
    (tmp_path / "recipe.yaml").write_text("name: r\nsources: {s: {path: rows.jsonl}}\n")
    return tmp_path


def _error(*arguments: str, code: int) -> dict[str, Any]:
    done = chef(*arguments, "--json")
    assert done.returncode == code, done.stderr
    told = json.loads(done.stdout)
    assert told.keys() == {"version", "error"}
    assert (told["version"], told["error"]["exit_code"]) == (1, code)
    assert done.stderr, "people read it too"
    return dict(told["error"])


def test_errors_are_one_object_too() -> None:
    unknown = _error("ops", "length_filtre", code=1)
    assert "did you mean length_filter" in unknown["hint"]
    none = _error("run", "none.yaml", code=2)
    assert [problem["code"] for problem in none["problems"]] == ["unreadable_file"]
    usage = _error("history", "list", "--nope", code=2)
    assert (usage["kind"], "--nope" in usage["message"]) == ("UsageError", True)


def test_quiet_prints_the_folder_and_verbose_every_part(recipe: Path) -> None:
    quiet = chef("run", "recipe.yaml", "--quiet", "--workers", 1, folder=recipe)
    assert (quiet.stdout, quiet.stderr) == ("corpus/r\n", "")
    again = ("run", "recipe.yaml", "--set", "seed=1", "--output", "other", "--workers", 1)
    verbose = chef("--verbose", *again, folder=recipe)
    assert "  done: " in verbose.stderr
    assert "1 rows; " in verbose.stderr
    assert chef("ops", "--quiet", "--verbose").returncode == 1


def test_colours_are_off_where_the_user_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    assert console().no_color
