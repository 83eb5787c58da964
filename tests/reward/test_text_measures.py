from __future__ import annotations

import polars as pl
import pytest

from datachef.operators.transforms.redact_personal_data import RedactPersonalData
from datachef.reward.text_measures import text_measures

ENGLISH = "The weather was so bad that nobody wanted to leave the house in the morning."
FRENCH = "Le temps était si mauvais que personne ne voulait quitter la maison ce matin-là."


def test_rows():
    texts = pl.Series(
        [ENGLISH, f"{FRENCH} a.b@mail.fr", None, "you are a stupid pig, you know that"]
    )
    assert text_measures(texts).to_dict(as_series=False) == {
        "toxic": [False, False, False, True],
        "personal_data": [False, True, False, False],
        "language": ["en", "fr", "und", "en"],
    }
    assert text_measures(texts[:0]).schema == text_measures(texts).schema


def test_measures_do_not_depend_on_the_other_rows():
    texts = pl.Series([ENGLISH, FRENCH, "call +49 30 901820", "12 + 30 = 42", "fuck off", ENGLISH])
    together = text_measures(texts)
    for index in range(len(texts)):
        assert text_measures(texts[index : index + 1]).row(0) == together.row(index)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("mail jane@corp.co.uk", True),
        ("84.17.52.201", True),
        ("call (415) 555-2671 now", True),
        ("card 5500-0000-0000-0004", True),
        ("GB82WEST12345698765432", True),
        ("jane@example.org or jane@mail.example.com or root@host.test or x@y.invalid", False),
        ("jane@example.org and jane@example.de", True),
        ("jane@notexample.com", True),
        ("jane@example.computer", True),
        ("10.0.0.1 and version 4.0.30319.1", False),
        ("git@github.com:org/repo.git", False),
    ],
)
def test_personal_data(text, expected):
    assert text_measures(pl.Series([text]))["personal_data"].to_list() == [expected]


@pytest.mark.parametrize("replacement", ["tag", "specimen"])
def test_nothing_is_left_after_redaction(replacement):
    text = pl.Series(
        "text",
        [
            "b@c.org +49 30 901820 (415) 863-2671 84.17.52.201 2a00:1450:4001:81b::200e "
            "5500-0000-0000-0004 GB82WEST12345698765432"
        ],
    )
    assert text_measures(text)["personal_data"].to_list() == [True]
    redacted = RedactPersonalData(replacement=replacement).rewrite(text)
    assert text_measures(redacted)["personal_data"].to_list() == [False]


def test_languages_of_real_paragraphs(shared_data):
    rows = pl.read_ndjson(shared_data / "multilingual" / "xquad.jsonl.gz", infer_schema_length=None)
    rows = rows.sample(400, seed=0)
    found = text_measures(rows["text"])["language"]
    assert (found == rows["lang"]).mean() > 0.97
