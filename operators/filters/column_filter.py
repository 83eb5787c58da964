"""A condition on the columns of a row."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

import polars as pl
from pydantic import AfterValidator, Field

from datachef.core import CheckContext, Filter
from datachef.operators.filters.condition import (
    ANY,
    BOOL,
    LIST,
    MOST_CHARACTERS,
    NUMBER,
    TEXT,
    Condition,
    ConditionError,
    parse_condition,
)

if TYPE_CHECKING:
    from datachef.core import Signal

_KINDS = {"bool": BOOL, "int": NUMBER, "float": NUMBER, "text": TEXT}


def _parsed(text: str) -> str:
    parse_condition(text)
    return text


class ColumnFilter(Filter):
    """Keeps rows whose columns meet a condition, such as `score >= 3 and lang in ['en', 'de']`.

    Columns are fields of the source and signals that an earlier filter keeps (`keep_signals`). A
    condition is made of their names, numbers, texts in quotes, `true`, `false` and `null`;
    `== != < <= > >=`, also in chains; `in` and `not in` a list, or of one text in another;
    `is null` and `is not null`; `and`, `or`, `not`; `+ - * /`; and the functions `len`, `lower`,
    `starts_with`, `ends_with`, `number`, which reads a number from text, and `column('...')` for
    names that are no plain words. A row of which it cannot be said, since a value is missing or of
    another kind, is dropped for that reason.
    """

    not_for_policies: ClassVar[str] = (
        "The condition is free text about columns, which are others in every source."
    )

    op: Literal["column_filter"] = "column_filter"

    where: Annotated[str, AfterValidator(_parsed)] = Field(
        min_length=1, max_length=MOST_CHARACTERS, description="Condition that a row has to meet."
    )

    @cached_property
    def _condition(self) -> Condition:
        return parse_condition(self.where)

    def reads(self) -> set[str]:
        return set(self._condition.columns)

    def check(self, context: CheckContext) -> Iterator[tuple[str, str, str]]:
        kinds = {name: _KINDS.get(kind, ANY) for name, kind in context.kinds.items()}
        try:
            self._condition.expression(kinds)
        except ConditionError as error:
            yield "where", str(error), ""

    def signals(self) -> Mapping[str, Signal]:
        return {"condition": self._holds}

    def rules(self) -> Mapping[str, pl.Expr]:
        return {
            "condition_undecided": pl.col("condition").is_null(),
            "condition_false": ~pl.col("condition"),
        }

    def _holds(self, batch: pl.DataFrame) -> pl.Series:
        missing = [name for name in self._condition.columns if name not in batch.columns]
        rows = batch.with_columns(pl.lit(None).alias(name) for name in missing)
        kinds = {name: _kind(rows.schema[name]) for name in self._condition.columns}
        try:
            found = rows.select(condition=self._condition.expression(kinds).cast(pl.Boolean))
        except (ConditionError, pl.exceptions.PolarsError):
            return pl.repeat(None, batch.height, dtype=pl.Boolean, eager=True)
        values = found["condition"]  # one value where the condition names no column
        return values if len(values) == batch.height else values.new_from_index(0, batch.height)


def _kind(dtype: pl.DataType) -> str:
    if dtype == pl.Boolean:
        return BOOL
    if dtype.is_numeric():
        return NUMBER
    if dtype == pl.String:
        return TEXT
    return LIST if isinstance(dtype, pl.List) else ANY
