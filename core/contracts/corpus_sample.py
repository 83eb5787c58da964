"""What features and gates of plugins see of a recipe: the rows that it makes of a sample."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from datachef.core.contracts.task import Task

if TYPE_CHECKING:
    import polars as pl


@dataclass(frozen=True)
class CorpusSample:
    """The rows that a recipe makes of a sample of its sources, and the task that it is for.

    `rows` have `id`, `source`, `text`, `tokens`, `messages` where there are conversations, whatever
    else the steps left, and `weight`: how many rows of the whole corpus a row stands for. There is
    at least one row. `schema` is the form of the rows in the output (`text`, `messages`, ...), and
    `epochs` says of each source how often the mix takes each of its rows.
    """

    rows: pl.DataFrame
    schema: str
    epochs: Mapping[str, float]
    task: Task

    def share(self, condition: pl.Expr) -> float:
        """The share of the rows of the whole corpus for which a condition holds."""
        table = self.rows.select("weight", condition.fill_null(False).alias("holds"))
        return float(table.filter("holds")["weight"].sum()) / float(table["weight"].sum())


# A number that says something of a corpus, NaN where it is not defined; and why a corpus must not
# be trained on, empty where it may.
Feature = Callable[[CorpusSample], float]
Gate = Callable[[CorpusSample], str]
