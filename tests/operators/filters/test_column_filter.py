from __future__ import annotations

import json

import polars as pl
import pytest
from hypothesis import given, strategies as st
from pydantic import ValidationError

from datachef.core import CheckContext, check_recipe
from datachef.core.run.signals import decide, measure
from datachef.operators.filters.column_filter import ColumnFilter
from datachef.operators.filters.condition import ConditionError, parse_condition

ROWS = pl.DataFrame(
    {
        "text": ["one", "two", "three", "fourth"],
        "score": [1.0, 3.0, None, float("nan")],
        "votes": [5, 0, 2, 7],
        "lang": ["en", "de", None, "EN"],
        "checked": [True, False, None, True],
        "stars": ["4", "x", "2.5", None],
        "with space": [1, 2, 3, 4],
        "turns": [["a"], [], ["a", "b"], None],
    }
)
NO, UNKNOWN = "condition_false", "condition_undecided"


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        ("score >= 3", [NO, None, UNKNOWN, UNKNOWN]),
        ("score is not null", [None, None, NO, NO]),
        ("score is null or score < 2", [None, NO, None, None]),
        ("not (score >= 3)", [None, NO, UNKNOWN, UNKNOWN]),
        ("1 <= votes < 6", [None, NO, None, NO]),
        ("lang in ['en', 'fr']", [None, NO, UNKNOWN, NO]),
        ("lang not in ('en', 'fr')", [NO, None, UNKNOWN, None]),
        ("lower(lang) == 'en'", [None, NO, UNKNOWN, None]),
        ("lang < 'e'", [NO, None, UNKNOWN, None]),
        ("'o' in text and not ends_with(text, 'o')", [None, NO, NO, None]),
        ("starts_with(text, 't') or votes > 6", [NO, None, None, None]),
        ("len(text) > 3", [NO, NO, None, None]),
        ("len(turns) >= 1", [None, NO, None, UNKNOWN]),
        ("checked", [None, NO, UNKNOWN, None]),
        ("checked == false", [NO, None, UNKNOWN, NO]),
        ("number(stars) > 2", [None, UNKNOWN, None, UNKNOWN]),
        ("column('with space') * 2 + 1 > votes", [NO, None, None, None]),
        ("votes / votes == 1", [None, UNKNOWN, None, None]),
        ("votes in [-5, 5, 7]", [None, NO, NO, None]),
        ("absent is null", [None] * 4),
        ("absent == 'a' or lang == 'de'", [UNKNOWN, None, UNKNOWN, UNKNOWN]),
        ("1 < 2", [None] * 4),
        ("score >= 3 and\n votes >= 0", [NO, None, UNKNOWN, UNKNOWN]),
    ],
)
def test_decisions(where, expected):
    operator = ColumnFilter(where=where)
    signals = measure(operator, ROWS)
    assert decide(operator, ROWS.hstack(signals)).to_list() == expected


@pytest.mark.parametrize(
    ("where", "message"),
    [
        ("score >", "invalid syntax (character 8)"),
        ("score = 3", "invalid syntax; == compares (character 7)"),
        ("__import__('os').system('true')", "this form is not part of conditions"),
        ("votes.real > 1", "this form is not part of conditions"),
        ("[x for x in y]", "this form is not part of conditions"),
        ("(lambda: 1)()", "this form is not part of conditions"),
        ("text[0] == 'a'", "this form is not part of conditions"),
        ("f'{score}' == ''", "this form is not part of conditions"),
        ("open('a')", "this form is not part of conditions"),
        ("votes ** 9 > 1", "this form is not part of conditions"),
        ("'é' == 'é' and len(3) > 1", "a number stands where text is wanted (character 20)"),
        ("votes + 1", "a number stands where a condition is wanted (character 1)"),
        ("lang == null", "write is null or is not null (character 9)"),
        ("lang is 'en'", "is and is not take null; write == or != (character 9)"),
        ("score in ['a', 1]", "the values of the list are of different kinds (character 10)"),
        ("score in []", "the list is empty (character 10)"),
        ("'a' == 1", "text is compared with a number; number(...) reads one from text"),
        ("len(text, 1) > 1", "len takes 1 value (character 1)"),
        ("starts_with(text) > 1", "starts_with takes 2 values"),
        ("column(lang) == 'a'", "column takes the name of a column in quotes (character 8)"),
        ("votes > 99999999999999999999", "a whole number beyond 64 bits (character 9)"),
        ("not " * 60 + "checked", "nested too deeply"),
        ("(" * 300 + ")" * 300, ""),
        ("a" * 2_001, ""),
        ("\0", ""),
    ],
)
def test_what_is_no_condition(where, message):
    with pytest.raises(ValidationError) as caught:
        ColumnFilter(where=where)
    assert message in str(caught.value)


PIECES = [
    "score",
    "'a'",
    "3",
    "(",
    ")",
    "[",
    "]",
    "and",
    "not",
    "in",
    "is",
    "null",
    "==",
    "<",
    "-",
    "len",
    ",",
]


@given(st.text(max_size=60) | st.lists(st.sampled_from(PIECES), max_size=12).map(" ".join))
def test_any_text_is_a_condition_or_an_error(text):
    try:
        condition = parse_condition(text)
    except ConditionError:
        return
    operator = ColumnFilter(where=condition.text)
    assert len(decide(operator, ROWS.hstack(measure(operator, ROWS)))) == ROWS.height


def test_kinds_of_columns_are_checked():
    context = CheckContext(frozenset({"stars", "votes"}), {}, {"stars": "text", "votes": "int"})
    (problem,) = ColumnFilter(where="votes > 1 and stars >= 3").check(context)
    assert problem[0] == "where"
    assert "text is compared with a number; number(...)" in problem[1]
    assert "(character 24)" in problem[1]
    assert not list(ColumnFilter(where="number(stars) >= 3 and other == 'a'").check(context))


def test_unknown_columns_are_told_and_kept_signals_are_columns(tmp_path):
    rows = [{"text": "a few words", "score": 1}, {"text": "many more words than that", "score": 2}]
    (tmp_path / "rows.jsonl").write_text("\n".join(map(json.dumps, rows)))
    recipe = tmp_path / "recipe.yaml"

    def problems(steps):
        source = {"path": "rows.jsonl", "steps": steps}
        recipe.write_text(json.dumps({"name": "x", "sources": {"s": source}}))
        return [problem.message for problem in check_recipe(recipe).problems]

    length = {"op": "length_filter", "keep_signals": True}
    where = "score > 1 and length_words > 3"
    assert not problems([length, {"op": "column_filter", "where": where}])
    assert problems([{"op": "column_filter", "where": "scores > 1"}]) == [
        "column_filter needs the column 'scores'"
    ]
