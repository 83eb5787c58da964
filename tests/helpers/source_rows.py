"""Rows as files have them, and what a source of files reads of them.

The rows hold letters of two bytes, so that places in a file are no places in its text.
"""

from __future__ import annotations

import json
from typing import Any

import zstandard

from datachef.core import RawRow
from datachef.plugins.sources.files import FileSource

ROWS = [{"text": f"row {i} ünï", "n": i} for i in range(30)]
LINES = b"".join(json.dumps(row).encode() + b"\n" for row in ROWS)
TEXTS = [row["text"] for row in ROWS]


def read(source: FileSource) -> list[RawRow]:
    """All rows, with lines counted from the start of the file as a run counts them."""
    rows: list[RawRow] = []
    lines: dict[str, int] = {}
    for partition in source.partitions():
        before = lines.get(partition.name, 0)
        for raw in source.read(partition):
            lines[partition.name] = before + raw.line
            if raw.data is not None or raw.reason:
                rows.append(raw._replace(line=before + raw.line))
    return rows


def texts(path: object, **options: Any) -> list[str]:
    """The texts of all rows that could be read."""
    paths = tuple(map(str, path)) if isinstance(path, list) else str(path)
    return [raw.data["text"] for raw in read(FileSource(path=paths, **options)) if raw.data]


def zst(*frames: bytes) -> bytes:
    """Frames of Zstandard, one after the other."""
    return b"".join(zstandard.ZstdCompressor().compress(frame) for frame in frames)
