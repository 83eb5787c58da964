"""What was measured of texts, remembered by their content."""

from __future__ import annotations

import polars as pl

from datachef.core.run.chain import ROW

TEXT = "_text"


class TextMemory:
    """What was measured of texts, for a process that meets the same texts again and again.

    `key` names what was measured: signals of a filter or summaries that depend on `text` alone.
    """

    def __init__(self, most_texts: int = 1_000_000) -> None:
        self._most = most_texts
        self._known: dict[str, pl.DataFrame] = {}

    def recall(self, key: str, rows: pl.DataFrame) -> pl.DataFrame | None:
        """`ROW` and what is known of the rows whose text was met before."""
        known = self._known.get(key)
        if known is None:
            return None
        found = _by_text(rows).join(known, on=TEXT, maintain_order="left").drop(TEXT)
        return found if found.height else None

    def remember(self, key: str, rows: pl.DataFrame, measured: pl.DataFrame) -> None:
        """Takes `ROW` and what was measured of some of the rows."""
        fresh = _by_text(rows).join(measured, on=ROW).drop(ROW)
        known = self._known.get(key)
        if known is not None and known.height < self._most:
            fresh = pl.concat([known, fresh])
        self._known[key] = fresh.unique(TEXT, keep="first", maintain_order=True)


def _by_text(rows: pl.DataFrame) -> pl.DataFrame:
    return rows.select(ROW, pl.col("text").hash(seed=0).alias(TEXT))
