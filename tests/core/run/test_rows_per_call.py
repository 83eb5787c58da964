"""An operator that takes long gets batches in parts, and rows that break it fail as in one call."""

from __future__ import annotations

from typing import ClassVar, Literal

import polars as pl

from datachef.core import Filter
from datachef.core.run.pipeline import StepPipeline
from datachef.core.run.steps import Step
from datachef.core.testing.operators import _NoMemory

SEEN: list[int] = []


class SlowFilter(Filter):
    """Drops text that begins with a."""

    rows_per_call: ClassVar[int | None] = 2
    op: Literal["slow_filter"] = "slow_filter"

    def signals(self):
        return {"begins": self._begins}

    def _begins(self, batch: pl.DataFrame) -> pl.Series:
        SEEN.append(batch.height)
        if "break" in batch["text"].to_list():
            raise ValueError("a row that breaks it")
        return batch["text"].str.starts_with("a")

    def rules(self):
        return {"a": pl.col("begins")}


def test_parts_of_a_batch_are_as_the_whole() -> None:
    texts = ["a0", "b1", "b2", "a3", "break", "b5", "a6"]
    batch = pl.DataFrame({"id": [f"s:{n}" for n in range(7)], "source": ["s"] * 7, "text": texts})
    rejected: list[tuple[str, str, list[str]]] = []
    pipeline = StepPipeline(
        [Step("steps[0]", SlowFilter())],
        _NoMemory(),
        lambda path, kind, rows, _: rejected.append((path, kind, rows["text"].to_list())),
    )
    kept = pipeline.run(batch)
    assert kept["text"].to_list() == ["b1", "b2", "b5"]
    assert sorted(rejected) == [
        ("steps[0]", "dropped", ["a0", "a3", "a6"]),
        ("steps[0]", "failed", ["break"]),
    ]
    assert SEEN[:6] == [2, 2, 2, 1, 1, 1]
