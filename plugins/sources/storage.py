"""Files by path or URL: finding them, telling one version from another, opening them."""

from __future__ import annotations

import glob
import gzip
import io
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, cast

from datachef.core.source import SourceError

COMPRESSED = (".gz", ".zst")


@dataclass(frozen=True)
class File:
    """One file: its path or URL, a short name unique among its siblings, identity and size."""

    path: str
    name: str
    identity: str
    size: int


def is_url(path: str) -> bool:
    return "://" in path


def find(patterns: Iterable[str]) -> list[File]:
    """All files that the patterns match, sorted within each pattern, without repetition.

    Raises `SourceError` for a pattern that matches no file.
    """
    found: dict[str, tuple[str, int]] = {}
    for pattern in patterns:
        matches = _remote(pattern) if is_url(pattern) else _local(pattern)
        if not matches:
            raise SourceError("no_file", f"no file matches {pattern!r}", _nearby(pattern))
        for path, identity, size in matches:
            found.setdefault(path, (identity, size))
    names = _short_names(list(found))
    return [File(path, names[path], identity, size) for path, (identity, size) in found.items()]


def _local(pattern: str) -> list[tuple[str, str, int]]:
    plain = Path(pattern)
    if plain.is_dir():
        raise SourceError(
            "is_folder",
            f"{pattern!r} is a folder",
            f"name its files, for example {pattern}/*.jsonl",
        )
    paths = [pattern] if plain.is_file() else glob.glob(pattern, recursive=True)  # noqa: PTH207
    matches = []
    for path in sorted(paths):
        status = os.stat(path)  # noqa: PTH116 - the paths are strings throughout
        if Path(path).is_file():
            identity = f"{status.st_size}-{status.st_mtime_ns}"
            matches.append((os.path.realpath(path), identity, status.st_size))
    return matches


def _remote(pattern: str) -> list[tuple[str, str, int]]:
    import fsspec

    protocol = pattern.split("://", 1)[0]
    try:
        filesystem, stripped = fsspec.core.url_to_fs(pattern)
        magic = any(mark in stripped for mark in "*?[")
        paths = sorted(filesystem.glob(stripped)) if magic else [stripped]
        matches = []
        for path in paths:
            info = filesystem.info(path)
            if info.get("type") == "file":
                url = path if is_url(path) else f"{protocol}://{path.lstrip('/')}"
                matches.append((url, str(filesystem.ukey(path)), int(info.get("size") or 0)))
    except FileNotFoundError:
        return []
    except ImportError as error:
        raise SourceError("missing_package", str(error), "install the fsspec package it names")
    except ValueError as error:
        raise SourceError("bad_url", f"{pattern!r}: {error}")
    except Exception as error:  # noqa: BLE001 - each filesystem raises its own kinds
        raise SourceError("unreachable", f"{pattern!r}: {type(error).__name__}: {error}")
    return matches


def _nearby(pattern: str) -> str:
    if is_url(pattern):
        return "check the address and your access to it"
    folder = Path(pattern.split("*", 1)[0])
    while not folder.is_dir():
        folder = folder.parent
    names = sorted(entry.name for entry in folder.iterdir())[:5]
    return f"{folder} holds {', '.join(names) or 'nothing'}"


def _short_names(paths: Sequence[str]) -> dict[str, str]:
    if len(paths) == 1:
        return {paths[0]: paths[0].rsplit("/", 1)[-1]}
    folders = {path.rsplit("/", 1)[0].split("/")[0] if is_url(path) else "/" for path in paths}
    if len(folders) > 1 or any(is_url(path) for path in paths):
        common = os.path.commonprefix(list(paths)).rsplit("/", 1)[0]
    else:
        common = os.path.commonpath([os.path.dirname(path) for path in paths])  # noqa: PTH120
    return {path: path[len(common) :].lstrip("/") for path in paths}


def opened(path: str) -> BinaryIO:
    """The file as a stream of bytes, decompressed by its suffix; every call opens it anew."""
    if is_url(path):
        import fsspec

        raw = fsspec.open(path, "rb").open()
    else:
        raw = open(path, "rb")  # noqa: SIM115, PTH123 - handed to the caller
    if path.endswith(".gz"):
        return cast(BinaryIO, io.BufferedReader(gzip.GzipFile(fileobj=raw, mode="rb"), 1 << 20))
    if path.endswith(".zst"):
        import zstandard

        reader = zstandard.ZstdDecompressor().stream_reader(raw, read_across_frames=True)
        return cast(BinaryIO, io.BufferedReader(reader, 1 << 20))
    return cast(BinaryIO, raw)


def kind(path: str) -> str:
    """The suffix that tells the format, without compression: `jsonl` for `a.jsonl.gz`."""
    name = path.rsplit("/", 1)[-1].lower()
    for suffix in COMPRESSED:
        name = name.removesuffix(suffix)
    return name.rsplit(".", 1)[-1] if "." in name else ""
