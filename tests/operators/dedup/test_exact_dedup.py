"""Texts that are equal in a form are copies, and one of them stays."""

from __future__ import annotations

from typing import Literal, get_args

import polars as pl
import pytest
from decisions import decision_on
from duplicates import dropped, rows
from hypothesis import given, strategies as st
from pydantic import ValidationError

from datachef.core import RunError
from datachef.operators.dedup.exact_dedup import ExactDedup
from datachef.operators.dedup.minhash_dedup import MinHashDedup
from datachef.operators.dedup.text_forms import Form


@pytest.mark.parametrize("operator", [ExactDedup(), MinHashDedup()], ids=lambda one: one.op)
def test_a_dropped_row_says_which_row_it_copies(operator: ExactDedup | MinHashDedup) -> None:
    text = "The same text stands in this place three times over, word for word."
    batch = rows("Another one, which is here once.", text, text, text)
    batch = batch.with_columns(pl.lit("s").alias("source"), pl.lit("mine").alias("detail"))
    outcome = operator.apply(batch, decision_on(operator, operator.summarize(batch)))
    assert outcome.rows["detail"].to_list() == ["mine", "mine"]
    assert outcome.dropped is not None
    assert outcome.dropped.select("id", "detail").rows() == [
        ("2", "a copy of 1"),
        ("3", "a copy of 1"),
    ]


@given(
    st.lists(st.text(alphabet="aA ?", max_size=3)),
    st.integers(0, 9),
    st.sampled_from(get_args(Form)),
)
def test_batch_cuts_do_not_matter(texts: list[str], cut: int, normalize: Form) -> None:
    batch, operator = rows(*texts), ExactDedup(normalize=normalize)
    together = operator.summarize(batch)
    parts = [operator.summarize(batch[:cut]), operator.summarize(batch[cut:])]
    assert pl.concat(parts).equals(together)
    assert batch.height - len(dropped(operator, batch)) == together["key"].n_unique()


def test_texts_are_compared_to_the_byte() -> None:
    batch = rows("One text.", "one text", "One text.", "", "", None, None)
    assert dropped(ExactDedup(), batch) == ["2", "4"]


@pytest.mark.parametrize(
    "other", ["ONE TEXT", "one\n\ttext!", "o\u00a0ne text", "\uff4fne text", "One, 'text'"]
)
def test_normalized_texts_differ_in_letters_and_digits_only(other: str) -> None:
    assert dropped(ExactDedup(normalize="letters"), rows("One text.", other)) == ["1"]
    assert dropped(ExactDedup(), rows("One text.", other)) == []


def test_rows_of_symbols_are_not_copies_of_one_another() -> None:
    assert dropped(ExactDedup(normalize="letters"), rows("???", "!!!", "???")) == ["2"]


def test_the_decision_is_carried_out_with_its_reason() -> None:
    operator, batch = ExactDedup(), rows("a", "b", "a")
    outcome = operator.apply(batch, decision_on(operator, operator.summarize(batch)))
    assert outcome.rows["id"].to_list() == ["0", "1"]
    assert outcome.dropped is not None
    assert outcome.dropped["reason"].to_list() == list(operator.reasons())


FORMS = {
    "none": [],
    "whitespace": ["1"],
    "case": ["1", "2", "3"],
    "letters": ["1", "2", "3", "4"],
}


@pytest.mark.parametrize("form", get_args(Form))
def test_each_form_ignores_more(form: Form) -> None:
    batch = rows("One text", " One \n text", "one TEXT", "\uff2fne text", "One, text!", "Two texts")
    assert dropped(ExactDedup(normalize=form), batch) == FORMS[form]


@pytest.mark.parametrize(
    ("keep", "by", "stays"),
    [("first", None, "0"), ("longest", None, "2"), ("best", "score", "1")],
)
def test_the_keep_rule_decides_which_copy_stays(
    keep: Literal["first", "longest", "best"], by: str | None, stays: str
) -> None:
    batch = rows("One text", "one text", "One text!!", "another", "ONE TEXT")
    batch = batch.with_columns(pl.Series("score", [0.5, 0.9, None, 0.1, float("nan")]))
    operator = ExactDedup(normalize="letters", keep=keep, by=by)
    decision = decision_on(operator, operator.summarize(batch))
    assert decision["id"].to_list() == [i for i in "0124" if i != stays]
    assert set(decision["detail"]) == {f"a copy of {stays}"}


def test_best_needs_a_numeric_column() -> None:
    with pytest.raises(ValidationError, match="keep: best and by"):
        ExactDedup(keep="best")
    with pytest.raises(RunError, match="holds String, not numbers"):
        ExactDedup(keep="best", by="text").summarize(rows("a"))
