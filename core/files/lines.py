"""Lines of a byte stream, bounded in size whatever the file holds."""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

from datachef.core.files.storage import BROKEN

MAX_ROW_BYTES = 64 * 2**20


class Line(NamedTuple):
    """One line: the offset of its first byte, its size, and its bytes or what is wrong with it."""

    offset: int
    size: int
    raw: bytes
    reason: str = ""
    detail: str = ""


def lines(
    stream: BinaryIO, start: int = 0, stop: int | None = None, limit: int = MAX_ROW_BYTES
) -> Iterator[Line]:
    """The lines whose first byte lies in [start, stop), with the newline.

    A line longer than `limit` bytes is passed over without being held in memory. A stream that
    breaks off in its compression ends with a line that says so.
    """
    offset = start
    try:
        if start:
            stream.seek(start - 1)
            offset = start - 1 + _rest(stream)
        while stop is None or offset < stop:
            raw = stream.readline(limit + 1)
            if not raw:
                return
            size = len(raw)
            if size > limit and not raw.endswith(b"\n"):
                raw = b""
                size += _rest(stream)
                yield Line(offset, size, b"", "row_too_large", f"a row of {size:,} bytes")
            else:
                yield Line(offset, size, raw)
            offset += size
    except BROKEN as error:
        yield Line(offset, 0, b"", "broken_file", f"the file cannot be read on from here: {error}")


def _rest(stream: BinaryIO) -> int:
    """Reads to the end of the current line and tells how many bytes that was."""
    size = 0
    while chunk := stream.readline(1 << 20):
        size += len(chunk)
        if chunk.endswith(b"\n"):
            break
    return size
