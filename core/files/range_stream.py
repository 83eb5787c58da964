"""A file behind a URL as a stream, of which the next bytes are under way while others are read."""

from __future__ import annotations

import io
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from datachef.core.files.ranges import NoRangesError, ranged
from datachef.core.files.urls import Place

# The first request is small, as some are read for their first rows alone; each next one is twice
# as large, up to a limit.
FIRST_BYTES = 256 * 2**10
_MOST_BYTES = 4 * 2**20
# What is asked for beyond the place where reading is to end: most lines are no longer.
_BEYOND = 16 * 2**10


class RangeStream(io.RawIOBase):
    """Reads from any place on. Raises `OSError` where bytes do not come.

    Of a server that gives whole files alone it reads the stream that its filesystem opens.
    """

    def __init__(self, place: Place, size: int) -> None:
        self._place, self._size = place, size
        self._end = size
        self._position = 0
        self._start, self._block = 0, b""
        self._step = FIRST_BYTES
        self._next: tuple[int, Future[bytes]] | None = None
        self._threads = ThreadPoolExecutor(1, "reading-ahead")
        self._whole: Any = None

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._size}[whence]
        self._position = base + offset
        return self._position

    def until(self, end: int) -> None:
        """Says where reading is to end, about: no more is asked for ahead."""
        self._end = min(end + _BEYOND, self._size)

    def readinto(self, buffer: Any) -> int:
        offset = self._position - self._start
        if not 0 <= offset < len(self._block):
            self._start, self._block, offset = self._position, self._read(len(buffer)), 0
        found = self._block[offset : offset + len(buffer)]
        buffer[: len(found)] = found
        self._position += len(found)
        return len(found)

    def _read(self, wanted: int) -> bytes:
        if self._position >= self._size:
            return b""
        if self._whole is None:
            try:
                return self._block_at(self._position)
            except NoRangesError:
                self._whole = self._place.filesystem.open(self._place.path, "rb")
        self._whole.seek(self._position)
        return bytes(self._whole.read(wanted))

    def _block_at(self, position: int) -> bytes:
        if self._next is not None and self._next[0] == position:
            raw = self._next[1].result()
        else:
            raw = self._asked(position)
        following = position + len(raw)
        self._next = None
        if following < self._end:
            self._step = min(2 * self._step, _MOST_BYTES)
            self._next = following, self._threads.submit(self._asked, following)
        return raw

    def _asked(self, position: int) -> bytes:
        end = self._end if position < self._end else min(position + _BEYOND, self._size)
        return ranged(self._place, [(position, min(position + self._step, end))])[0]

    def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)
        if self._whole is not None:
            self._whole.close()
        super().close()


def stream_of(place: Place) -> Any:
    """A file behind a URL, opened to be read; by ranges where its filesystem asks for them, and
    does not open the file for each."""
    if place.url.is_remote and not place.url.archive and place.filesystem.async_impl:
        size = place.filesystem.info(place.path).get("size")
        if size:
            return RangeStream(place, int(size))
    return place.filesystem.open(place.path, "rb")
