from __future__ import annotations

import pytest

from datachef.core import LanguageIdentifier, UnknownLanguageError
from datachef.core.text.languages import label_of

GLOTLID = {"eng_Latn", "cmn_Hani", "srp_Cyrl", "srp_Latn", "deu_Latn", "arb_Arab"}


@pytest.mark.parametrize(
    ("language", "label"),
    [
        ("en", "en"), (" EN ", "en"), ("eng", "en"), ("English", "en"),
        ("fre", "fr"), ("fra", "fr"), ("Scottish Gaelic", "gd"), ("scottish_gaelic", "gd"),
        ("iw", "he"), ("in", "id"), ("jw", "jv"), ("fil", "tl"), ("cmn", "zh"), ("zsm", "ms"),
        ("ki", "kik"), ("kikuyu", "kik"), ("und", "und"), ("yue", "yue"), ("zho", "zh"),
    ],
)  # fmt: skip
def test_codes_and_names(language, label):
    assert LanguageIdentifier().label_of(language) == label


@pytest.mark.parametrize(
    ("language", "label"),
    [
        ("en", "eng_Latn"), ("eng", "eng_Latn"), ("ENG-latn", "eng_Latn"), ("zh", "cmn_Hani"),
        ("ar", "arb_Arab"), ("sr_cyrl", "srp_Cyrl"), ("srp_Cyrl", "srp_Cyrl"), ("serbian", None),
        ("sr-Arab", None),
        ("fr", None), ("de-AT", None), ("eng_Cyrl", None),
    ],
)  # fmt: skip
def test_labels_with_a_script(language, label):
    if label is not None:
        assert label_of(language, GLOTLID) == label
        return
    with pytest.raises(UnknownLanguageError) as caught:
        label_of(language, GLOTLID)
    assert caught.value.hint
    assert ("srp_Cyrl or srp_Latn" in caught.value.hint) == (language in ("serbian", "sr-Arab"))


def test_every_label_of_the_model_means_itself():
    for label in LanguageIdentifier().labels():
        assert LanguageIdentifier().label_of(label.upper()) == label


@pytest.mark.parametrize(
    ("country", "language"),
    [("jp", "ja"), ("CZ", "cs"), ("kr", "ko"), ("dk", "da"), ("gr", "el"), ("ua", "uk")],
)
def test_the_code_of_a_country_hints_at_its_language(country, language):
    with pytest.raises(UnknownLanguageError) as caught:
        LanguageIdentifier().label_of(country)
    assert caught.value.hint == f"write {language}"
