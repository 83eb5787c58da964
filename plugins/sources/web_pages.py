"""Web pages: HTML files, and the records of web archives (WARC, and WET with extracted text)."""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator, Mapping
from io import UnsupportedOperation
from typing import Any, BinaryIO

from datachef.core import BrokenFileError, InputFile, RawRow, Reader, RowError, extra
from datachef.core.errors import MAX_ROW_BYTES, ROW_TOO_LARGE, is_panic, words_of

# Encodings of the web, by https://encoding.spec.whatwg.org, as Python calls them; others that a
# page may name are no encodings of text, or take long to decode.
_ENCODINGS = {
    "utf-8", "cp866", *(f"iso8859-{part}" for part in range(2, 17) if part not in (9, 11, 12)),
    "koi8-r", "koi8-u", "mac-roman", "mac-cyrillic", "cp874", *(f"cp125{n}" for n in range(9)),
    "gb18030", "big5hkscs", "euc_jp", "iso2022_jp", "cp932", "cp949", "utf-16-le", "utf-16-be",
}  # fmt: skip
# What a page that names the first is written in.
_MEANT = {
    "ascii": "cp1252", "iso8859-1": "cp1252", "iso8859-9": "cp1254", "iso8859-11": "cp874",
    "tis-620": "cp874", "gb2312": "gb18030", "gbk": "gb18030", "big5": "big5hkscs",
    "shift_jis": "cp932", "euc_kr": "cp949", "utf-16": "utf-16-le", "utf_8_sig": "utf-8",
}  # fmt: skip
_MARKS = {
    codecs.BOM_UTF8: "utf-8",
    codecs.BOM_UTF16_LE: "utf-16-le",
    codecs.BOM_UTF16_BE: "utf-16-be",
}
_META = re.compile(rb"""<meta[^>]{0,200}?charset\s*=\s*["']?\s*([\w.:-]{1,40})""", re.IGNORECASE)
_META_BYTES = 1024
# A page of which more than this share of the characters cannot be decoded is in another encoding.
_MOST_REPLACED = 0.01

_PAGES = ("text/html", "application/xhtml+xml", "text/plain")
_HEADER_BYTES = 2**16


def page_text(raw: bytes, charset: str | None = None) -> str:
    """The text of a page, decoded as browsers do: by its byte order mark, the `charset` of the
    server, what the page says itself, or else as UTF-8 or Windows-1252.

    Single bytes that are no characters become U+FFFD. Raises `RowError` where they are many.
    """
    for mark, name in _MARKS.items():
        if raw.startswith(mark):
            return _decoded(raw[len(mark) :], name)
    name = _encoding(charset or "")
    if not name and (meta := _META.search(raw, 0, _META_BYTES)):
        name = _encoding(meta[1].decode("ascii", "replace")).replace("utf-16-le", "utf-8")
    for encoding in dict.fromkeys((name or "utf-8", "utf-8")):
        try:
            return raw.decode(encoding)
        except UnicodeDecodeError:
            continue
    text = raw.decode(errors="replace")
    if not name and not _is_mostly_text(text):
        name = "cp1252"
    return _decoded(raw, name or "utf-8")


def _is_mostly_text(text: str) -> bool:
    return text.count("\ufffd") <= len(text) * _MOST_REPLACED


def _encoding(label: str) -> str:
    """The encoding that a page names; nothing for one that the web does not have."""
    try:
        name = codecs.lookup(label.strip().strip("\"'")).name if label.isascii() else ""
    except (LookupError, ValueError):
        return ""
    name = _MEANT.get(name, name)
    return name if name in _ENCODINGS else ""


def _decoded(raw: bytes, encoding: str) -> str:
    text = raw.decode(encoding, "replace")
    if not _is_mostly_text(text):
        raise RowError("not_decodable", f"it is not {encoding}, which it says or seems to be")
    return text


class HtmlReader(Reader):
    """HTML: a page per file, its markup as `text`."""

    name = "html"
    suffixes = ("html", "htm", "xhtml")
    holds = "markup"

    def read(self, file: InputFile, place: Mapping[str, Any]) -> Iterator[RawRow]:
        with file.open() as stream:
            raw = stream.read(MAX_ROW_BYTES + 1)
        if len(raw) > MAX_ROW_BYTES:
            detail = f"a page of more than {MAX_ROW_BYTES:,} bytes"
            yield RawRow(0, 1, len(raw), None, ROW_TOO_LARGE, detail)
            return
        try:
            yield RawRow(0, 1, len(raw), {"text": page_text(raw, file.options.encoding)})
        except RowError as error:
            yield RawRow(0, 1, len(raw), None, error.reason, str(error))


class WarcReader(Reader):
    """WARC and WET: a page per record, as `text` with `url` and `date`; HTML stays HTML.

    Records that are no pages (requests, metadata, other media types, errors of servers) are no
    rows; the ledger counts them as skipped, by what they are.
    """

    name = "warc"
    suffixes = ("warc", "wet")

    def requires(self) -> Mapping[str, str]:
        return {"fastwarc": extra("warc")}

    def read(self, file: InputFile, place: Mapping[str, Any]) -> Iterator[RawRow]:
        with file.open() as stream:
            archive = _Archive(stream)
            for number, record in enumerate(archive.records()):
                reason = detail = ""
                data, raw = None, b""
                try:
                    detail = _other(record)
                    if not detail:
                        raw = _body(record)
                        data = _page(record, raw)
                except RowError as error:
                    reason, detail = error.reason, str(error)
                size = len(raw) or min(record.content_length, MAX_ROW_BYTES)
                yield RawRow(number, number + 1, size, data, reason, detail)


class _Archive:
    """The records of a stream, as far as it can be read.

    The library reads ahead: an error of the stream is kept until the records before it are read.
    """

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._at = 0
        self._error: Exception | None = None

    def records(self) -> Iterator[Any]:
        """All records, each with its block in memory unless it is far too large for a row.

        A record is given when the next one is read: from one in which something turns out to be
        broken the library cannot go on.
        """
        waiting = None
        try:
            for record in self._found():
                if waiting is not None:
                    yield waiting
                waiting = record
        except Exception:
            if waiting is not None:
                yield waiting
            raise
        if waiting is not None:
            yield waiting

    def _found(self) -> Iterator[Any]:
        from fastwarc.warc import ArchiveIterator

        number = 0
        try:
            found = ArchiveIterator(self, parse_http=False, stream_detect=False, fsspec_args=False)
            for record in found:
                number += 1
                self._load(record, number)
                yield record
        except BrokenFileError:
            raise
        except OSError as error:
            # what the library itself finds wrong; the stream's own errors are kept
            raise BrokenFileError(f"after {number:,} records: {error}") from error
        except BaseException as error:
            if not is_panic(error):
                raise
            raise BrokenFileError(f"after {number:,} records: {words_of(error)}") from error
        self._refuse_end()

    def _load(self, record: Any, number: int) -> None:
        declared = record.headers.get("Content-Length")
        if declared is None or not declared.strip().isdigit():
            self._refuse_end()
            raise BrokenFileError(f"record {number:,} does not say how long it is")
        length = record.content_length
        if length > MAX_ROW_BYTES + _HEADER_BYTES:
            read = record.reader.consume()
        else:
            record.freeze()
            read = record.content_length
        if read < length:
            self._refuse_end()
            raise BrokenFileError(f"it ends within record {number:,}")

    def _refuse_end(self) -> None:
        if self._error is not None:
            raise self._error

    def read(self, size: int = -1) -> bytes:
        try:
            piece: bytes = self._stream.read1(size)  # type: ignore[attr-defined]
        except Exception as error:  # noqa: BLE001 - raised again where the records before it are read
            self._error = error
            return b""
        self._at += len(piece)
        return piece

    def tell(self) -> int:
        return self._at

    def close(self) -> None:
        """Whoever opened the stream closes it."""

    def seek(self, offset: int, whence: int = 0) -> int:
        if (offset, whence) not in ((0, 1), (self._at, 0)):
            raise UnsupportedOperation("it is read from the beginning to the end")
        return self._at


def _other(record: Any) -> str:
    """What a record is that is no page, in a word; nothing for a page."""
    kind = str(record.record_type)
    if kind not in ("response", "resource", "conversion"):
        return kind
    if record.content_length > MAX_ROW_BYTES + _HEADER_BYTES:
        raise RowError(ROW_TOO_LARGE, f"a record of {record.content_length:,} bytes")
    media = record.headers.get("Content-Type") or ""
    if kind == "response" and media.startswith("application/http"):
        try:
            record.parse_http(auto_decode="all")
        except OSError as error:
            raise RowError("bad_http", str(error)) from error
        status = record.http_headers.status_code
        if status is None:
            raise RowError("bad_http", "it has no status line")
        if not 200 <= status < 300:
            return f"http_{status}"
        media = record.http_content_type or "text/html"
    return "" if media.partition(";")[0].strip().lower() in _PAGES else "other_media_type"


def _body(record: Any) -> bytes:
    try:
        raw: bytes = record.reader.read(MAX_ROW_BYTES + 1)
    except OSError as error:  # what it says of its compression is not so
        raise RowError("bad_http", str(error)) from error
    if len(raw) > MAX_ROW_BYTES:
        raise RowError(ROW_TOO_LARGE, f"a page of more than {MAX_ROW_BYTES:,} bytes")
    return raw


def _page(record: Any, raw: bytes) -> dict[str, Any]:
    text = page_text(raw, record.http_charset)
    url = (record.headers.get("WARC-Target-URI") or "").strip("<>") or None
    return {"text": text, "url": url, "date": record.headers.get("WARC-Date")}
