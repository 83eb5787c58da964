"""Opens files by path or URL, decompressed and out of archives, bounded in size."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import re
import tarfile
import zipfile
import zlib
from codecs import BOM_UTF8
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, cast

import zstandard

from datachef.core.contracts.reader import Holds
from datachef.core.contracts.source import BrokenFileError
from datachef.core.files.range_stream import RangeStream, stream_of
from datachef.core.files.urls import Place
from datachef.core.system.failures import raise_environment_failure
from datachef.core.system.network import NOWHERE, Network, NotAllowedError, refusal_in
from datachef.core.system.paths import is_url

_BEGINNINGS = {".gz": rb"\x1f\x8b", ".zst": rb"\x28\xb5\x2f\xfd|[\x50-\x5f]\x2a\x4d\x18"}
COMPRESSED = (".gz", ".zst")
# How files begin that hold no text, whatever they are called, and what they are.
OTHER_THAN_TEXT = {
    b"\x1f\x8b": "gzip", b"\x28\xb5\x2f\xfd": "zstd", b"PK\x03\x04": "zip", b"\xfd7zXZ\x00": "xz",
    b"7z\xbc\xaf\x27\x1c": "7z", b"PAR1\x15": "Parquet", b"%PDF-1.": "PDF", b"\x89PNG\r\n": "PNG",
}  # fmt: skip
# What git leaves in the place of a large file that was not fetched.
LFS_POINTER = b"version https://git-lfs.github.com/spec/"
# A page, such as a server sends it in place of a file.
_HTML = re.compile(rb"\s*<(?:!doctype\s+html|html|head)[\s>]", re.IGNORECASE)
# What a file that is cut off or damaged raises; any other error is one of the disk or the network.
DAMAGED = (
    EOFError, gzip.BadGzipFile, lzma.LZMAError, tarfile.TarError, zipfile.BadZipFile, zlib.error,
    zstandard.ZstdError,
)  # fmt: skip
# The largest window that zstd can be told to use (`--long=31`); it is taken only where it is used.
MAX_WINDOW = 2**31
# What comes out of a compressed file may be so much, and then so many times what went in. Text is
# rarely 20 times smaller when it is packed.
MOST_UNPACKED = 2**30
MOST_EXPANSION = 200


def is_compressed(path: str) -> bool:
    return own_part(path).lower().endswith(COMPRESSED)


def kind(path: str) -> str:
    """The suffix that tells the format, without compression: `jsonl` for `a.jsonl.gz`."""
    name = own_part(path).rsplit("/", 1)[-1].lower()
    for suffix in COMPRESSED:
        name = name.removesuffix(suffix)
    return name.rsplit(".", 1)[-1] if "." in name else ""


def own_part(path: str) -> str:
    """The part of a path or URL that ends in the file's name: no archive around it, no query."""
    if not is_url(path):
        return path
    head, _, outer = path.partition("::")
    return (head if is_url(head) else outer).partition("?")[0]


class OpenFile:
    """A file that is read from its beginning: its content, and how far into it that is."""

    def __init__(self, path: str, network: Network) -> None:
        self._packed: Any = (
            _Remote(path, network) if is_url(path) else open(path, "rb", 1 << 20)  # noqa: SIM115, PTH123
        )
        try:
            self.raw = self._unpacked(path)
        except BaseException:
            self.close()
            raise

    def _unpacked(self, path: str) -> Any:
        if not is_compressed(path):
            return self._packed
        if not self._packed.peek(1):
            raise EOFError("a compressed file is never empty, and this one holds no byte")
        return (_Gzip if own_part(path).lower().endswith(".gz") else _Zstd)(self._packed)

    @property
    def bytes_read(self) -> int:
        """How many bytes of the file, as it is stored, were taken; 0 where that is not known."""
        try:
            return int(self._packed.tell())
        except (OSError, ValueError):
            return 0

    def until(self, end: int) -> None:
        """Says where in the file, as it is stored, reading is to end, about."""
        if isinstance(self._packed, _Remote):
            self._packed.until(end)

    def stream(self) -> BinaryIO:
        """The content, unpacked."""
        if self.raw is self._packed:
            return cast(BinaryIO, self._packed)
        return cast(BinaryIO, io.BufferedReader(self.raw, 1 << 20))

    def close(self) -> None:
        self._packed.close()


@contextmanager
def opened(path: str, size: int = 0, network: Network = NOWHERE) -> Iterator[OpenFile]:
    """The file, closed in the end. Whatever goes wrong while it is read is a `BrokenFileError`.

    One that is read through and turns out shorter than `size` broke off as well. What a URL may
    lead to, `network` says.
    """
    file = None
    try:
        file = OpenFile(path, network)
        yield file
        if file.bytes_read < size and not file.raw.read(1):
            raise EOFError(f"it ends there, and had {size:,} bytes")
    except DAMAGED as error:
        raise _broken(file, str(error), passing=False) from error
    except (OSError, NotAllowedError) as error:
        detail = str(refusal_in(error) or getattr(error, "strerror", None) or error)
        raise _broken(file, detail, passing=True) from error
    finally:
        if file is not None:
            file.close()


def _broken(file: OpenFile | None, detail: str, *, passing: bool) -> BrokenFileError:
    return BrokenFileError(detail, bytes_read=file.bytes_read if file else 0, passing=passing)


class _Remote(io.BufferedReader):
    """A file behind a URL: holds on to its filesystem, and bounds `readline`, as not all can."""

    def __init__(self, url: str, network: Network) -> None:
        self._place = Place(url, network)
        try:
            stream = stream_of(self._place)
        except RuntimeError as error:  # an archive's file that is encrypted, or packed in a new way
            raise BrokenFileError(str(error)) from error
        super().__init__(stream, 1 << 20)

    def until(self, end: int) -> None:
        """Says where reading is to end, so that not much more is transferred."""
        if isinstance(self.raw, RangeStream):
            self.raw.until(end)


class _Expansion:
    """Counts what comes out of a compressed file, and refuses one that is made to fill a disk."""

    def __init__(self, packed: BinaryIO) -> None:
        self._packed = packed
        self._unpacked = 0

    def add(self, size: int) -> None:
        """Counts bytes. Raises `BrokenFileError` where they are too many for the file."""
        self._unpacked += size
        if self._unpacked > MOST_UNPACKED:
            packed = self._packed.tell()
            if self._unpacked > MOST_EXPANSION * packed:
                raise BrokenFileError(
                    f"{packed:,} bytes of it unpack to more than {self._unpacked:,}",
                    "no text is so much larger than it is packed; if it is meant so, unpack it "
                    "and name the unpacked file",
                    bytes_read=packed,
                )


class _Gzip(gzip.GzipFile):
    """A gzip stream that gives all there is before a damage."""

    def __init__(self, packed: BinaryIO) -> None:
        super().__init__(fileobj=packed, mode="rb")
        self._expansion = _Expansion(packed)

    def readinto(self, buffer: Any) -> int:
        unpacked = self.read1(len(buffer))
        self._expansion.add(len(unpacked))
        buffer[: len(unpacked)] = unpacked
        return len(unpacked)


class _Zstd(io.RawIOBase):
    """A zstd stream that raises where it breaks off, which the library passes over in silence.

    It is fed in pieces so small that what comes out of one stays small however it was compressed.
    """

    def __init__(self, packed: BinaryIO) -> None:
        self._packed = packed
        self._expansion = _Expansion(packed)
        self._frame: Any = None
        self._piece = b""
        self._unpacked = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._unpacked:
            piece = self._piece or self._packed.read(1024)
            if not piece:
                if self._frame is not None:
                    raise EOFError("the compressed file breaks off")
                return 0
            if self._frame is None:
                whole = zstandard.ZstdDecompressor(max_window_size=MAX_WINDOW)
                self._frame = whole.decompressobj()
            self._unpacked = memoryview(self._frame.decompress(piece))
            self._expansion.add(len(self._unpacked))
            self._piece = self._frame.unused_data
            if self._frame.eof:
                self._frame = None
        size = min(len(buffer), len(self._unpacked))
        buffer[:size] = self._unpacked[:size]
        self._unpacked = self._unpacked[size:]
        return size


def content_of(path: str, network: Network = NOWHERE) -> Path | io.BytesIO:
    """What polars reads a binary file from: its path, or its bytes where it lies behind a URL."""
    if not is_url(path):
        return Path(path)
    with opened(path, network=network) as file:
        return io.BytesIO(file.stream().read())


def wrong_beginning(path: str, holds: Holds) -> str:
    """Why a local file is not what its name says, by its first bytes: not compressed so, or no text
    at all, or a page where rows were promised; empty where nothing speaks against it."""
    suffix = os.path.splitext(path)[1].lower()  # noqa: PTH122 - asked of many files
    if suffix not in _BEGINNINGS and holds == "binary":
        return ""
    try:
        with open(path, "rb") as stream:  # noqa: PTH123 - likewise
            found = stream.read(4 if suffix in _BEGINNINGS else 64)
    except OSError as error:
        raise_environment_failure(error, path)
        return error.strerror or str(error)
    if suffix not in _BEGINNINGS:
        if found.startswith(LFS_POINTER):
            return "it is a pointer of Git LFS, not the file itself: git lfs pull"
        kinds = (kind for magic, kind in OTHER_THAN_TEXT.items() if found.startswith(magic))
        page = holds == "rows" and _HTML.match(found.removeprefix(BOM_UTF8))
        kind = next(kinds, "HTML" if page else "")
        return f"it is {kind} data, which its name does not say" if kind else ""
    if not found or re.match(_BEGINNINGS[suffix], found, re.DOTALL):
        return ""
    kind = "gzipped" if suffix == ".gz" else "zstd"
    return f"Not a {kind} file: it begins with {found!r}"


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
    """The filesystem of an open zip or tar of `size` bytes; a tar's name tells its compression.

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


@contextmanager
def _damage_told() -> Iterator[None]:
    """What bz2 raises for damaged data, like an error of the disk, as one of `DAMAGED`."""
    try:
        yield
    except OSError as error:
        if error.errno is None and str(error) == "Invalid data stream":
            raise tarfile.ReadError("its compressed data is damaged") from error
        raise


class _Unpacked:
    """What comes out of a tar of `size` bytes, read and skipped no further than it may be long."""

    def __init__(self, stream: Any, packed: int) -> None:
        self._stream = stream
        self._packed = packed

    def read(self, size: int = -1) -> bytes:
        self._refuse(self.tell() + max(size, 0) - _STEP)
        with _damage_told():
            return bytes(self._stream.read(size if size >= 0 else _most(self._packed)))

    def seek(self, offset: int, whence: int = 0) -> int:
        self._refuse(offset)
        with _damage_told():
            return int(self._stream.seek(offset, whence))

    def tell(self) -> int:
        return int(self._stream.tell())

    def close(self) -> None:
        self._stream.close()

    def _refuse(self, position: int) -> None:
        if position > _most(self._packed):
            raise _expands(f"{self._packed:,} bytes of this archive", position)
