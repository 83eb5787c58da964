"""Files as people have them: what they hold, counted by hand, is what the ledger counts."""

from __future__ import annotations

import codecs
import json
from collections.abc import Callable
from typing import Any, NamedTuple

import pytest

MakeCorpus = Callable[..., Any]


class Dirty(NamedTuple):
    """A file with the texts that a careful person would read from it, and the lines that fail."""

    raw: bytes
    kept: list[str]
    failed: list[tuple[int, str]] = []  # noqa: RUF012 - no case writes to it
    options: dict[str, Any] = {}  # noqa: RUF012


def table(*rows: str, end: str = "\n", encoding: str = "utf-8") -> bytes:
    return end.join(["text,n", *rows, ""]).encode(encoding)


def tabs(*rows: str, end: str = "\n", encoding: str = "utf-8") -> bytes:
    return end.join(["text\tn", *rows, ""]).encode(encoding)


MANY = [f"row {n}" for n in range(1000)]


def stray(kind: Callable[..., bytes], mark: str, bad: str, at: int) -> bytes:
    """A thousand rows of which one has a quote where none belongs."""
    rows = [f"{text}{mark}{number}" for number, text in enumerate(MANY)]
    rows[at] = bad
    return kind(*rows)


def others(at: int) -> list[str]:
    return MANY[:at] + MANY[at + 1 :]


CSV: dict[str, Dirty] = {
    "plain": Dirty(table("a,1", "b,2"), ["a", "b"]),
    "CRLF": Dirty(table("a,1", '"b\r\nc",2', end="\r\n"), ["a", "b\r\nc"]),
    "CR alone": Dirty(table("a,1", '"b\rc",2', end="\r"), ["a", "b\rc"]),
    "CR twice before LF": Dirty(table("a,1", "b,2", end="\r\r\n"), ["a", "b"]),
    "CR between rows of an LF file": Dirty(table("a,1\rb,2", "c,3"), ["a", "b", "c"]),
    "CR within a field": Dirty(table("a\rb,1", "c,3"), ["c"], [(2, "not_csv")]),
    "no newline at the end": Dirty(b"text,n\na,1\nb,2", ["a", "b"]),
    "mark before a quoted header": Dirty(b'\xef\xbb\xbf"text","n"\n"a",1\n', ["a"]),
    "quoted newline and delimiter": Dirty(table('"a\n, b",1', "c,2"), ["a\n, b", "c"]),
    "doubled quotes": Dirty(table('"a ""b"" c",1', '"""",2'), ['a "b" c', '"']),
    "quote never closed": Dirty(stray(table, ",", '"never,5', 10), others(10), [(12, "not_csv")]),
    "quote never closed at the end": Dirty(
        stray(table, ",", '"never,5', 999), others(999), [(1001, "not_csv")]
    ),
    "quote closed by a later stray one": Dirty(
        table(*(f"{t},{n}" for n, t in enumerate(MANY[:20])), '"open,1',
              *(f"{t},{n}" for n, t in enumerate(MANY[20:60])), 'shut",2',
              *(f"{t},{n}" for n, t in enumerate(MANY[60:90]))),
        [*MANY[:60], 'shut"', *MANY[60:90]],
        [(22, "not_csv")],
    ),
    "text after a closing quote": Dirty(table('"a" b,1', "c,2"), ["c"], [(2, "not_csv")]),
    "backslash before quotes": Dirty(
        table(r'"a \"b\" c",1', r'"d",2'), ["d"], [(2, "not_csv")]
    ),
    "backslash before the last quote": Dirty(
        table(r'"a \"b\"",1', "d,2", '"e",3'), ["d", "e"], [(2, "not_csv")]
    ),
    "backslash as an escape": Dirty(
        table(r'"a \"b\" c\\",1', r'"C:\new, \"x\"",2'),
        ['a "b" c\\', 'C:\\new, "x"'],
        options={"csv": {"escape": "\\"}},
    ),
    "JSON within, doubled": Dirty(table(r'"{""a"": ""b\""c""}",1'), [r'{"a": "b\"c"}']),
    "a backslash at the end of a field": Dirty(table(r'"C:\",1', r"D:\,2"), ["C:\\", "D:\\"]),
    "inches": Dirty(table('a 5" disk,1', "b,2"), ['a 5" disk', "b"]),
    "a quote after a space": Dirty(
        b'n,text\n1, "a, b"\n2,c\n', ["c"], [(2, "not_csv")]
    ),
    "spaces that are no content": Dirty(
        b'n, text\n1, "a, b"\n2, c\n', ["a, b", "c"], options={"csv": {"skip_initial_space": True}}
    ),
    "ragged": Dirty(
        table("a,1", "b", "c,1,2", "d,4"), ["a", "d"],
        [(3, "schema_mismatch"), (4, "schema_mismatch")],
    ),
    "ragged over two lines": Dirty(
        table('"a\nb"', "c,1"), ["c"], [(2, "schema_mismatch")]
    ),
    "nothing but a header, and blank lines": Dirty(table("", "", "a,1", "", "b,2"), ["a", "b"]),
    "empty values": Dirty(table(",", '"",1', "a,"), ["", "", "a"]),
    "comments are rows": Dirty(table("# a,1"), ["# a"]),
    "NUL": Dirty(table("a\0b,1"), ["a\0b"]),
    "bytes that are no UTF-8": Dirty(
        b"text,n\ncaf\xe9,1\nb,2\n", ["b"], [(2, "not_utf8")]
    ),
    "cp1252": Dirty(
        table("café – “x”,1", encoding="cp1252"), ["café – “x”"], options={"encoding": "cp1252"}
    ),
    "cp1252 with a byte that it has not": Dirty(
        b"text,n\na\x81,1\nb,2\n", ["b"], [(2, "not_cp1252")], {"csv": {"encoding": "cp1252"}}
    ),
    "latin-1": Dirty(table("é,1", encoding="latin-1"), ["é"], options={"encoding": "latin-1"}),
    "UTF-16 with a mark": Dirty(table('"ü\nx",1', encoding="utf-16"), ["ü\nx"]),
    "UTF-16 without a mark": Dirty(
        table("ü,1", encoding="utf-16-be"), ["ü"], options={"encoding": "utf-16-be"}
    ),
    "UTF-32": Dirty(table("\U0001f373,1", end="\r\n", encoding="utf-32"), ["\U0001f373"]),
    "semicolons": Dirty(
        b'text;n\n"a;b";1\nc,d;2\n', ["a;b", "c,d"], options={"csv": {"delimiter": ";"}}
    ),
    "a delimiter of two characters": Dirty(
        b"text::n\na:b::1\n", ["a:b"], options={"csv": {"delimiter": "::"}}
    ),
    "no header": Dirty(b"a,1\nb,2\n", ["a", "b"], options={"csv": {"columns": ["text", "n"]}}),
    "too many lines in a row": Dirty(
        table('"a\nb\nc\nd",1', '"e\nf",2', "g,3"), ["e\nf", "g"], [(2, "row_too_large")],
        {"csv": {"max_lines": 3}},
    ),
    "single quotes": Dirty(
        table("'a, ''b''',1", '"c,2'), ["a, 'b'", '"c'], options={"csv": {"quote": "'"}}
    ),
    "no quoting": Dirty(
        table('"a,1', 'b",2'), ['"a', 'b"'], options={"csv": {"quoting": "none"}}
    ),
}  # fmt: skip

TSV: dict[str, Dirty] = {
    "plain": Dirty(tabs("a, b\t1", "c\t2"), ["a, b", "c"]),
    "a field that begins with a quote": Dirty(
        stray(tabs, "\t", '"To be\t5', 100), [*MANY[:100], '"To be', *MANY[101:]]
    ),
    "two such": Dirty(
        tabs('"a\t1', "b\t2", '"c\t3', "d\t4"), ['"a', "b", '"c', "d"]
    ),
    "a field in quotes": Dirty(tabs('"a"\t1', '"b" c\t2'), ['"a"', '"b" c']),
    "doubled quotes": Dirty(tabs('a ""b""\t1'), ['a ""b""']),
    "backslashes": Dirty(tabs(r"a\tb\n\"\t1".replace(r"\"\t1", '\\"\t1')), [r"a\tb\n" + '\\"']),
    "quoting where it is asked for": Dirty(
        tabs('"a\tb"\t1', '"c\nd"\t2'), ["a\tb", "c\nd"], options={"csv": {"quoting": "minimal"}}
    ),
    "quoting, never closed": Dirty(
        stray(tabs, "\t", '"never\t5', 10), others(10), [(12, "not_csv")],
        {"csv": {"quoting": "minimal"}},
    ),
    "quoting, closed in the next row": Dirty(
        tabs('"a\t1', 'b"\t2', "c\t3"), ['b"', "c"], [(2, "not_csv")],
        {"csv": {"quoting": "minimal"}},
    ),
    "CRLF": Dirty(tabs("a\t1", "b\t2", end="\r\n"), ["a", "b"]),
    "CR": Dirty(tabs("a\t1", "b\t2", end="\r"), ["a", "b"]),
    "mark": Dirty(b"\xef\xbb\xbf" + tabs("a\t1"), ["a"]),
    "too few and too many": Dirty(
        tabs("a", "b\t1\t2", "c\t3"), ["c"], [(2, "schema_mismatch"), (3, "schema_mismatch")]
    ),
    "a tab at the end": Dirty(tabs("a\t1\t", "b\t2"), ["b"], [(2, "schema_mismatch")]),
    "empty values": Dirty(tabs("\t", "a\t"), ["", "a"]),
    "blank lines": Dirty(tabs("", "a\t1", ""), ["a"]),
    "spaces": Dirty(tabs("  a \t 1 "), ["  a "]),
    "NUL": Dirty(tabs("a\0\t1"), ["a\0"]),
    "not UTF-8": Dirty(b"text\tn\n\xff\t1\nb\t2\n", ["b"], [(2, "not_utf8")]),
    "latin-1": Dirty(tabs("é\t1", encoding="latin-1"), ["é"], options={"encoding": "latin-1"}),
    "UTF-16": Dirty(tabs("é\t1", encoding="utf-16"), ["é"]),
    "separators that end no line": Dirty(tabs("a\u2028b\x0cc\x85d\t1"), ["a\u2028b\x0cc\x85d"]),
    "no header": Dirty(b"a\t1\n", ["a"], options={"csv": {"columns": ["text", "n"]}}),
    "an escaped tab": Dirty(tabs("a\\\tb\t1"), ["a\tb"], options={"csv": {"escape": "\\"}}),
}  # fmt: skip


def line(text: str, **more: Any) -> bytes:
    return json.dumps({"text": text, **more}, ensure_ascii=False).encode()


def jsonl(*rows: bytes, end: bytes = b"\n") -> bytes:
    return b"".join(row + end for row in rows)


JSONL: dict[str, Dirty] = {
    "plain": Dirty(jsonl(line("a"), line("b")), ["a", "b"]),
    "CRLF": Dirty(jsonl(line("a"), line("b"), end=b"\r\n"), ["a", "b"]),
    "CR": Dirty(jsonl(line("a"), line("b"), end=b"\r"), ["a", "b"]),
    "CR between rows of an LF file": Dirty(
        jsonl(line("a") + b"\r" + line("b"), line("c"), b"x"), ["a", "b", "c"], [(4, "not_json")]
    ),
    "no newline at the end": Dirty(line("a") + b"\n" + line("b"), ["a", "b"]),
    "blank lines": Dirty(jsonl(b"", line("a"), b"  \t", line("b"), b""), ["a", "b"]),
    "mark": Dirty(b"\xef\xbb\xbf" + jsonl(line("a"), line("b")), ["a", "b"]),
    "marks of files put together": Dirty(
        jsonl(b"\xef\xbb\xbf" + line("a"), b"\xef\xbb\xbf" + line("b")), ["a", "b"]
    ),
    "cut off in the last row": Dirty(
        jsonl(line("a")) + b'{"text": "ha', ["a"], [(2, "not_json")]
    ),
    "two objects in a line": Dirty(
        jsonl(line("a") + line("b"), line("c")), ["c"], [(1, "not_json")]
    ),
    "a comma after each": Dirty(jsonl(line("a") + b",", line("b")), ["b"], [(1, "not_json")]),
    "an array in a line": Dirty(jsonl(b"[" + line("a") + b"]", line("b")), ["b"],
                                [(1, "not_an_object")]),
    "NaN and Infinity": Dirty(jsonl(b'{"text": "a", "n": NaN}', b'{"text": "b", "n": -Infinity}'),
                              ["a", "b"]),
    "a number out of all range": Dirty(
        jsonl(line("a", n=0.5), b'{"text": "b", "n": 1e999}'), ["a", "b"]
    ),
    "duplicate keys": Dirty(b'{"text": "first", "text": "last"}\n', ["last"]),
    "half a surrogate pair": Dirty(
        jsonl(line("a"), b'{"text": "\\ud83c"}', b'{"text": "\\ud83c\\udf73"}'),
        ["a", "\U0001f373"], [(2, "not_json")],
    ),
    "separators that end no line": Dirty(jsonl(line("a\u2028b\x85c\x0cd")), ["a\u2028b\x85c\x0cd"]),
    "a newline in a string": Dirty(
        jsonl(b'{"text": "a\nb"}', line("c")), ["c"], [(1, "not_json"), (2, "not_json")]
    ),
    "NUL": Dirty(jsonl(b'{"text": "a\0"}', line("b\0")), ["b\0"], [(1, "not_json")]),
    "not UTF-8": Dirty(jsonl(b'{"text": "\xe9"}', line("b")), ["b"], [(1, "not_utf8")]),
    "cp1252": Dirty(
        '{"text": "“é”"}\n'.encode("cp1252"), ["“é”"], options={"encoding": "windows-1252"}
    ),
    "UTF-16": Dirty('{"text": "é"}\r\n{"text": "b"}'.encode("utf-16"), ["é", "b"]),
    "UTF-16 that breaks within": Dirty(
        codecs.BOM_UTF16_LE + '{"text": "a"}\n{"text": "'.encode("utf-16-le") + b"\x00\xd8"
        + '"}\n{"text": "c"}'.encode("utf-16-le"),
        ["a", "c"], [(2, "not_utf_16_le")],
    ),
    "comments": Dirty(jsonl(b"// a", line("b")), ["b"], [(1, "not_json")]),
    "nested": Dirty(jsonl(line("a", m={"x": [1, {"y": None}]})), ["a"]),
}  # fmt: skip

JSON: dict[str, Dirty] = {
    "lines": Dirty(jsonl(line("a"), line("b")), ["a", "b"]),
    "lines with a broken one": Dirty(
        jsonl(line("a"), b'{"text": "half', line("b")), ["a", "b"], [(2, "not_json")]
    ),
    "an array": Dirty(b"[" + line("a") + b"," + line("b") + b"]", ["a", "b"]),
    "an array over lines": Dirty(
        json.dumps([{"text": "a"}, {"text": "b"}], indent=2).encode(), ["a", "b"]
    ),
    "an array, a row a line": Dirty(
        b"[\n" + line("a") + b",\n" + line("b") + b"\n]\n", ["a", "b"]
    ),
    "an array with a mark, CRLF": Dirty(
        b"\xef\xbb\xbf[\r\n" + line("a") + b",\r\n" + line("b") + b"\r\n]\r\n", ["a", "b"]
    ),
    "an array with a comma at its end": Dirty(b"[" + line("a") + b",]", ["a"]),
    "an array of other things": Dirty(
        b'[1,\n"x, ]",\nnull,\n[{"text": "no"}],\n' + line("a") + b"]", ["a"],
        [(1, "not_an_object"), (2, "not_an_object"), (3, "not_an_object"), (4, "not_an_object")],
    ),
    "an array with a broken element": Dirty(
        b"[" + line("a") + b',\n{"text": b},\n' + line("c") + b"]", ["a", "c"], [(2, "not_json")]
    ),
    "brackets and quotes in strings": Dirty(
        b"[" + line('}]"\\') + b"," + line("[{,") + b"]", ['}]"\\', "[{,"]
    ),
    "two arrays": Dirty(b"[" + line("a") + b"]\n[" + line("b") + b"]", ["a", "b"]),
    "an empty array and another": Dirty(b"[]\n[" + line("b") + b"]", ["b"]),
    "text after the array": Dirty(b"[" + line("a") + b"]\nrubbish\n", ["a"], [(2, "not_json")]),
    "one object over lines": Dirty(json.dumps({"text": "a"}, indent=1).encode(), ["a"]),
    "objects over lines": Dirty(
        b"".join(json.dumps({"text": t}, indent=2).encode() for t in "abc"), ["a", "b", "c"]
    ),
    "objects over lines with commas": Dirty(
        b",\n".join(json.dumps({"text": t}, indent=2).encode() for t in "ab"), ["a", "b"]
    ),
    "rubbish between objects": Dirty(
        b'{\n"text": "a"\n}\nrubbish\n{\n"text": "b"\n}\n', ["a", "b"], [(4, "not_json")]
    ),
    "NaN": Dirty(b'[{"text": "a", "n": NaN}]', ["a"]),
    "duplicate keys": Dirty(b'[{"text": "a", "text": "b"}]', ["b"]),
    "half a surrogate pair": Dirty(
        b'[{"text": "\\ud800"},' + line("b") + b"]", ["b"], [(1, "not_json")]
    ),
    "not UTF-8": Dirty(b'[{"text": "\xe9"},\n' + line("b") + b"]", ["b"], [(1, "not_utf8")]),
    "UTF-16": Dirty(json.dumps([{"text": "ü"}], ensure_ascii=False).encode("utf-16"), ["ü"]),
    "latin-1": Dirty('[{"text": "ü"}]'.encode("latin-1"), ["ü"], options={"encoding": "latin-1"}),
    "U+2028": Dirty(b"[" + line("a\u2028b") + b"]", ["a\u2028b"]),
    "nested deeply": Dirty(
        b'[{"text": "a", "m": ' + b"[" * 2000 + b"]" * 2000 + b"}," + line("b") + b"]", ["b"],
        [(1, "not_json")],
    ),
    "CR": Dirty(
        b"[\r" + line("a") + b",\rx,\r" + line("b") + b"\r]", ["a", "b"], [(3, "not_json")]
    ),
}  # fmt: skip

LINES = {"rows": "line"}
TXT: dict[str, Dirty] = {
    "a file": Dirty(b"a\n\nb\n", ["a\n\nb"]),
    "a file with blank lines at its end": Dirty(b"a\n\n\n", ["a\n\n"]),
    "a file with spaces around": Dirty(b"  a  \n", ["  a  "]),
    "a file with a mark": Dirty(b"\xef\xbb\xbfa\r\nb\r\n", ["a\r\nb"]),
    "a file of UTF-16": Dirty("ä\n".encode("utf-16"), ["ä"]),
    "a file of latin-1": Dirty(b"\xe4\n", ["ä"], options={"encoding": "latin-1"}),
    "lines": Dirty(b"a\nb\n", ["a", "b"], options=LINES),
    "lines without an end": Dirty(b"a\nb", ["a", "b"], options=LINES),
    "lines, CRLF": Dirty(b"a\r\nb\r\n", ["a", "b"], options=LINES),
    "lines, CR": Dirty(b"a\rb\rc", ["a", "b", "c"], options=LINES),
    "lines, CR within": Dirty(b"a\rb\nc\n", ["a\rb", "c"], options=LINES),
    "lines, blank ones": Dirty(b"\n\na\n \t\nb\n\n", ["a", "b"], options=LINES),
    "lines, form feeds": Dirty(b"a\x0cb\nc\x0b\n", ["a\x0cb", "c\x0b"], options=LINES),
    "lines, U+2028 and others": Dirty(
        "a\u2028b\u2029c\x85d\x1ce\nf\n".encode(), ["a\u2028b\u2029c\x85d\x1ce", "f"], options=LINES
    ),
    "lines, no UTF-8 in one": Dirty(b"a\n\xff\nb\n", ["a", "b"], [(2, "not_utf8")], LINES),
    "lines of UTF-16": Dirty("ä\r\nb\r\n".encode("utf-16"), ["ä", "b"], options=LINES),
    "lines of UTF-32": Dirty("ä\nb\n".encode("utf-32"), ["ä", "b"], options=LINES),
    "lines of cp1252": Dirty(
        "“ä”\n".encode("cp1252") + b"\x9d\nc\n", ["“ä”", "c"], [(2, "not_cp1252")],
        LINES | {"encoding": "cp1252"},
    ),
    "lines of Shift JIS": Dirty("表\n".encode("shift-jis"), ["表"],
                                options=LINES | {"encoding": "shift_jis"}),
    "lines, NUL": Dirty(b"a\0\nb\n", ["a\0", "b"], options=LINES),
    "lines, marks within": Dirty(
        b"\xef\xbb\xbfa\n\xef\xbb\xbfb\n", ["a", "\ufeffb"], options=LINES
    ),
    "lines, quotes": Dirty(b'"a\nb"\n', ['"a', 'b"'], options=LINES),
    "a table by its options": Dirty(
        b"a@1\nb@2\n", ["a", "b"], options={"csv": {"delimiter": "@", "columns": ["text", "n"]}}
    ),
}  # fmt: skip

FORMATS = {"csv": CSV, "tsv": TSV, "jsonl": JSONL, "json": JSON, "txt": TXT}


@pytest.mark.parametrize(
    ("suffix", "dirty"),
    [
        pytest.param(suffix, dirty, id=f"{suffix}: {name}")
        for suffix, cases in FORMATS.items()
        for name, dirty in cases.items()
    ],
)
def test_what_a_dirty_file_holds_is_what_the_ledger_counts(
    make_corpus: MakeCorpus, tmp_path: Any, suffix: str, dirty: Dirty
) -> None:
    (tmp_path / f"a.{suffix}").write_bytes(dirty.raw)
    source = {"path": f"a.{suffix}", "max_failed": 1.0, "format": {"text": "text"}}
    result = make_corpus({"s": source | dirty.options}, rejects={"keep": "all"})
    assert result.rows["text"].to_list() == dirty.kept
    assert result.rejects.select("line", "reason").rows() == dirty.failed
    entry = result.report.ledger["sources.s"]
    assert entry.rows_in == len(dirty.kept) + len(dirty.failed)
    assert result.rows["id"].n_unique() == len(dirty.kept)


@pytest.mark.parametrize("suffix", FORMATS)
def test_there_are_twenty_of_each(suffix: str) -> None:
    assert len(FORMATS[suffix]) >= 20
