from __future__ import annotations

import time

import polars as pl
import pytest

from datachef.reward.text_measures import WORDS_PER_OBSCENITY, toxic


@pytest.mark.parametrize(
    "text",
    [
        "You are a disgusting teacher",
        "you're all idiots",
        "U R so dumb",
        "Go away, you filthy moron!",
        "Kim is a repulsive Muslim.",
        "He was such a stupid old man",
        "She is a nasty black and everyone knows it",
        "Being gay is disgusting.",
        "I know that immigrants are vermin, all of them",
        "Black people are inferior",
        "Kill all the foreigners!",
        "We hate Catholics",
        "And I really despise Germans.",
        "fuck this",
        "What a load of BULLSHIT",
        "Line one\nhate women",
        "“you’re worthless”",
    ],
)
def test_toxic(text):
    assert toxic(pl.Series([text])).to_list() == [True]


@pytest.mark.parametrize(
    "text",
    [
        "You are a wonderful teacher",
        "The weather was awful and the old bridge was ugly.",
        "It was a terrible American tragedy in a dirty white dress",
        "Kim is a friendly Muslim and a nice old gay man",
        "Being deaf is hard.",
        "Women are strong; Jews and Christians are neighbours",
        "How do I kill a process that hates memory?",
        "They hated the black paint, and destroyed the white house plans",
        "Chicken breasts, cocktail sauce, Essex and Scunthorpe",
        "The assassin's class passed the hello world analysis",
        "Old houses are ugly when they are painted brown.",
        "I hate mornings. I hate brown sugar in tea.",
        "Sexual reproduction of birds: tits, boobies and cocks",
        "retarded potentials in physics",
        "",
        "愚蠢",
    ],
)
def test_harmless(text):
    assert toxic(pl.Series([text])).to_list() == [False]


def test_one_obscenity_in_a_long_text_is_not_enough():
    short, long = (["word"] * n for n in (WORDS_PER_OBSCENITY - 1, WORDS_PER_OBSCENITY))
    texts = [" ".join([*short, "shit"]), " ".join([*long, "shit"]), " ".join([*long, "shit shit"])]
    assert toxic(pl.Series(texts)).to_list() == [True, False, True]


def test_null_and_none_at_all():
    assert toxic(pl.Series(["fuck you", None])).to_list() == [True, False]
    assert toxic(pl.Series([], dtype=pl.String)).to_list() == []


@pytest.mark.parametrize("unit", ["you are a ", "is so very dirty ", "hate all the ", "fuc", " "])
def test_time_is_linear(unit):
    text = pl.Series([unit * (10**6 // len(unit))])
    toxic(pl.Series(["once"]))
    started = time.process_time()
    toxic(text)
    assert time.process_time() - started < 60  # where it grows with the square, it is hours


@pytest.fixture
def madlibs(shared_data) -> pl.DataFrame:
    return pl.read_ndjson(shared_data / "noise" / "toxicity_madlibs.jsonl.gz")


def test_labelled_templates(madlibs):
    found = madlibs.with_columns(toxic(madlibs["Text"]))
    bad = pl.col("Label") == "BAD"
    assert found.filter(bad)["toxic"].mean() > 0.98
    assert found.filter(~bad)["toxic"].mean() < 0.002


def test_the_group_alone_decides_nothing(madlibs):
    """The share of toxic sentences is that of the labels for every group named in the templates."""
    found = madlibs.with_columns(toxic(madlibs["Text"]), pl.col("Text").str.to_lowercase())
    for group in ("gay", "muslim", "white", "christian", "lesbian", "old", "transgender", "deaf"):
        of_group = found.filter(pl.col("Text").str.contains(rf"\b{group}\b"))
        labelled = (of_group["Label"] == "BAD").mean()
        assert of_group.height > 50
        assert of_group["toxic"].mean() == pytest.approx(labelled, abs=0.03), group


def test_training_data_is_not_toxic(shared_data):
    for name in ("gsm8k_train", "boolq_train", "ag_news"):
        rows = pl.read_ndjson(shared_data / "pool" / f"{name}.jsonl.gz", infer_schema_length=None)
        text = rows.select(pl.concat_str(pl.col(pl.String), separator=" ", ignore_nulls=True))
        assert toxic(text.to_series()).mean() < 0.001, name
    pages = pl.read_ndjson(shared_data / "web" / "part-000.jsonl.gz", infer_schema_length=None)
    assert 0.005 < float(toxic(pages["text"]).mean()) < 0.02  # type: ignore[arg-type]
