"""The turns of all conversations of a batch as one table."""

from __future__ import annotations

import polars as pl


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
