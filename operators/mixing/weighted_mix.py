"""How much of each source goes into the corpus."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Literal

import polars as pl
from pydantic import Field

from datachef.core.corpus import Context, MixOperator, Size
from datachef.core.operator import Scene
from datachef.core.sampling import priority
from datachef.core.task import Budget
from datachef.operators.mixing.shares import amounts, proportions

_DECISION = {"id": pl.String, "copies": pl.UInt32}


class WeightedMix(MixOperator):
    """Mixes the sources by weight, within a budget, repeating rows where a source is too small.

    Weights are shares of tokens, or of rows where the budget is in rows. Each source is taken in
    whole epochs and a rest, whose rows a hash of seed and id decides. On repeating data:
    Muennighoff et al. 2023 (https://arxiv.org/abs/2305.16264) find little loss up to 4 epochs.
    """

    op: Literal["weighted_mix"] = "weighted_mix"
    weights: dict[str, Annotated[float, Field(ge=0, le=1_000_000, allow_inf_nan=False)]] = Field(
        default_factory=dict,
        description="Weight of each source by name; one that is left out is not taken. "
        "Without any, sources count by their size.",
    )
    temperature: float = Field(
        1.0, ge=0.1, le=10.0, description="Above 1 evens the weights out, below 1 sharpens them."
    )
    budget: Budget | None = Field(
        None, description="The size of the corpus; without, as much as honours the weights."
    )
    max_epochs: int = Field(1, ge=1, le=100, description="How often a row may be taken.")

    def reads(self) -> set[str]:
        return set() if self._counts_rows else {"tokens"}

    def shares(self) -> Mapping[str, float] | None:
        return self.weights or None

    def objections(self, scene: Scene) -> Iterator[tuple[str, str, str]]:
        if self.weights and not any(self.weights.values()):
            yield "weights", "every weight is 0, so nothing is taken", "give a source some weight"
        taken = [limit for name, limit in scene.sources.items() if self._takes(name)]
        known = [limit for limit in taken if limit is not None]
        wanted = self.budget.tokens if self.budget is not None else None
        most = sum(known) * self.max_epochs
        if wanted is not None and taken and len(known) == len(taken) and wanted > most:
            message = f"{wanted:,} tokens are wanted, and the sources hold at most {most:,}"
            yield "budget.tokens", message, "lower the budget, raise max_epochs or add sources"

    def _takes(self, name: str) -> bool:
        return not self.weights or self.weights.get(name, 0) > 0

    def summarize(self, batch: pl.DataFrame) -> pl.DataFrame:
        size = pl.lit(1) if self._counts_rows else pl.col("tokens").fill_null(0)
        return batch.select("id", "source", size.cast(pl.Int64).alias("size"))

    def resolve(self, summaries: pl.LazyFrame, context: Context) -> pl.DataFrame:
        per_source = summaries.group_by("source").agg(pl.col("size").sum()).sort("source").collect()
        sizes = dict(zip(per_source["source"], per_source["size"], strict=True))
        taken = self._taken(sizes)
        # Rows of no size are the only ones of a source of no size: they cost nothing.
        free = {s for s in sizes if not sizes[s] and (not self.weights or self.weights.get(s))}
        decisions = [
            _copies(summaries.filter(pl.col("source") == name), size, taken.get(name, 0), context)
            for name, size in sizes.items()
            if name not in free and taken.get(name) != size
        ]
        return pl.concat([pl.DataFrame(schema=_DECISION), *decisions])

    def epochs(self, sizes: Mapping[str, Size]) -> Mapping[str, float]:
        counted = {n: round(s.rows if self._counts_rows else s.tokens) for n, s in sizes.items()}
        taken = self._taken(counted)
        return {name: taken.get(name, 0) / size if size else 0.0 for name, size in counted.items()}

    def _taken(self, sizes: Mapping[str, int]) -> dict[str, int]:
        shares = proportions(sizes, self.weights, self.temperature)
        return amounts(sizes, shares, self.max_epochs, self._amount)

    @property
    def _counts_rows(self) -> bool:
        return self.budget is not None and self.budget.rows is not None

    @property
    def _amount(self) -> int | None:
        return None if self.budget is None else self.budget.rows or self.budget.tokens


def _copies(rows: pl.LazyFrame, size: int, amount: int, context: Context) -> pl.DataFrame:
    """How often each row is taken, of a source of which `amount` is wanted."""
    epochs, rest = divmod(amount, size) if size else (0, 0)
    if rest:
        known = rows.select("id", "size").collect()
        drawn = known.with_columns(priority(known["id"], context.seed)).sort(
            "priority", maintain_order=True
        )
        more = (pl.col("size").cum_sum() <= rest).cast(pl.UInt32)
        counted = drawn.select("id", (more + epochs).cast(pl.UInt32).alias("copies")).lazy()
    else:
        counted = rows.select("id", pl.lit(epochs, pl.UInt32).alias("copies"))
    return counted.filter(pl.col("copies") != 1).collect()
