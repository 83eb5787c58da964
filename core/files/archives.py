"""Archives: files that are packed into one, and unpacked no further than text can be packed."""

from __future__ import annotations

import bz2
import gzip
import lzma
from collections.abc import Mapping
from typing import Any

from datachef.core.files.storage import MOST_EXPANSION, MOST_UNPACKED
from datachef.core.source import BrokenFileError

_OPENERS: Mapping[str, Any] = {
    ".gz": gzip.open,
    ".tgz": gzip.open,
    ".bz2": bz2.open,
    ".tbz2": bz2.open,
    ".xz": lzma.open,
    ".txz": lzma.open,
}

_STEP = 2**20


def archive_in(packed: Any, size: int, kind: str, name: str) -> Any:
    """The filesystem of an open zip or tar of so many bytes; a tar's name tells its compression.

    Raises `BrokenFileError` where far more comes out of a tar than text can be packed into it, and
    an error of `storage.DAMAGED` for one that is cut off, damaged or no archive.
    """
    import fsspec

    filesystem = fsspec.get_filesystem_class(kind)
    if kind == "zip":
        return filesystem(packed, skip_instance_cache=True)
    opener = next((_OPENERS[suffix] for suffix in _OPENERS if name.lower().endswith(suffix)), None)
    unpacked = _Unpacked(opener(packed) if opener else packed, size)
    found = filesystem(unpacked, skip_instance_cache=True)
    while opener and unpacked.read(_STEP):  # to its end, where the checksum is
        pass
    return found


def refuse_expansion(name: str, info: Mapping[str, Any]) -> None:
    """Raises `BrokenFileError` for a file of a zip that was made to fill a disk."""
    packed, size = info.get("compress_size"), info.get("size") or 0
    if packed is not None and size > _most(packed):
        raise _expands(f"{packed:,} bytes of {name!r}", size)


def _most(packed: int) -> int:
    """How much may come out of a file that is packed."""
    return max(MOST_UNPACKED, MOST_EXPANSION * packed)


def _expands(what: str, size: int) -> BrokenFileError:
    return BrokenFileError(
        f"{what} unpack to {size:,} or more",
        "no text is so much larger than it is packed; if it is meant so, unpack it and name the "
        "unpacked file",
    )


class _Unpacked:
    """What comes out of a tar of so many bytes, read and skipped no further than it may be long."""

    def __init__(self, stream: Any, packed: int) -> None:
        self._stream = stream
        self._packed = packed

    def read(self, size: int = -1) -> bytes:
        self._refuse(self.tell() + max(size, 0) - _STEP)
        return bytes(self._stream.read(size if size >= 0 else _most(self._packed)))

    def seek(self, offset: int, whence: int = 0) -> int:
        self._refuse(offset)
        return int(self._stream.seek(offset, whence))

    def tell(self) -> int:
        return int(self._stream.tell())

    def close(self) -> None:
        self._stream.close()

    def _refuse(self, position: int) -> None:
        if position > _most(self._packed):
            raise _expands(f"{self._packed:,} bytes of this archive", position)
