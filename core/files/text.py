"""Text files: their encoding, their line ends, and their lines, bounded in size."""

from __future__ import annotations

import codecs
import io
from collections.abc import Iterator
from typing import Any, BinaryIO, NamedTuple

from datachef.core.contracts.source import BrokenFileError
from datachef.core.errors import MAX_ROW_BYTES, ROW_TOO_LARGE
from datachef.core.files.storage import LFS_POINTER, OTHER_THAN_TEXT, OpenFile

HEAD_BYTES = 1 << 16
BOM = codecs.BOM_UTF8

# UTF-32's mark begins with UTF-16's: it is looked for first.
_MARKS = {
    codecs.BOM_UTF8: "utf-8",
    codecs.BOM_UTF32_LE: "utf-32-le",
    codecs.BOM_UTF32_BE: "utf-32-be",
    codecs.BOM_UTF16_LE: "utf-16-le",
    codecs.BOM_UTF16_BE: "utf-16-be",
}
_SWAP = bytes.maketrans(b"\r\n", b"\n\r")
# Stands for bytes that are not text in their encoding; no UTF-8 holds it, so its row is not read.
_UNDECODABLE = "\udcff"

codecs.register_error("datachef.undecodable", lambda error: (_UNDECODABLE, error.end))  # type: ignore[attr-defined]


class Line(NamedTuple):
    """One line: the offset of its first byte, its size, and its bytes or what is wrong with it."""

    offset: int
    size: int
    raw: bytes
    reason: str = ""
    detail: str = ""


class TextFile(NamedTuple):
    """A text file that is open: a stream of UTF-8 from its beginning, without a byte order mark.

    `plain` says that the stream holds the very bytes of the file; `skipped` of them came before.
    """

    stream: io.BufferedReader
    encoding: str
    newline: bytes
    head: bytes
    plain: bool
    skipped: int = 0

    @property
    def not_decodable(self) -> str:
        """The reason for which a row fails that holds bytes which are not text."""
        return f"not_{self.encoding.replace('-', '_')}" if self.encoding != "utf-8" else "not_utf8"


def text_of(file: OpenFile, encoding: str | None) -> TextFile:
    """A file as text. Raises `BrokenFileError` where its first bytes say that it is none."""
    first = _Head(file.raw)
    mark = next((mark for mark in _MARKS if first.head.startswith(mark)), b"")
    for magic, name in OTHER_THAN_TEXT.items():
        if first.head.startswith(magic):
            raise BrokenFileError(f"it is {name} data, which its name does not say", "rename it")
    said = _MARKS.get(mark)
    if said and encoding and encoding not in (said, said[:6]):
        raise BrokenFileError(
            f"it begins with the byte order mark of {said}, which is not {encoding}",
            "leave `encoding` out to read it by its mark",
        )
    if first.head.startswith(LFS_POINTER):
        raise BrokenFileError("it is a pointer of Git LFS, not the file itself", "git lfs pull")
    first.skip(len(mark))
    used = said or encoding or "utf-8"
    plain = used == "utf-8"
    content = first if plain else _Head(_Transcoded(first, used))
    head = content.head.removesuffix(b"\r")  # what follows it may be its LF
    newline = b"\r" if b"\r" in head and b"\n" not in head else b"\n"
    return TextFile(
        _buffered(content), used, newline, content.head, plain, len(mark) if plain else 0
    )


def lines(text: TextFile, limit: int = MAX_ROW_BYTES) -> Iterator[Line]:
    """All lines, with what ends them."""
    if text.newline == b"\n":
        return lines_between(text.stream, text.skipped, None, limit)
    swapped = lines_between(_buffered(_Swapped(text.stream)), text.skipped, None, limit)
    return (line._replace(raw=line.raw.translate(_SWAP)) for line in swapped)


def lines_between(
    stream: BinaryIO, offset: int, stop: int | None, limit: int = MAX_ROW_BYTES
) -> Iterator[Line]:
    """The lines whose first byte lies in [offset, stop) of a stream that stands at `offset`.

    A line longer than `limit` bytes is passed over without being held in memory. Raises `EOFError`
    where the stream ends before `stop`.
    """
    while stop is None or offset < stop:
        raw = stream.readline(limit + 1)
        if not raw:
            if stop is not None:
                raise EOFError(f"it ends at byte {offset:,} and had at least {stop:,}")
            return
        size = len(raw)
        if size > limit and not raw.endswith(b"\n"):
            size += rest_of_line(stream)
            yield Line(offset, size, b"", ROW_TOO_LARGE, f"a row of {size:,} bytes")
        else:
            yield Line(offset, size, raw)
        offset += size


def rest_of_line(stream: BinaryIO) -> int:
    """Reads to the end of the current line and tells how many bytes that was."""
    size = 0
    while chunk := stream.readline(1 << 20):
        size += len(chunk)
        if chunk.endswith(b"\n"):
            break
    return size


def _buffered(raw: io.RawIOBase) -> io.BufferedReader:
    return io.BufferedReader(raw, 1 << 20)


class _Head(io.RawIOBase):
    """A stream whose first bytes can be looked at; what fails while it looks fails in its place."""

    def __init__(self, raw: Any) -> None:
        self._raw = raw
        self._error: Exception | None = None
        head = memoryview(bytearray(HEAD_BYTES))
        size = 0
        try:
            while size < HEAD_BYTES and (read := raw.readinto(head[size:])):
                size += read
        except Exception as error:  # noqa: BLE001 - raised again where the bytes before it are read
            self._error = error
        self.head = bytes(head[:size])
        self._left = memoryview(self.head)

    def skip(self, size: int) -> None:
        """Passes over the first bytes."""
        self.head = self.head[size:]
        self._left = memoryview(self.head)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        if self._left:
            size = min(len(buffer), len(self._left))
            buffer[:size] = self._left[:size]
            self._left = self._left[size:]
            return size
        if self._error is not None:
            raise self._error
        read: int = self._raw.readinto(buffer)
        return read


class _Transcoded(io.RawIOBase):
    """Text of any encoding as UTF-8; what cannot be decoded becomes bytes that are not UTF-8."""

    def __init__(self, raw: Any, encoding: str) -> None:
        self._raw = raw
        self._decoder = codecs.getincrementaldecoder(encoding)("datachef.undecodable")
        self._left = memoryview(b"")
        self._ended = False

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._left and not self._ended:
            packed = self._raw.read(1 << 16)
            self._ended = not packed
            text = self._decoder.decode(packed, final=self._ended)
            self._left = memoryview(text.encode(errors="surrogatepass"))
        size = min(len(buffer), len(self._left))
        buffer[:size] = self._left[:size]
        self._left = self._left[size:]
        return size


class _Swapped(io.RawIOBase):
    """A stream with CR and LF in each other's place: lines that end in CR are read like others."""

    def __init__(self, raw: io.BufferedReader) -> None:
        self._raw = raw

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        chunk = self._raw.read1(len(buffer)).translate(_SWAP)
        buffer[: len(chunk)] = chunk
        return len(chunk)
