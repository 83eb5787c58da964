"""Transforms: a batch in, a batch out, row by row in meaning."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, ClassVar

from datachef.core.operator import Operator, Outcome

if TYPE_CHECKING:
    import polars as pl


class Transform(Operator):
    """Rewrites rows, and may make none or several of one.

    Rows made from a row keep its `id`; the engine numbers them. A row of which nothing is left is
    dropped under the reason `emptied`.
    """

    shape: ClassVar[str] = "transform"
    max_rows: ClassVar[int | None] = 1

    def transform(self, batch: pl.DataFrame) -> pl.DataFrame:
        """The batch rewritten; the decision on a row must not depend on its neighbours."""
        raise NotImplementedError

    def reasons(self) -> tuple[str, ...]:
        return ("emptied",)

    def process(self, batch: pl.DataFrame) -> Outcome:
        """Runs `transform` and accounts for every row."""
        from datachef.core.accounting import account

        return account(self.op, batch, self.transform(batch), self.max_rows)


class TextTransform(Transform):
    """A transform that rewrites text and nothing else: documents and every turn of conversations."""

    def rewrite(self, text: pl.Series) -> pl.Series:
        """Strings in, as many strings out; an empty string means that nothing is left."""
        raise NotImplementedError

    def transform(self, batch: pl.DataFrame) -> pl.DataFrame:
        return rewrite_text(batch, self.rewrite)


def rewrite_text(batch: pl.DataFrame, rewrite: Callable[[pl.Series], pl.Series]) -> pl.DataFrame:
    """Applies `rewrite` to the text of documents and to the contents of conversations."""
    import polars as pl

    from datachef.core.chat import MESSAGES, with_reading

    if "messages" not in batch.columns:
        text = rewrite(batch["text"]).alias("text")
        return batch.with_columns(text).filter(pl.col("text").str.len_bytes() > 0)
    documents = pl.col("messages").is_null()
    rows = batch.with_row_index("_row")
    plain = rows.filter(documents)
    plain = plain.with_columns(rewrite(plain["text"]).alias("text"))
    chats = rows.filter(~documents)
    turns = chats.select("_row", "messages").explode("messages").unnest("messages")
    turns = turns.with_columns(rewrite(turns["content"].fill_null("")).alias("content"))
    back = turns.group_by("_row", maintain_order=True).agg(
        pl.struct("role", "content").alias("messages").cast(MESSAGES.inner)
    )
    chats = with_reading(chats.drop("messages").join(back, on="_row", maintain_order="left"))
    merged = pl.concat([plain, chats.select(plain.columns)]).sort("_row").drop("_row")
    return merged.filter(pl.col("text").str.strip_chars().str.len_bytes() > 0)
