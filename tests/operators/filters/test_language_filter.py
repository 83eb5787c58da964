from __future__ import annotations

import pickle

import pytest

from datachef.operators.filters.language_filter import LanguageFilter

ENGLISH = "The weather was so bad that nobody wanted to leave the house in the morning."
FRENCH = "Le temps était si mauvais que personne ne voulait quitter la maison ce matin-là."
GERMAN = "Das Wetter war so schlecht, dass morgens niemand das Haus verlassen wollte."


def test_languages(signals, reasons):
    texts = [ENGLISH, FRENCH, GERMAN, "123 456 !!", ""]
    found = signals(LanguageFilter(), texts)
    assert found["language"].to_list() == ["en", "fr", "de", "und", "und"]
    assert found["language_confidence"].is_between(0, 1).all()
    other = "other_language"
    assert reasons(LanguageFilter(), texts) == [None, other, other, other, other]
    assert reasons(LanguageFilter(languages=("fr", "de")), texts[:3]) == [other, None, None]


def test_confidence(reasons):
    assert reasons(LanguageFilter(min_confidence=1), [f"{ENGLISH} {FRENCH}", "ok"])[-1] is not None


def test_travels_without_its_model(reasons):
    operator = LanguageFilter()
    reasons(operator, [ENGLISH])
    assert len(pickle.dumps(operator)) < 2000
    assert reasons(pickle.loads(pickle.dumps(operator)), [ENGLISH]) == [None]  # noqa: S301


def test_a_fasttext_model(tmp_path, reasons, signals):
    fasttext = pytest.importorskip("fasttext")
    lines = [f"__label__eng {ENGLISH}\n__label__fra {FRENCH}\n" * 50]
    training = tmp_path / "train.txt"
    training.write_text("".join(lines))
    model = fasttext.train_supervised(str(training), epoch=20, verbose=0, thread=1)
    path = str(tmp_path / "model.bin")
    model.save_model(path)
    operator = LanguageFilter(model=path, languages=("eng",))
    assert operator.files() == (path,)
    assert list(operator.requires()) == ["fasttext"]
    texts = [ENGLISH.replace(" ", "\n"), FRENCH, ""]
    assert signals(operator, texts)["language"].to_list() == ["eng", "fra", "und"]
    assert reasons(operator, texts) == [None, "other_language", "other_language"]
