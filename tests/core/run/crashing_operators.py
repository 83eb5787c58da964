"""Operators that crash, hang or fail on a row, loaded with --plugin."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import polars as pl
from pydantic import Field

from datachef.core import Context, CorpusOperator, Filter, Operator, hookimpl, threshold


class SlowLengthFilter(Filter):
    """Drops long rows, slowly."""

    op: Literal["slow_length_filter"] = "slow_length_filter"
    max_chars: int = threshold(40, ge=1, le=1000, description="Longest text kept.")
    seconds: float = Field(0.02, ge=0, le=10, description="How long a batch takes.")

    def signals(self) -> Mapping[str, Any]:
        def length(batch: pl.DataFrame) -> pl.Series:
            time.sleep(self.seconds)
            return batch["text"].str.len_chars()

        return {"chars": length}

    def rules(self) -> Mapping[str, pl.Expr]:
        return {"too_long": pl.col("chars") > self.max_chars}


class DeadlyFilter(Filter):
    """Kills its process on a row that says so; once, when a file to remember it by is named."""

    op: Literal["deadly_filter"] = "deadly_filter"
    once: str = Field("", description="A file that is made before dying; where it is, all is well.")

    def signals(self) -> Mapping[str, Any]:
        def deadly(batch: pl.DataFrame) -> pl.Series:
            marked = batch["text"].str.contains("DEADLY", literal=True)
            if marked.any() and not (self.once and Path(self.once).exists()):
                if self.once:
                    Path(self.once).touch()
                os.kill(os.getpid(), signal.SIGKILL)
            return marked

        return {"deadly": deadly}

    def rules(self) -> Mapping[str, pl.Expr]:
        return {}


class BrokenFilter(Filter):
    """Raises on a row that says so, and takes no care of its neighbours."""

    op: Literal["broken_filter"] = "broken_filter"

    def signals(self) -> Mapping[str, Any]:
        def broken(batch: pl.DataFrame) -> pl.Series:
            if batch["text"].str.contains("BROKEN", literal=True).any():
                raise ZeroDivisionError("a bug in a plugin")
            return pl.repeat(1, batch.height, eager=True)

        return {"fine": broken}

    def rules(self) -> Mapping[str, pl.Expr]:
        return {}


class FirstOfEachText(CorpusOperator):
    """Keeps the first row of each text."""

    op: Literal["first_of_each_text"] = "first_of_each_text"

    def reasons(self) -> tuple[str, ...]:
        return ("copy",)

    def summarize(self, batch: pl.DataFrame) -> pl.DataFrame:
        if batch["text"].str.contains("UNSUMMABLE", literal=True).any():
            raise ZeroDivisionError("a bug in a plugin")
        return batch.select("id", "text")

    def resolve(self, summaries: pl.LazyFrame, context: Context) -> pl.DataFrame:
        copies = summaries.filter(~pl.col("text").is_first_distinct())
        return copies.select("id", pl.lit("copy").alias("reason")).collect()


@hookimpl
def datachef_operators() -> list[type[Operator]]:
    return [BrokenFilter, DeadlyFilter, FirstOfEachText, SlowLengthFilter]
