from __future__ import annotations

import gzip
import json
import re

import polars as pl
import pytest
from py3langid.langid import MODEL_FILE, LanguageIdentifier as Py3langid

from datachef.core import LanguageIdentifier, identify_languages


def texts_of(path, every=1):
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        return [json.loads(line)["text"] for line in list(lines)[::every]]


@pytest.fixture(scope="module")
def translations(shared_data):
    """Texts in some 450 languages."""
    return texts_of(shared_data / "multilingual/udhr.jsonl.gz", every=3)


def languages(texts):
    found = identify_languages(pl.col("text"), 5000, LanguageIdentifier)
    return pl.DataFrame({"text": texts}).select(found).to_series().to_list()


def test_many_texts_at_once_are_judged_as_py3langid_judges_each(translations):
    odd = [
        "",
        "ok",
        "THE WHOLE TEXT SHOUTS AT ITS READER",
        "Cafe\u0301 cre\u0300me",
        "漢",
        "a" * 59,
    ]
    texts = [text[:1200] for text in translations] + odd
    found = LanguageIdentifier().identify(pl.Series(texts))
    one_by_one = Py3langid.from_model_file(MODEL_FILE, norm_probs=True)
    for text, language, confidence in zip(
        texts, found["language"], found["confidence"], strict=True
    ):
        label, probability = one_by_one.classify(re.sub(r"[\s\x00]+", " ", text))
        assert language == label
        assert confidence == pytest.approx(probability, abs=1e-4)


def test_neighbours_change_nothing(translations):
    alone = [languages([text])[0] for text in translations[:20]]
    assert languages(translations)[:20] == alone


def test_pieces_are_spread_over_the_text_and_a_doubt_is_settled_by_all_of_it():
    menu = "Home News Sports Weather Contact us Sign in Search this site. " * 4
    german = "Die Würde des Menschen ist unantastbar, und alle sind vor dem Gesetz gleich. " * 60
    (found,) = languages([menu + german])
    assert found["language"] == "de"
    mixed = ("Alle sind gleich. " * 12 + "Everybody is equal. " * 12) * 12
    whole = LanguageIdentifier().identify(pl.Series([mixed[:5000]]))
    assert languages([mixed]) == whole.to_dicts()


def test_no_text_has_no_language():
    und = {"language": "und", "confidence": 0.0}
    assert languages(["", None, "12 + 30 = 42"]) == [und] * 3
    assert LanguageIdentifier().identify(pl.Series([None], dtype=pl.String)).to_dicts() == [und]


def test_accuracy_on_real_texts_in_twelve_languages(shared_data):
    path = shared_data / "multilingual/xquad.jsonl.gz"
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        rows = [json.loads(line) for line in list(lines)[::4]]
    found = languages([row["text"] for row in rows])
    right = sum(a["language"] == row["lang"] for a, row in zip(found, rows, strict=True))
    assert right / len(rows) > 0.99


def test_labels_are_those_of_the_model():
    assert LanguageIdentifier().labels() == set(Py3langid.from_model_file(MODEL_FILE).nb_classes)
