"""Rows whose question and answer stand in columns."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

import polars as pl
from pydantic import Field

from datachef.core import (
    CheckContext,
    ConversationFormat,
    RowError,
    Transform,
    recognised_conversation,
    turns_column,
    with_text,
)

_REASONS = (
    "missing_field", "schema_mismatch", "unknown_role", "unsupported_content", "bad_tool_call",
    "unsupported_value", "nested_too_deeply", "not_utf8", "row_too_large",
)  # fmt: skip


class ToMessages(Transform):
    """Makes conversations of columns: ShareGPT, Alpaca, prompt and completion, lists of messages.

    The columns are named as in the `format` of a source, also composed (`"{body} {question}"`), and
    roles, tool calls and system messages are read as there; lists may be JSON text. Rows that are
    conversations already stay as they are. What cannot be read is dropped for the reason for which
    a source would not read it.
    """

    op: Literal["to_messages"] = "to_messages"

    format: ConversationFormat | None = Field(
        None,
        description="Which columns hold the turns, as in the format of a source; recognised by the "
        "usual names when left out.",
    )

    def reads(self) -> set[str]:
        return {"text"} if self.format is None else {"text", *self.format.fields()}

    def writes(self) -> set[str]:
        return {"messages"}

    def reasons(self) -> tuple[str, ...]:
        return (*super().reasons(), *_REASONS)

    def check(self, context: CheckContext) -> Iterator[tuple[str, str, str]]:
        known = context.columns - {"text"}
        if self.format is None and "messages" not in known and not recognised_conversation(known):
            message = "no columns of the usual names hold turns"
            yield "format", message, "name them: format: {prompt: question, completion: answer}"

    def transform(self, batch: pl.DataFrame) -> tuple[pl.DataFrame, pl.Series]:
        old = batch["messages"] if "messages" in batch.columns else None
        layout = self.format or recognised_conversation(set(batch.columns) - {"text", "messages"})
        made: list[Any] = []
        reasons: list[str | None] = []
        for place, row in enumerate(batch.iter_rows(named=True)):
            reasons.append(None)
            made.append(None)
            if layout is None or (old is not None and old[place] is not None):
                continue
            try:
                made[-1] = layout.convert(row)
            except RowError as error:
                reasons[-1] = error.reason if error.reason in _REASONS else "schema_mismatch"
        reason = pl.Series(reasons, dtype=pl.String)
        columns = [turns_column([None if new is None else new.turns for new in made])]
        if old is not None:
            columns[0] = columns[0].zip_with(columns[0].is_not_null(), old)
        for name in ("tools", "chat_template_kwargs"):
            told = pl.Series(name, [getattr(new, name, None) for new in made], pl.String)
            if name in batch.columns:
                told = told.zip_with(pl.Series(new is not None for new in made), batch[name])
            if name in batch.columns or told.null_count() < len(told):
                columns.append(told)
        return with_text(batch.with_columns(columns)).filter(reason.is_null()), reason
