"""Under a real small language model ordinary prose is expected, and noise is not."""

from __future__ import annotations

import polars as pl
import pytest

from datachef.core import CheckContext
from datachef.operators.filters.perplexity_filter import PerplexityFilter

NOWHERE = CheckContext(frozenset({"text"}), {})
PROSE = "Water boils at 100 degrees Celsius at sea level, and freezes at 0 degrees."
SPAM = "buy cheap now click here free free discount pills $$$ best price order now"
REPEATED = "the end of the story. " * 40


@pytest.mark.usefixtures("smollm2")
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


@pytest.mark.usefixtures("smollm2")
def test_perplexity_below_10(reasons):
    assert reasons(PerplexityFilter(max=10), [PROSE, SPAM]) == [None, "too_high_perplexity"]


@pytest.mark.usefixtures("smollm2")
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


def test_what_the_check_finds(tmp_path):
    def problem(**parameters):
        ((parameter, message, _),) = PerplexityFilter(**parameters).check(NOWHERE)
        return parameter, message

    assert problem(max=5, min=10) == ("min", "min is 10 and max is 5: nothing is left")
    assert problem(sentencepiece="pieces.model")[0] == "sentencepiece"
    (tmp_path / "no.arpa").write_text("no model")
    parameter, said = problem(kenlm=str(tmp_path / "no.arpa"))
    assert parameter == "kenlm"
    assert "no.arpa" in said


ARPA = """\\data\\
ngram 1=5
ngram 2=3

\\1-grams:
-1.5	<unk>
0	<s>	-0.3
-0.8	</s>
-0.6	whales	-0.2
-0.7	sing	-0.2

\\2-grams:
-0.2	<s> whales
-0.1	whales sing
-0.1	sing </s>

\\end\\
"""


def test_an_n_gram_model_by_path(signals, reasons, tmp_path):
    (tmp_path / "words.arpa").write_text(ARPA)
    operator = PerplexityFilter(kenlm=str(tmp_path / "words.arpa"), max=10)
    assert list(operator.check(NOWHERE)) == []
    assert (list(operator.requires()), operator.assets()) == (["kenlm"], ())
    texts = ["whales sing", "whales sing\nwhales sing\n\n", "cats bark", "\n"]
    found = signals(operator, texts)["perplexity"].to_list()
    assert found[:2] == pytest.approx([10 ** (0.4 / 3)] * 2, rel=1e-5)
    assert found[2] == pytest.approx(10 ** ((0.3 + 1.5 + 1.5 + 0.8) / 3), rel=1e-5)
    assert reasons(operator, texts) == [None, None, "too_high_perplexity", "no_tokens"]


def test_pieces_of_words_under_an_n_gram_model(signals, tmp_path):
    import sentencepiece

    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(["whales sing"] * 20), model_prefix=str(tmp_path / "pieces"),
        vocab_size=14, model_type="char", minloglevel=2,
    )  # fmt: skip
    (tmp_path / "words.arpa").write_text(ARPA.replace("whales", "▁").replace("sing", "w"))
    pieces = str(tmp_path / "pieces.model")
    operator = PerplexityFilter(kenlm=str(tmp_path / "words.arpa"), sentencepiece=pieces)
    assert list(operator.check(NOWHERE)) == []
    assert signals(operator, ["w"])["perplexity"][0] == pytest.approx(10 ** (0.4 / 3), rel=1e-5)
