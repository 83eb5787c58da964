"""Transforms: a batch in, a batch out, row by row in meaning."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar

from datachef.core.contracts.operator import Operator, Outcome

if TYPE_CHECKING:
    import polars as pl

    from datachef.core.text.turns import Turn


class Transform(Operator):
    """Rewrites rows, and may make none or several of one.

    Rows made from a row keep its `id`; the engine numbers them. A row of which nothing is left is
    dropped under the reason `emptied`, and so is a conversation that a transform of text left
    without an answer.
    """

    shape: ClassVar[str] = "transform"
    max_rows: ClassVar[int | None] = 1

    @abstractmethod
    def transform(self, batch: pl.DataFrame) -> pl.DataFrame | tuple[pl.DataFrame, pl.Series]:
        """The batch rewritten; the decision on a row must not depend on its neighbours.

        Or the rows that stay, rewritten, and for each row of the batch the reason for which it is
        dropped: one of `reasons()`, or null.
        """
        raise NotImplementedError

    def reasons(self) -> tuple[str, ...]:
        return ("emptied",)

    def process(self, batch: pl.DataFrame) -> Outcome:
        """Runs `transform` and accounts for every row."""
        import polars as pl

        from datachef.core.contracts.accounting import (
            ESSENTIAL,
            account,
            frame_of,
            joined_rejects,
            reasons_of,
            rejected,
        )

        essential = [name for name in ESSENTIAL if name in batch.columns]
        # A copy, which costs nothing until it is changed: what was given is still accounted for.
        answer: Any = self.transform(batch.clone())
        refused = None
        if isinstance(answer, tuple) and len(answer) == 2:
            reason = reasons_of(answer[1], "transform()", batch)
            refused = rejected(batch, reason.is_null(), reason)
            answer, batch = answer[0], batch.filter(reason.is_null())
        result = frame_of(answer, "transform()", *essential)
        if result["text"].null_count():
            result = result.filter(pl.col("text").is_not_null())
        outcome = account(self.op, batch, result, self.max_rows)
        return replace(outcome, dropped=joined_rejects(refused, outcome.dropped))


class TextTransform(Transform):
    """A transform that rewrites text alone: documents, and of conversations every turn's content
    and reasoning. Whatever else a turn carries stays as it is.

    What nothing is left of is dropped as `emptied`; a subclass may name other reasons by `rules`.
    With `rewrites_arguments` it rewrites the texts inside the arguments of tool calls too: right
    for what replaces characters or names, wrong for what removes lines.
    """

    rewrites_arguments: ClassVar[bool] = False

    @abstractmethod
    def rewrite(self, text: pl.Series) -> pl.Series:
        """Strings in, as many strings out; an empty string means that nothing is left."""
        raise NotImplementedError

    def rules(self) -> Mapping[str, pl.Expr]:
        """The reasons for which rows are dropped besides, each with its condition on `text`, as it
        was, and `rewritten`, null where nothing is left. Of several that hold the first counts."""
        return {}

    def reasons(self) -> tuple[str, ...]:
        return (*super().reasons(), *self.rules())

    def transform(self, batch: pl.DataFrame) -> tuple[pl.DataFrame, pl.Series]:
        import polars as pl

        result = rewrite_text(batch, self._rewritten, arguments=self.rewrites_arguments)
        broken = (pl.when(rule).then(pl.lit(name)) for name, rule in self.rules().items())
        reason = (
            batch.select("text", rewritten=result["text"])
            .with_columns(pl.coalesce(*broken, pl.lit(None, pl.String)).alias("reason"))
            .to_series(2)
        )
        return result.filter(reason.is_null()), reason

    def _rewritten(self, text: pl.Series) -> pl.Series:
        """What `rewrite` gives, which has to be as many texts."""
        import polars as pl

        from datachef.core.errors import PluginError

        answer: object = self.rewrite(text.clone())
        if not isinstance(answer, pl.Series):
            raise PluginError(
                f"rewrite() gave {'None' if answer is None else f'a {type(answer).__name__}'}, "
                "not a polars Series"
            )
        if len(answer) != len(text):
            raise PluginError(f"rewrite() gave {len(answer)} texts for {len(text)}")
        if answer.dtype not in (pl.String, pl.Null):
            raise PluginError(f"rewrite() gave {answer.dtype}, not String")
        return answer.cast(pl.String)


class ConversationTransform(Transform):
    """A transform that rewrites the turns of one conversation at a time, or drops it.

    Documents, which have no turns, stay as they are. The rows are looped over, which turns that
    carry whatever fields leave no way around.
    """

    @abstractmethod
    def rewrite(
        self, turns: list[Turn], row: Mapping[str, Any]
    ) -> Sequence[Turn] | Sequence[Sequence[Turn]] | str:
        """The turns of the new conversation, or of several (at most `max_rows`), or the reason for
        which the row is dropped. `row` has the columns; `turns` may be changed."""
        raise NotImplementedError

    def reads(self) -> set[str]:
        return {"messages"}

    def transform(self, batch: pl.DataFrame) -> pl.DataFrame | tuple[pl.DataFrame, pl.Series]:
        import polars as pl

        from datachef.core.text.conversations import turns_column, turns_of, with_text

        if "messages" not in batch.columns:
            return batch
        origins: list[int] = []
        made: list[Sequence[Turn] | None] = []
        reasons: list[str | None] = []
        for place, row in enumerate(batch.iter_rows(named=True)):
            turns = row["messages"]
            new: Any = None if turns is None else self.rewrite(turns_of(turns), row)
            reasons.append(new if isinstance(new, str) else None)
            if isinstance(new, str):
                continue
            several = [new] if new is None or not new or isinstance(new[0], Mapping) else new
            origins += [place] * len(several)
            made += several
        rows = batch[pl.Series(origins, dtype=pl.UInt32)].with_columns(turns_column(made))
        said = with_text(rows).filter(
            pl.col("messages").is_null() | (pl.col("messages").list.len() > 0)
        )
        return said, pl.Series(reasons, dtype=pl.String)


def rewrite_text(
    batch: pl.DataFrame, rewrite: Callable[[pl.Series], pl.Series], *, arguments: bool = False
) -> pl.DataFrame:
    """Applies `rewrite` to the text of documents and to what the turns of conversations say.

    `rewrite` sees no nulls. `text` is null where nothing is left, and so is that of conversations
    of whose answers nothing is left: no training can use them.
    """
    import polars as pl

    from datachef.core.text.conversations import conformed, last_answers, rewritten

    result = rewritten(batch, rewrite, arguments=arguments)
    kept = result["text"].str.strip_chars().str.len_bytes() > 0
    if "messages" in batch.columns:
        silent = last_answers(result["messages"]).is_null()
        silenced = silent & last_answers(conformed(batch["messages"])).is_not_null()
        kept &= ~silenced
    return result.with_columns(pl.when(kept).then("text").alias("text"))
