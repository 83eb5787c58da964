"""HTML files and web archives: what is a page, what is skipped, and how each is decoded."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import zstandard

from datachef.core import BrokenFileError, RawRow, RecipeError, RowError
from datachef.plugins.sources.files import FileSource
from datachef.plugins.sources.web_pages import page_text

MakeCorpus = Callable[..., Any]

DATE = "2024-05-01T10:00:00Z"
PAGE = "<html><body><p>Grüße aus Köln</p></body></html>"
HTML = "text/html; charset=utf-8"
GZIP = "Content-Encoding: gzip\r\n"


def record(kind: str, block: bytes, media: str = "application/http", url: str = "") -> bytes:
    head = f"WARC/1.0\r\nWARC-Type: {kind}\r\nWARC-Date: {DATE}\r\nContent-Type: {media}\r\n"
    head += f"WARC-Target-URI: {url}\r\n" if url else ""
    return f"{head}Content-Length: {len(block)}\r\n\r\n".encode() + block + b"\r\n\r\n"


def http(body: bytes, media: str = HTML, status: str = "200 OK", more: str = "") -> bytes:
    head = f"HTTP/1.1 {status}\r\nContent-Type: {media}\r\n{more}\r\n"
    return head.encode() + body


def response(body: bytes, url: str = "http://example.org/", **options: str) -> bytes:
    return record("response", http(body, **options), "application/http; msgtype=response", url)


def chunked(body: bytes) -> bytes:
    return b"%x\r\n" % len(body) + body + b"\r\n0\r\n\r\n"


RECORDS = [
    record("warcinfo", b"software: a crawler\r\n", "application/warc-fields"),
    record("request", b"GET / HTTP/1.1\r\n\r\n"),
    response(PAGE.encode(), "http://example.org/a"),
    record("metadata", b"fetchTimeMs: 12\r\n", "application/warc-fields"),
    response(PAGE.encode("cp1252"), "http://example.org/b", media="text/html; charset=ISO-8859-1"),
    response(gzip.compress(PAGE.encode()), "http://example.org/c", more=GZIP),
    response(chunked(PAGE.encode()), "http://example.org/d", more="Transfer-Encoding: chunked\r\n"),
    response(b"\x89PNG", "http://example.org/e.png", media="image/png"),
    response(b"gone", "http://example.org/f", status="404 Not Found"),
    response(b"not gzip", "http://example.org/g", more=GZIP),
    response("文字".encode() * 99, "http://example.org/h", media="text/html; charset=shift_jis"),
    response(bytes(range(128, 255)) * 9, "http://example.org/i"),
    record("revisit", http(b"")),
]
SKIPPED = {
    f"skipped: {what}": 1
    for what in ("http_404", "metadata", "other_media_type", "request", "revisit", "warcinfo")
}


def rows_of(path: Path, **options: Any) -> list[RawRow]:
    source = FileSource(path=str(path), **options)
    return [raw for partition in source.partitions() for raw in source.read(partition)]


@pytest.mark.parametrize("packing", ["", ".gz", ".zst"])
def test_pages_of_an_archive_and_what_is_none(
    tmp_path: Path, make_corpus: MakeCorpus, packing: str
) -> None:
    pack: Callable[[bytes], bytes] = {
        "": bytes, ".gz": gzip.compress, ".zst": zstandard.compress,
    }[packing]  # fmt: skip
    file = tmp_path / f"crawl.warc{packing}"
    file.write_bytes(b"".join(map(pack, RECORDS)))  # a member of its own for each record
    made = make_corpus(
        {"s": {"path": str(file), "max_failed": 0.5}}, output={"columns": ["url", "date"]}
    )
    assert made.rows["url"].to_list() == [f"http://example.org/{name}" for name in "abcdh"]
    assert made.rows["text"].to_list()[:4] == [PAGE] * 4
    assert made.rows["text"][4] == "文字" * 99  # it is UTF-8, whatever the server says
    assert set(made.rows["date"]) == {DATE}
    (entry,) = (e for e in made.report.ledger if e.op == "read")
    assert entry.rows_in == 7
    assert entry.failed == {"bad_http": 1, "not_decodable": 1}
    assert entry.counted == SKIPPED
    assert made.rejects["line"].to_list() == [10, 12]
    told = json.loads((made.report.folder / "ledger.json").read_bytes())
    assert SKIPPED in [step.get("counted") for step in told]


def test_a_page_that_unpacks_to_far_more_costs_itself_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("datachef.plugins.sources.web_pages.MAX_ROW_BYTES", 100_000)
    bomb = response(gzip.compress(b" " * 5_000_000), "http://example.org/", more=GZIP)
    large = response(b" " * 500_000)
    (tmp_path / "crawl.warc").write_bytes(bomb + RECORDS[2] + large + RECORDS[2])
    rows = rows_of(tmp_path / "crawl.warc")
    assert [row.reason for row in rows] == ["row_too_large", "", "row_too_large", ""]
    assert [row.data["text"] for row in rows if row.data] == [PAGE, PAGE]


def test_extracted_texts(tmp_path: Path) -> None:
    file = tmp_path / "crawl.warc.wet.gz"
    text = "Grüße aus Köln\nund anderswo"
    page = record("conversion", text.encode(), "text/plain", "http://example.org/a")
    file.write_bytes(gzip.compress(RECORDS[0]) + gzip.compress(page))
    info, found = rows_of(file)
    assert info.data is None
    assert info.detail == "warcinfo"
    assert found.data == {"text": text, "url": "http://example.org/a", "date": DATE}


@pytest.mark.parametrize(
    ("damage", "whole"),
    [
        (lambda raw: raw[:-40], 1),
        (lambda raw: raw[: len(RECORDS[2]) + 30], 1),
        (lambda raw: raw[: len(RECORDS[2])] + b"no record\r\n\r\n" + raw[len(RECORDS[2]) :], 1),
        (lambda raw: raw.replace(b"WARC/1.0", b"<html>", 1), 0),
    ],
    ids=["within a page", "within a header", "between records", "no archive"],
)
def test_rows_before_a_damage_are_read(
    tmp_path: Path, damage: Callable[[bytes], bytes], whole: int
) -> None:
    file = tmp_path / "crawl.warc"
    file.write_bytes(damage(RECORDS[2] * 2))
    source = FileSource(path=str(file))
    (partition,) = source.partitions()
    rows: list[RawRow] = []
    with pytest.raises(BrokenFileError):
        rows.extend(source.read(partition))
    assert [raw.data["text"] for raw in rows if raw.data] == [PAGE] * whole


def test_a_packed_archive_that_is_cut_off_fails_the_run_or_keeps_its_rows(
    tmp_path: Path, make_corpus: MakeCorpus
) -> None:
    file = tmp_path / "crawl.warc.gz"
    file.write_bytes((gzip.compress(RECORDS[2]) * 30)[:-20])
    with pytest.raises(RecipeError, match=r"crawl.warc.gz: Compressed file ended"):
        make_corpus(file)
    made = make_corpus({"s": {"path": str(file), "max_failed_files": 1}})
    assert made.rows.height == 29
    (entry,) = (e for e in made.report.ledger if e.op == "read")
    assert entry.broken["crawl.warc.gz"].rows_read == 29


def test_html_files_are_rows_of_markup(tmp_path: Path) -> None:
    (tmp_path / "a.html").write_text(f"<!doctype html>{PAGE}")
    (tmp_path / "b.htm").write_bytes(f'<meta charset="windows-1252">{PAGE}'.encode("cp1252"))
    (tmp_path / "c.xhtml.gz").write_bytes(gzip.compress(PAGE.encode("utf-8-sig")))
    texts = [raw.data["text"] for raw in rows_of(tmp_path / "*") if raw.data]
    assert texts == [f"<!doctype html>{PAGE}", f'<meta charset="windows-1252">{PAGE}', PAGE]


@pytest.mark.parametrize(
    ("raw", "charset", "text"),
    [
        ("Köln".encode("utf-16"), "utf-8", "Köln"),
        ("Köln".encode("cp1252"), None, "Köln"),
        ("価格".encode("shift_jis"), "Shift_JIS", "価格"),
        ("дом".encode("cp1251"), "windows-1251", "дом"),
        (b"<meta charset=gb2312>" + "中文".encode("gbk"), None, "<meta charset=gb2312>中文"),
        (b"<meta charset=utf-16>" + "é".encode(), None, "<meta charset=utf-16>é"),
        ("é".encode(), "unicode_escape", "é"),
        ("é".encode(), "no such encoding", "é"),
        (b"a" * 200 + b"\xff\xc3\xa9", None, "a" * 200 + "\ufffdé"),
    ],
)
def test_pages_are_decoded_as_browsers_do(raw: bytes, charset: str | None, text: str) -> None:
    assert page_text(raw, charset) == text


def test_what_is_no_text_in_its_encoding_is_refused() -> None:
    with pytest.raises(RowError, match="it is not utf-8") as caught:
        page_text(b"\xff\xfd\x80abc" * 50, "utf-8")
    assert caught.value.reason == "not_decodable"


def test_a_missing_package_is_told_with_the_command_that_installs_it(
    tmp_path: Path, make_corpus: MakeCorpus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("datachef.plugins.sources.files.find_spec", lambda name: None)
    (tmp_path / "a.warc").write_bytes(RECORDS[2])
    with pytest.raises(RecipeError, match=r"a file of the format warc needs .*fastwarc") as caught:
        make_corpus(tmp_path / "a.warc")
    assert "pip install" in str(caught.value)
