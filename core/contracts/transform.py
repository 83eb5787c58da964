"""Transforms: a batch in, a batch out, row by row in meaning."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from typing import TYPE_CHECKING, ClassVar

from datachef.core.contracts.operator import Operator, Outcome

if TYPE_CHECKING:
    import polars as pl


class Transform(Operator):
    """Rewrites rows, and may make none or several of one.

    Rows made from a row keep its `id`; the engine numbers them. A row of which nothing is left is
    dropped under the reason `emptied`.
    """

    shape: ClassVar[str] = "transform"
    max_rows: ClassVar[int | None] = 1

    @abstractmethod
    def transform(self, batch: pl.DataFrame) -> pl.DataFrame:
        """The batch rewritten; the decision on a row must not depend on its neighbours."""
        raise NotImplementedError

    def reasons(self) -> tuple[str, ...]:
        return ("emptied",)

    def process(self, batch: pl.DataFrame) -> Outcome:
        """Runs `transform` and accounts for every row."""
        import polars as pl

        from datachef.core.contracts.accounting import ESSENTIAL, account, frame_of

        essential = [name for name in ESSENTIAL if name in batch.columns]
        # A copy, which costs nothing until it is changed: what was given is still accounted for.
        result = frame_of(self.transform(batch.clone()), "transform()", *essential)
        if result["text"].null_count():
            result = result.filter(pl.col("text").is_not_null())
        return account(self.op, batch, result, self.max_rows)


class TextTransform(Transform):
    """A transform that rewrites text alone: documents, and of conversations every turn's content
    and reasoning. Whatever else a turn carries stays as it is.

    With `rewrites_arguments` it rewrites the texts inside the arguments of tool calls too: right
    for what replaces characters or names, wrong for what removes lines.
    """

    rewrites_arguments: ClassVar[bool] = False

    @abstractmethod
    def rewrite(self, text: pl.Series) -> pl.Series:
        """Strings in, as many strings out; an empty string means that nothing is left."""
        raise NotImplementedError

    def transform(self, batch: pl.DataFrame) -> pl.DataFrame:
        return rewrite_text(batch, self._rewritten, arguments=self.rewrites_arguments)

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


def rewrite_text(
    batch: pl.DataFrame, rewrite: Callable[[pl.Series], pl.Series], *, arguments: bool = False
) -> pl.DataFrame:
    """Applies `rewrite` to the text of documents and to what the turns of conversations say.

    `rewrite` sees no nulls; rows of which nothing is left are left out.
    """
    import polars as pl

    from datachef.core.text.conversations import rewritten

    batch = rewritten(batch, rewrite, arguments=arguments)
    return batch.filter(pl.col("text").str.strip_chars().str.len_bytes() > 0)
