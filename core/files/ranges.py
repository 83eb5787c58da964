"""Parts of files behind URLs: asked for by their range of bytes, and again where that fails."""

from __future__ import annotations

import time
from collections.abc import Sequence
from itertools import pairwise
from tempfile import NamedTemporaryFile
from typing import Any

from datachef.core.files.urls import Place
from datachef.core.system.failures import raise_environment_failure
from datachef.core.system.network import Network, refusal_in

# So much is asked for by one request, and so many requests are under way at once.
REQUEST_BYTES = 8 * 2**20
_AT_ONCE = 4
_ATTEMPTS = 4
FIRST_PAUSE = 0.5
# The end of a file, where formats that seek have what they need first.
TAIL = 64 * 2**10


def ranged(place: Place, ranges: Sequence[tuple[int, int]]) -> list[bytes]:
    """The bytes of some ranges of a file, asked for at once. What breaks off is tried again.

    Raises `OSError` where one does not come, `NoRangesError` where whole files alone are given.
    """
    filesystem = place.filesystem
    # those that open a file for it would read ahead
    how = {} if filesystem.async_impl else {"cache_type": "none"}
    starts, ends = [start for start, _ in ranges], [end for _, end in ranges]
    for attempt in range(_ATTEMPTS):
        try:
            found = filesystem.cat_ranges(
                [place.path] * len(ranges), starts, ends, on_error="raise", **how
            )
        except Exception as error:
            raise_environment_failure(error)
            refused = refusal_in(error)
            lasting = refused is not None or isinstance(error, FileNotFoundError)
            if lasting or attempt == _ATTEMPTS - 1:
                told = str(refused or error) or type(error).__name__
                raise OSError(f"{place.url}: {told}") from error
        else:
            sizes = [
                len(raw) - (end - start) for raw, (start, end) in zip(found, ranges, strict=True)
            ]
            if not any(sizes):
                return [bytes(raw) for raw in found]
            if max(sizes) > 0:
                raise NoRangesError(f"{place.url}: its server gives whole files alone")
        time.sleep(FIRST_PAUSE * 2**attempt)
    raise OSError(f"{place.url}: it became shorter")


class NoRangesError(OSError):
    """Parts of the file are not to be had."""


class PartialCopy:
    """A file on this machine with those bytes of one behind a URL that were asked for.

    It is as long as the other one, and takes the disk only for what it has. It is gone with the
    object.
    """

    def __init__(self, url: str, network: Network) -> None:
        """Raises `NoRangesError` where there are no parts to be had, and whatever the filesystem
        raises where the file cannot be reached."""
        self._place = Place(url, network)
        info: dict[str, Any] = self._place.filesystem.info(self._place.path)
        if self._place.url.archive or not info.get("size"):
            raise NoRangesError(f"{url}: its size is not known")
        self.size = int(info["size"])
        self._file = NamedTemporaryFile(prefix="datachef-", suffix=".parquet")  # noqa: SIM115 - closed with it
        self._file.truncate(self.size)
        self._missing = [(0, self.size)]
        self.fetch(max(0, self.size - TAIL), self.size)

    @property
    def path(self) -> str:
        return self._file.name

    def read(self, start: int, size: int) -> bytes:
        """Bytes that are here."""
        self._file.seek(start)
        return self._file.read(size)

    def fetch(self, start: int, end: int) -> None:
        """Has the bytes of a range in the file, of which none is asked for twice."""
        wanted = [(max(a, start), min(b, end)) for a, b in self._missing if a < end and start < b]
        pieces = [
            piece
            for first, last in wanted
            for piece in pairwise([*range(first, last, REQUEST_BYTES), last])
        ]
        for at in range(0, len(pieces), _AT_ONCE):
            asked = pieces[at : at + _AT_ONCE]
            for (first, _), raw in zip(asked, ranged(self._place, asked), strict=True):
                self._file.seek(first)
                self._file.write(raw)
        self._file.flush()
        kept = [((a, min(b, start)), (max(a, end), b)) for a, b in self._missing]
        self._missing = [(a, b) for pair in kept for a, b in pair if a < b]
