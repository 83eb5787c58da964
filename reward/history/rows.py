"""Measurements as flat rows of plain values: what the database and Parquet files hold."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson
import polars as pl

from datachef.reward.history.measured import Measured, canonical

COLUMNS = {
    "recipe_name": pl.String, "recipe": pl.String, "recipe_key": pl.String,
    "task": pl.String, "task_key": pl.String, "base_model": pl.String, "seed": pl.Int64,
    "score": pl.Float64, "scores": pl.String, "features": pl.String, "versions": pl.String,
    "seconds": pl.Float64, "corpus": pl.String, "training": pl.String, "vocabulary": pl.String,
    "created": pl.String,
}  # fmt: skip
_JSON = ("scores", "features", "versions", "corpus", "training")


def row_of(measured: Measured) -> dict[str, Any]:
    """All of a measurement but its id; mappings are JSON with sorted keys."""
    row = {name: getattr(measured, name) for name in COLUMNS}
    return row | {name: canonical(row[name]).decode() for name in _JSON}


def measured_of(row: Mapping[str, Any]) -> Measured:
    """The measurement that a row was made of. Raises `ValueError` where the JSON is none."""
    return Measured(**{**row, **{name: orjson.loads(row[name]) for name in _JSON}})


def table_of(measurements: list[Measured]) -> pl.DataFrame:
    """One row per measurement, its mappings in columns of their own: `score.NAME`, `corpus.NAME`
    and `feature.NAME`. What a measurement does not have is null."""
    plain = {"id": pl.Int64} | {n: t for n, t in COLUMNS.items() if n not in _JSON}
    columns = [
        pl.Series(name, [getattr(m, name) for m in measurements], dtype)
        for name, dtype in plain.items()
    ]
    training = [canonical(measured.training).decode() for measured in measurements]
    columns.append(pl.Series("training", training, pl.String))
    for prefix, field, dtype in (
        ("score", "scores", pl.Float64),
        ("corpus", "corpus", pl.Int64),
        ("feature", "features", pl.Float64),
    ):
        mappings = [getattr(measured, field) for measured in measurements]
        columns += [
            pl.Series(f"{prefix}.{name}", [mapping.get(name) for mapping in mappings], dtype)
            for name in sorted({name for mapping in mappings for name in mapping})
        ]
    return pl.DataFrame(columns)
