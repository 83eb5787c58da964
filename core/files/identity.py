"""Telling one content of a file from another without reading all of it."""

from __future__ import annotations

import os
import stat
from hashlib import blake2b
from pathlib import Path

BLOCK = 64 * 2**10


def file_identity(path: str | Path) -> str:
    """Changes whenever a local file holds something else; the path is no part of it.

    A file of up to two blocks is read as a whole, and nothing but its content counts. Of a larger
    one the size, the first and the last block, and the times count, with the time of the last
    change of its inode, which nothing sets back: a file that is rewritten in its middle and given
    its old date is seen, and so is one that is only copied or renamed. Raises `OSError`.
    """
    with open(path, "rb") as stream:  # noqa: PTH123 - thousands at the start of a run
        status = os.fstat(stream.fileno())
        digest = blake2b(stream.read(BLOCK), digest_size=16)
        if status.st_size > BLOCK:
            stream.seek(max(BLOCK, status.st_size - BLOCK))
            digest.update(stream.read(BLOCK))
    identity = f"{status.st_size}-{digest.hexdigest()}"
    if status.st_size <= 2 * BLOCK:
        return identity
    return f"{identity}-{status.st_mtime_ns}-{status.st_ctime_ns}"


def path_identity(path: str | Path) -> list[list[str]]:
    """The identity of a file, or of every file of a folder by its path within; nothing where there
    is neither."""
    place = Path(path)
    try:
        if stat.S_ISREG(place.stat().st_mode):
            return [["", file_identity(place)]]
        files = sorted(inner for inner in place.rglob("*") if inner.is_file())
        return [[str(inner.relative_to(place)), file_identity(inner)] for inner in files]
    except OSError:
        return []
