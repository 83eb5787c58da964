"""Names of results: the hash of everything that they depend on."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import orjson

from datachef.core.operator import Operator


def key_of(*parts: Any) -> str:
    """A hexadecimal name for plain data."""
    raw = orjson.dumps(parts, option=orjson.OPT_SORT_KEYS)
    return hashlib.blake2b(raw, digest_size=16).hexdigest()


def seed_of(seed: int, path: str) -> int:
    """The seed of one step: the recipe's, made different for each place in it."""
    digest = hashlib.blake2b(f"{seed}:{path}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little") >> 1


def operator_identity(operator: Operator) -> dict[str, Any]:
    """An operator's identity with that of the files it reads."""
    files = [[file, _file_identity(file)] for file in operator.files()]
    return operator.identity() | ({"files": files} if files else {})


def _file_identity(file: str) -> list[int]:
    try:
        status = Path(file).stat()
    except OSError:
        return []
    return [status.st_size, status.st_mtime_ns]
