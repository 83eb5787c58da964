"""Turns: the last question and answer of a conversation, and all turns of a batch as a table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl


def last_answer(turns: Sequence[Mapping[str, Any]]) -> tuple[int, str] | None:
    """The place of the last turn in which the assistant says something, and what the user asked
    before it; None where it says nothing."""
    for place in range(len(turns) - 1, -1, -1):
        turn = turns[place]
        if turn["role"] == "assistant" and (turn["content"] or "").strip():
            asked = last_question(turns, place)
            return place, "" if asked is None else turns[asked]["content"]
    return None


def last_question(turns: Sequence[Mapping[str, Any]], before: int) -> int | None:
    """The place of the last turn in which the user says something before a place."""
    for place in range(before - 1, -1, -1):
        if turns[place]["role"] == "user" and (turns[place]["content"] or "").strip():
            return place
    return None


def turns_table(messages: pl.Series) -> pl.DataFrame:
    """All turns in order: the number of the row of each (`row`), its `role`, its `content` without
    spaces around it, and whether it has more than these (`extra`)."""
    flat = messages.explode(empty_as_null=False, keep_nulls=False).struct.unnest()
    lengths = messages.list.len().fill_null(0)
    return pl.DataFrame(
        {
            "row": pl.int_range(len(messages), eager=True).repeat_by(lengths).explode(
                empty_as_null=False
            ),
            "role": flat["role"].fill_null(""),
            "content": flat["content"].fill_null("").str.strip_chars(),
            "extra": flat["extra"].is_not_null(),
        }
    )  # fmt: skip


def per_row(table: pl.DataFrame, height: int, **measures: pl.Expr) -> pl.DataFrame:
    """Whole numbers measured over the turns of each row, 0 for rows without turns."""
    found = table.group_by("row").agg(**measures)
    rows = pl.DataFrame({"row": pl.int_range(height, eager=True)})
    joined = rows.join(found, on="row", how="left", maintain_order="left").drop("row")
    return joined.select(pl.all().fill_null(0).cast(pl.Int64))
