"""Files by path or URL: finding them, telling one version from another, opening them."""

from __future__ import annotations

import glob
import gzip
import io
import os
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, cast

import zstandard

from datachef.core.source import SourceError

COMPRESSED = (".gz", ".zst")
# What a compressed file that is damaged raises; any other error is one of the disk or the network.
BROKEN = (EOFError, gzip.BadGzipFile, zlib.error, zstandard.ZstdError)


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
        if Path(path).is_file():
            status = os.stat(path)  # noqa: PTH116 - the paths are strings throughout
            identity = f"{status.st_size}-{status.st_mtime_ns}"
            # Not resolved: a link's own name has the suffix, what it points to need not.
            matches.append((os.path.abspath(path), identity, status.st_size))  # noqa: PTH100
    return matches


def _remote(pattern: str) -> list[tuple[str, str, int]]:
    import fsspec

    head, chained, outer = pattern.partition("::")
    try:
        filesystem, stripped = fsspec.core.url_to_fs(pattern)
        magic = any(mark in stripped for mark in "*[")
        paths = sorted(filesystem.glob(stripped)) if magic else [stripped]
        matches = []
        for path in paths:
            info = filesystem.info(path)
            if info.get("type") == "file":
                url = str(filesystem.unstrip_protocol(path))
                url = url + chained + outer if is_url(head) else head + chained + url
                matches.append((url, str(filesystem.ukey(path)), int(info.get("size") or 0)))
    except FileNotFoundError:
        return []
    except ImportError as error:
        raise SourceError("missing_package", str(error), "install what it names") from error
    except ValueError as error:
        raise SourceError("bad_url", f"{pattern!r}: {error}") from error
    except Exception as error:
        raise SourceError("unreachable", f"{pattern!r}: {type(error).__name__}: {error}") from error
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
        return {paths[0]: _own(paths[0]).rsplit("/", 1)[-1]}
    own = [_own(path) for path in paths]
    if len(set(own)) < len(own):
        own = list(paths)
    common = os.path.commonprefix(own).rpartition("/")[0]  # noqa: RUF071 - cut at a slash
    return {path: name[len(common) :].lstrip("/") for path, name in zip(paths, own, strict=True)}


def _own(path: str) -> str:
    """The part of a path or URL that ends in the file's name: no archive around it, no query."""
    if not is_url(path):
        return path
    head, _, outer = path.partition("::")
    return (head if is_url(head) else outer).partition("?")[0]


def opened(path: str) -> BinaryIO:
    """The file as a stream of bytes, decompressed by its suffix; every call opens it anew."""
    raw: Any = _Remote(path) if is_url(path) else open(path, "rb", 1 << 20)  # noqa: SIM115, PTH123
    match Path(_own(path)).suffix.lower():
        case ".gz":
            unpacked: Any = _Gzip(raw)
        case ".zst":
            unpacked = _Zstd(raw)
        case _:
            return cast(BinaryIO, raw)
    return cast(BinaryIO, io.BufferedReader(unpacked, 1 << 20))


def is_compressed(path: str) -> bool:
    return _own(path).lower().endswith(COMPRESSED)


def kind(path: str) -> str:
    """The suffix that tells the format, without compression: `jsonl` for `a.jsonl.gz`."""
    name = _own(path).rsplit("/", 1)[-1].lower()
    for suffix in COMPRESSED:
        name = name.removesuffix(suffix)
    return name.rsplit(".", 1)[-1] if "." in name else ""


class _Remote(io.BufferedReader):
    """A file behind a URL: holds on to its filesystem, and bounds `readline`, as not all can."""

    def __init__(self, url: str) -> None:
        import fsspec

        self._origin = fsspec.open(url, "rb")
        super().__init__(self._origin.open(), 1 << 20)


class _Gzip(gzip.GzipFile):
    """A gzip stream that closes the file it reads, and gives all there is before a damage."""

    def __init__(self, raw: BinaryIO) -> None:
        super().__init__(fileobj=raw, mode="rb")
        self._packed = raw

    def readinto(self, buffer: Any) -> int:
        unpacked = self.read1(len(buffer))
        buffer[: len(unpacked)] = unpacked
        return len(unpacked)

    def close(self) -> None:
        super().close()
        self._packed.close()


class _Zstd(io.RawIOBase):
    """A zstd stream that raises where it breaks off, which the library passes over in silence.

    It is fed in pieces so small that what comes out of one stays small however it was compressed.
    """

    def __init__(self, raw: BinaryIO) -> None:
        self._raw = raw
        self._frame: Any = None
        self._packed = b""
        self._unpacked = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._unpacked:
            packed = self._packed or self._raw.read(1024)
            if not packed:
                if self._frame is not None:
                    raise EOFError("the compressed file breaks off")
                return 0
            self._frame = self._frame or zstandard.ZstdDecompressor().decompressobj()
            self._unpacked = memoryview(self._frame.decompress(packed))
            self._packed = self._frame.unused_data
            if self._frame.eof:
                self._frame = None
        size = min(len(buffer), len(self._unpacked))
        buffer[:size] = self._unpacked[:size]
        self._unpacked = self._unpacked[size:]
        return size

    def close(self) -> None:
        self._raw.close()
        super().close()
