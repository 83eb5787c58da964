"""The file formats of corpora that we register."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from datachef.core import Writer, json_lines, write_parquet

if TYPE_CHECKING:
    import polars as pl

ROW_GROUP_ROWS = 10_000


class ParquetWriter(Writer):
    """Parquet, packed with zstd."""

    name = "parquet"
    suffix = "parquet"
    typed = True

    def write(self, rows: pl.DataFrame, schema: Mapping[str, str], path: Path) -> None:
        write_parquet(rows, schema, path, ROW_GROUP_ROWS)


class JsonLinesWriter(Writer):
    """A JSON object per line."""

    name = "jsonl"
    suffix = "jsonl"

    def write(self, rows: pl.DataFrame, schema: Mapping[str, str], path: Path) -> None:
        path.write_bytes(json_lines(rows, schema).encode())


class PackedJsonLinesWriter(Writer):
    """A JSON object per line, packed with zstd."""

    name = "jsonl.zst"
    suffix = "jsonl.zst"

    def write(self, rows: pl.DataFrame, schema: Mapping[str, str], path: Path) -> None:
        import zstandard

        path.write_bytes(zstandard.ZstdCompressor().compress(json_lines(rows, schema).encode()))
