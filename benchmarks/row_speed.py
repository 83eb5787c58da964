"""What a function of one row costs beside the same operator over a batch.

    python benchmarks/row_speed.py --data DATA [--rows 20000]

`DATA` is the folder of public data. Measured is the call of the operator alone, on one core, with
web pages: a decision by the share of capital letters, and a text rewritten in lower case.
"""

from __future__ import annotations

import argparse
import gzip
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import polars as pl
from pydantic import Field

from datachef.core import Filter, TextTransform, row_operator
from datachef.core.run.signals import decide, measure

BATCH = 1_000


@row_operator
def capitals_row(row: dict[str, Any]) -> bool:
    """Drops text of which a tenth is capital letters."""
    return sum(map(str.isupper, row["text"])) <= len(row["text"]) / 10


@row_operator
def lower_row(row: dict[str, Any]) -> dict[str, Any]:
    """Writes text in lower case."""
    return {"text": row["text"].lower()}


class CapitalsBatch(Filter):
    """Drops text of which a tenth is capital letters."""

    op: Literal["capitals_batch"] = "capitals_batch"
    most: float = Field(0.1, ge=0, le=1, description="Largest share of capitals.")

    def signals(self) -> dict[str, pl.Expr]:
        text = pl.col("text")
        return {"capitals": text.str.count_matches(r"\p{Lu}") / text.str.len_chars()}

    def rules(self) -> dict[str, pl.Expr]:
        return {"too_many_capitals": pl.col("capitals") > self.most}


class LowerBatch(TextTransform):
    """Writes text in lower case."""

    op: Literal["lower_batch"] = "lower_batch"

    def rewrite(self, text: pl.Series) -> pl.Series:
        return text.str.to_lowercase()


def filtered(rows: pl.DataFrame) -> pl.DataFrame:
    operator = CapitalsBatch()
    signals = measure(operator, rows)
    return rows.filter(decide(operator, rows.with_columns(signals)).is_null())


def pages(data: Path, most: int) -> pl.DataFrame:
    texts: list[str] = []
    for file in sorted((data / "web").glob("*.jsonl.gz")):
        with gzip.open(file, "rt", encoding="utf-8") as lines:
            texts += [json.loads(line)["text"] for line in lines]
        if len(texts) >= most:
            break
    texts = texts[:most]
    return pl.DataFrame({"id": [str(i) for i in range(len(texts))], "source": "web", "text": texts})


def seconds(work: Callable[[pl.DataFrame], Any], rows: pl.DataFrame) -> float:
    best = float("inf")
    for _ in range(3):
        started = time.perf_counter()
        for start in range(0, rows.height, BATCH):
            work(rows[start : start + BATCH])
        best = min(best, time.perf_counter() - started)
    return best


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--rows", type=int, default=20_000)
    options = parser.parse_args()
    rows = pages(options.data, options.rows)
    size = int(rows["text"].str.len_bytes().sum()) / 1e6
    print(f"{rows.height:,} pages, {size:.0f} MB")
    for name, by_row, by_batch in (
        ("filter", capitals_row().process, filtered),
        ("transform", lower_row().process, LowerBatch().process),
    ):
        slow, fast = seconds(by_row, rows), seconds(by_batch, rows)
        print(
            f"{name}: {rows.height / slow:,.0f} rows/s ({size / slow:.0f} MB/s) by row, "
            f"{rows.height / fast:,.0f} ({size / fast:.0f} MB/s) by batch, {slow / fast:.0f} times"
        )


if __name__ == "__main__":
    main()
