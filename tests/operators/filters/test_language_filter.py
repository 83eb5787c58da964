from __future__ import annotations

import pickle

import pytest

from datachef.core import CheckContext, DatachefError
from datachef.operators.filters.language_filter import LanguageFilter

NOWHERE = CheckContext(frozenset({"text"}), {})
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


@pytest.mark.parametrize("english", ["en", "EN", "eng", "English", "ENGLISH", "__label__en"])
def test_a_language_has_many_names(reasons, english):
    operator = LanguageFilter(languages=(english, "deu"))
    assert reasons(operator, [ENGLISH, FRENCH, GERMAN]) == [None, "other_language", None]
    assert list(operator.check(NOWHERE)) == []


@pytest.mark.parametrize(
    ("language", "hint"),
    [
        ("en-US", "write en"),
        ("zh-cn", "write zh"),
        ("zh_Hans", "write zh"),
        ("pt-BR", "write pt"),
        ("nb", "the nearest label is no"),
        ("sh", "write bs, hr or sr, or all of them"),
        ("englsh", "english"),
        ("xx", "did you mean"),
        ("klingon", ""),
    ],
)
def test_a_language_that_the_model_does_not_know_is_a_mistake(reasons, language, hint):
    operator = LanguageFilter(languages=("fr", language))
    ((parameter, message, found),) = operator.check(NOWHERE)
    assert parameter == "languages"
    assert language in message
    assert hint in found
    with pytest.raises(DatachefError, match=language):
        reasons(operator, [ENGLISH])


def test_what_has_no_language_is_kept_where_it_is_asked_for(reasons):
    assert reasons(LanguageFilter(languages=("en", "und")), [ENGLISH, "1 + 1", FRENCH]) == [
        None, None, "other_language"
    ]  # fmt: skip


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
    for language in ("en", "EN", "english", "__label__eng"):
        assert reasons(LanguageFilter(model=path, languages=(language,)), texts[:2]) == [
            None, "other_language"
        ]  # fmt: skip
    ((_, message, hint),) = LanguageFilter(model=path, languages=("de",)).check(NOWHERE)
    assert "no label for de" in message
    assert "eng" in hint
    ((parameter, _, _),) = LanguageFilter(model=str(training)).check(NOWHERE)
    assert parameter == "model"
