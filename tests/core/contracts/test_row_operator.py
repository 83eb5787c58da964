"""Operators made of a function of one row."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from pydantic import Field, ValidationError

from datachef.core import Transform, row_operator, turns_column
from datachef.core.testing import OperatorContract

Row = dict[str, Any]


@row_operator
def keep_long(
    row: Row, least: int = Field(5, ge=0, le=1_000, description="Fewest characters.")
) -> bool:
    """Keeps text that is long.

    More about it.
    """
    return len(row["text"]) >= least


@row_operator(reasons=["no_words"], writes=["words"], version=3)
def split_words(row: Row, most: int = Field(3, ge=1, le=9, description="Most words.")) -> Any:
    """Makes a row of every word of a document."""
    if row.get("messages"):
        return True
    words = row["text"].split()
    return [{"text": word, "words": len(words)} for word in words[:most]] or "no_words"


@row_operator
def shout(row: Row) -> Row:
    """Writes everything in capitals."""
    if row.get("messages") is None:
        return {"text": row["text"].upper()}
    return {
        "messages": [
            turn | {"content": (turn["content"] or "").upper()} for turn in row["messages"]
        ]
    }


class TestKeepLong(OperatorContract):
    operator = keep_long()


class TestSplitWords(OperatorContract):
    operator = split_words(most=2)


class TestShout(OperatorContract):
    operator = shout()


def rows(*texts: str) -> pl.DataFrame:
    return pl.DataFrame({"id": [f"r{i}" for i in range(len(texts))], "source": "s", "text": texts})


def made(function: Callable[..., Any], batch: pl.DataFrame, **options: Any) -> Any:
    function.__doc__, function.__name__ = "Does something.", "does_something"
    return row_operator(**options)(function)().process(batch)  # type: ignore[call-overload]


def test_a_function_becomes_an_operator_with_its_parameters() -> None:
    assert issubclass(keep_long, Transform)
    assert keep_long.name() == "keep_long"
    assert keep_long.summary() == "Keeps text that is long."
    assert keep_long.function({"text": "abc"}, least=3) is True
    assert keep_long().identity()["parameters"] == {"least": 5}
    assert split_words.version == 3
    assert split_words().writes() == {"words"}
    assert split_words().reasons() == ("rejected", "no_words", "emptied")
    with pytest.raises(ValidationError, match="less than or equal to 1000"):
        keep_long(least=2_000)
    with pytest.raises(ValidationError, match="Extra inputs"):
        keep_long(most=1)


def test_what_becomes_of_a_row() -> None:
    batch = rows("true", "false", "reason", "change", "several", "none")
    answers: dict[str, Any] = {
        "true": True, "false": False, "reason": "dull", "change": {"text": "changed", "n": 1},
        "several": [{"text": "a"}, {"text": "b", "n": 2.5}], "none": [],
    }  # fmt: skip
    outcome = made(lambda row: answers[row["text"]], batch, reasons=["dull"])
    assert outcome.rows.select("id", "text", "n").rows() == [
        ("r0", "true", None),
        ("r3", "changed", 1),
        ("r4.0", "a", None),
        ("r4.1", "b", 2.5),
    ]
    assert outcome.dropped.select("id", "reason").rows() == [
        ("r1", "rejected"), ("r2", "dull"), ("r5", "emptied"),
    ]  # fmt: skip
    assert outcome.created == 1


def test_columns_keep_their_types_where_values_fit() -> None:
    batch = rows("a", "b").with_columns(pl.lit(7, pl.Int8).alias("n"), pl.lit(1).alias("m"))
    outcome = made(lambda row: {"n": row["n"] + 1, "m": "one"}, batch)
    assert outcome.rows.schema["n"] == pl.Int8
    assert outcome.rows["m"].to_list() == ["one", "one"]


def test_a_conversation_is_changed_by_its_turns() -> None:
    call = {"type": "function", "function": {"name": "f", "arguments": {"x": [1]}}}
    turns = [
        {"role": "user", "content": "hi"},
        {"role": "assistant", "content": "yes", "tool_calls": [call]},
    ]
    batch = rows("hi\n\nyes").with_columns(turns_column([turns]))

    def answer(row: Row) -> Row:
        assert row["messages"] == turns
        row["messages"][1]["content"] = "no"
        return row

    outcome = made(answer, batch)
    assert outcome.rows["text"][0].startswith("hi\n\nno")
    with pytest.raises(ValueError, match="return messages"):
        made(lambda row: {"text": "other"}, batch)


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (None, "gave None: return True, False, a reason"),
        (3, "gave a int"),
        ([True, 4], "gave a int"),
        ("odd", "which reasons= does not name"),
        ({"text": 5}, "a string, not a int"),
        ({"id": "x"}, "the id of a row stays"),
        ({"source": "x"}, "the source of a row stays"),
    ],
)
def test_an_answer_that_means_nothing_breaks_the_row(answer: Any, message: str) -> None:
    with pytest.raises((TypeError, ValueError), match=message):
        made(lambda row: answer, rows("a"))


def test_functions_that_cannot_be_operators_say_why() -> None:
    def undocumented(row: Row) -> bool:
        return True

    def without_row() -> bool:
        """Takes nothing."""
        return True

    def untyped(row, limit=3):  # type: ignore[no-untyped-def]
        """Has a parameter without a type."""

    def undescribed(row: Row, limit: int = 3) -> bool:
        """Has a parameter without a description."""
        return True

    def starred(row: Row, **options: int) -> bool:
        """Takes anything."""
        return True

    def reserved(row: Row, reads: int = 3) -> bool:
        """Has a parameter of a name that operators have."""
        return True

    for function, message in (
        (undocumented, "write a docstring"),
        (without_row, "the first argument is the row"),
        (untyped, "annotate the parameter limit"),
        (undescribed, "describe limit"),
        (starred, "name the parameters"),
        (reserved, "is a name of every operator"),
    ):
        with pytest.raises(TypeError, match=message):
            row_operator(function)


PLUGIN = '''
from datachef.core import Filter, hookimpl, row_operator
from typing import Literal
import polars as pl

@row_operator
def divide(row):
    """Keeps rows whose text is a divisor of six."""
    return 6 % int(row["text"]) == 0

class Lengths(Filter):
    """Measures through pandas and through Arrow."""

    op: Literal["lengths"] = "lengths"

    def signals(self):
        return {"by_pandas": self.by_pandas, "by_arrow": self.by_arrow}

    def rules(self):
        return {"unlike": pl.col("by_pandas") != pl.col("by_arrow")}

    def by_pandas(self, batch):
        return pl.Series(batch.to_pandas()["text"].str.len().to_numpy())

    def by_arrow(self, batch):
        import pyarrow.compute as pc
        return pl.from_arrow(pc.utf8_length(batch.to_arrow()["text"]))

@hookimpl
def datachef_operators():
    return [divide, Lengths]
'''


@pytest.mark.parametrize("engine", ["inline", "local"])
def test_in_a_run_a_row_fails_alone_and_signals_go_through_pandas_and_arrow(
    engine: str, make_corpus: Callable[..., Any], tmp_path: Path
) -> None:
    (tmp_path / "plugin.py").write_text(PLUGIN)
    (tmp_path / "rows.jsonl").write_text(
        "".join(f'{{"text": "{text}"}}\n' for text in ["1", "2", "4", "x", "0", "6"])
    )
    corpus = make_corpus(
        {"s": {"path": "rows.jsonl", "max_failed": 0.9}},
        plugins=[tmp_path / "plugin.py"],
        engine=engine,
        steps=[{"op": "divide"}, {"op": "lengths", "keep_signals": True}],
        rejects={"keep": "all"},
        output={"columns": ["by_pandas", "by_arrow"]},
    )
    assert corpus.rows["text"].to_list() == ["1", "2", "6"]
    assert corpus.rows["by_pandas"].to_list() == corpus.rows["by_arrow"].to_list() == [1, 1, 1]
    reasons = dict(corpus.rejects.select("text", "reason").iter_rows())
    assert reasons == {"4": "rejected", "x": "ValueError", "0": "ZeroDivisionError"}
