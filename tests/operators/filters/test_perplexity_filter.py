"""Under a real small language model ordinary prose is expected, and noise is not."""

from __future__ import annotations

import polars as pl
import pytest

from datachef.core import CheckContext
from datachef.operators.filters.perplexity_filter import PerplexityFilter

pytestmark = pytest.mark.usefixtures("smollm2")

PROSE = "Water boils at 100 degrees Celsius at sea level, and freezes at 0 degrees."
SPAM = "buy cheap now click here free free discount pills $$$ best price order now"
REPEATED = "the end of the story. " * 40


def test_prose_is_kept_and_noise_is_not(signals, reasons):
    operator = PerplexityFilter(max=100, min=2)
    texts = [PROSE, SPAM, REPEATED, ""]
    found = signals(operator, texts)["perplexity"].to_list()
    assert found[0] == pytest.approx(6.8, abs=0.3)
    assert found[1] > 500
    assert found[2] < 1.6
    assert found[3] is None
    assert reasons(operator, texts) == [
        None, "too_high_perplexity", "too_low_perplexity", "no_tokens"
    ]  # fmt: skip


def test_perplexity_below_10(reasons):
    assert reasons(PerplexityFilter(max=10), [PROSE, SPAM]) == [None, "too_high_perplexity"]


def test_without_limits_it_measures_for_a_selection(make_corpus, tmp_path, monkeypatch):
    pl.DataFrame({"text": [SPAM, PROSE, REPEATED]}).write_ndjson(tmp_path / "rows.jsonl")
    monkeypatch.setenv("DATACHEF_PLUGINS", "assets,engines,filters,selection,sources")
    made = make_corpus(
        tmp_path / "rows.jsonl",
        steps=[
            {"op": "perplexity_filter", "keep_signals": True, "max_tokens": 64},
            {"op": "top_selection", "by": "perplexity", "order": "ascending", "rows": 2},
        ],
    )
    assert made.rows["text"].to_list() == [PROSE, REPEATED]
    assert made.rejects["reason"].to_list() == ["not_in_top"]


def test_limits_that_leave_nothing():
    (problem,) = PerplexityFilter(max=5, min=10).check(CheckContext(frozenset({"text"}), {}))
    assert problem[0] == "min"
