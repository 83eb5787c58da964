"""A random order of rows that depends on the seed and the row's id alone."""

from __future__ import annotations

from hashlib import blake2b
from typing import ClassVar, Literal

import numpy as np
import polars as pl
from pydantic import Field

from datachef.core.contracts.corpus import Context, CorpusOperator


def sampling_priority(ids: pl.Series, seed: int) -> pl.Series:
    """One uniform 64-bit number per id; the same for any batch, machine and library version."""
    key = seed.to_bytes(8, "little", signed=False)
    digests = b"".join(blake2b(i.encode(), digest_size=8, key=key).digest() for i in ids)
    return pl.Series("priority", np.frombuffer(digests, dtype="<u8").astype(np.uint64))


class Take(CorpusOperator):
    """Keeps so many rows, drawn by the seed; what `take:` of a source stands for."""

    selects: ClassVar[bool] = True

    op: Literal["take"] = "take"
    rows: int = Field(1, ge=1, description="Rows to keep.")

    def reasons(self) -> tuple[str, ...]:
        return ("not_sampled",)

    def reads(self) -> set[str]:
        return {"id"}

    def summarize(self, batch: pl.DataFrame) -> pl.DataFrame:
        return batch.select("id")

    def resolve(self, summaries: pl.LazyFrame, context: Context) -> pl.DataFrame:
        ids = summaries.select("id").collect()["id"]
        rank = sampling_priority(ids, context.seed).rank("ordinal")
        dropped = ids.filter(rank > self.rows)
        return pl.DataFrame(
            {
                "id": dropped,
                "reason": pl.repeat("not_sampled", len(dropped), dtype=pl.String, eager=True),
            }
        )
