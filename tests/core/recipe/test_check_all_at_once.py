"""Mistakes of every kind are found in one go, each at its line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from datachef.core import Host, check_recipe

RECIPE = """\
name: many
sources:
  pages:
    path: missing.jsonl
    colour: blue
    steps:
      - op: gopher_qualty_filter
      - op: length_filter
        min_chars: -1
      - op: top_selection
        by: nothing
  notes:
    path: notes.jsonl
    steps:
      - op: top_selection
        by: nothing
      - op: regex_filter
mix:
  op: weighted_mix
  weights: {pagse: 0.7, notes: 0.3}
steps:
  - op: exact_dedup
  - op: decontaminate
output: {schema: messages}
seed: none
"""


def test_structure_and_meaning_are_checked_together(tmp_path: Path) -> None:
    (tmp_path / "notes.jsonl").write_text(json.dumps({"text": "a note"}) + "\n")
    path = tmp_path / "recipe.yaml"
    path.write_text(RECIPE)
    found = {(p.code, p.line) for p in check_recipe(path, Host()).problems}
    assert found >= {
        ("no_file", 4),
        ("unknown_field", 5),
        ("unknown_operator", 7),
        ("greater_than_equal", 9),
        ("missing_field", 17),
        ("unknown_source", 20),
        ("no_messages", 24),
        ("int_parsing", 25),
    }


def test_a_step_after_a_wrong_one_is_named_by_its_own_place(tmp_path: Path) -> None:
    (tmp_path / "notes.jsonl").write_text(json.dumps({"text": "a note"}) + "\n")
    path = tmp_path / "recipe.yaml"
    path.write_text(
        "name: place\nsources:\n  notes: {path: notes.jsonl}\nsteps:\n"
        "  - op: no_such_thing\n  - op: exact_dedup\n"
        "  - op: language_filter\n    model: missing.ftz\n"
    )
    problems = check_recipe(path, Host()).problems
    (missing,) = [problem for problem in problems if problem.code == "no_file"]
    assert (missing.path, missing.line) == ("steps[2]", 7)


@pytest.mark.parametrize("broken", ["sources: 3", "name: [", "name: x\nsources:\n  a: 7\n"])
def test_what_cannot_be_salvaged_is_still_reported(tmp_path: Path, broken: str) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_text(broken)
    assert check_recipe(path, Host()).problems


def test_languages_are_checked_before_anything_runs(tmp_path: Path) -> None:
    (tmp_path / "notes.jsonl").write_text(json.dumps({"text": "a note"}) + "\n")
    path = tmp_path / "recipe.yaml"
    path.write_text(
        "name: languages\nsources:\n  notes:\n    path: notes.jsonl\n    steps:\n"
        "      - op: language_filter\n        languages: [EN, german, zh-cn, frnch]\n"
    )
    first, second = check_recipe(path, Host()).problems
    assert (first.code, first.line, first.hint) == ("impossible", 7, "write zh")
    assert "zh-cn" in first.message
    assert (second.code, second.line) == ("impossible", 7)
    assert "french" in second.hint


def test_a_file_that_is_no_language_model_is_the_users_mistake(tmp_path: Path) -> None:
    pytest.importorskip("fasttext")
    (tmp_path / "notes.jsonl").write_text(json.dumps({"text": "a note"}) + "\n")
    path = tmp_path / "recipe.yaml"
    path.write_text(
        "name: languages\nsources:\n  notes:\n    path: notes.jsonl\n    steps:\n"
        "      - op: language_filter\n        model: notes.jsonl\n"
    )
    (problem,) = check_recipe(path, Host()).problems
    assert (problem.code, problem.line) == ("impossible", 7)
    assert "no fastText model" in problem.message
