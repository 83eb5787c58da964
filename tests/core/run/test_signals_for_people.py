"""Rejected rows carry the signals that decided, and a corpus those that its recipe asks for."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from datachef.core import Host, check_recipe, document

MakeCorpus = Callable[..., Any]
LENGTH = {"op": "length_filter", "min_chars": 10, "max_words": 6}


@pytest.fixture
def sources(
    make_corpus: MakeCorpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> dict[str, Any]:
    """A source with a score that is filtered, and one that no filter sees."""
    monkeypatch.setenv("DATACHEF_PLUGINS", "engines,sources,filters")
    texts = ["short", "one two three four five six seven", "what is kept of it", "kept, too low"]
    rows = [{"text": text, "score": n * 1.5} for n, text in enumerate(reversed(texts))]
    (tmp_path / "scored.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (tmp_path / "plain.jsonl").write_text('{"text": "never measured"}\n')
    steps = [LENGTH, {"op": "column_filter", "where": "score > 1"}]
    return {
        "scored": {"path": "scored.jsonl", "steps": steps},
        "plain": {"path": "plain.jsonl"},
    }


def test_rejects_tell_what_their_rule_read(
    make_corpus: MakeCorpus, sources: dict[str, Any]
) -> None:
    rejects = make_corpus(sources).rejects
    told = {row["reason"]: json.loads(row["signals"]) for row in rejects.iter_rows(named=True)}
    assert told == {
        "too_few_chars": {"length_chars": 5},
        "too_many_words": {"length_words": 7},
        "condition_false": {"condition": False, "score": 0.0},
    }


def test_all_signals_become_columns_and_those_that_match(
    make_corpus: MakeCorpus, sources: dict[str, Any]
) -> None:
    columns = ["id", "source", "text"]
    every = make_corpus(sources, output={"signals": True}).rows
    lengths = ["length_chars", "length_words", "length_lines"]
    assert every.columns == [*columns, *lengths, "condition"]
    measured = dict(every.select("source", "length_words").iter_rows())
    assert measured == {"scored": 5, "plain": None}
    one = make_corpus(sources, output={"signals": ["*_chars", "column_filter.*"]}).rows
    assert one.columns == [*columns, "length_chars", "condition"]
    assert one.select(columns).equals(every.select(columns))
    assert make_corpus(sources).rows.columns == columns


def test_a_pattern_that_matches_no_signal_is_a_problem(
    sources: dict[str, Any], tmp_path: Path
) -> None:
    recipe = {"name": "test", "sources": sources, "output": {"signals": ["length_word"]}}
    (tmp_path / "recipe.yaml").write_text(document.dump(recipe))
    (problem,) = check_recipe(tmp_path / "recipe.yaml", Host()).problems
    assert (problem.code, problem.path) == ("unknown_signal", "output.signals[0]")
    assert problem.hint == "did you mean length_words?"
