"""Conversations as rows: `messages` holds the turns, `text` is always their plain reading.

Filters, deduplication and decontamination read `text`, so they work on documents and on
conversations alike. Whatever rewrites text rewrites the turns, and `text` is derived again.
"""

from __future__ import annotations

import polars as pl

MESSAGES = pl.List(pl.Struct({"role": pl.String, "content": pl.String}))
SEPARATOR = "\n\n"


def reading(messages: pl.Expr) -> pl.Expr:
    """The contents of all turns, one after the other."""
    return messages.list.eval(pl.element().struct.field("content").fill_null("")).list.join(
        SEPARATOR
    )


def with_reading(batch: pl.DataFrame) -> pl.DataFrame:
    """Derives `text` again wherever a row has `messages`."""
    if "messages" not in batch.columns:
        return batch
    messages = pl.col("messages")
    text = pl.when(messages.is_not_null()).then(reading(messages))
    old = pl.col("text") if "text" in batch.columns else pl.lit(None, pl.String)
    return batch.with_columns(text.otherwise(old).alias("text"))
