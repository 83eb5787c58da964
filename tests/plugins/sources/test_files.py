from __future__ import annotations

import csv
import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings, strategies as st
from source_rows import LINES, TEXTS, read, texts, zst

from datachef.core import RecipeError
from datachef.plugins.sources.files import FileSource

MakeCorpus = Callable[..., Any]


good_lines = st.text(max_size=30).map(lambda text: json.dumps({"text": text}).encode())
lines = st.lists(
    good_lines | st.sampled_from([b"", b" \t", b"broken", b"[1]", b'{"text": "\xff"}']), max_size=12
)


cells = st.text(alphabet="ab ,;\t\"'é", max_size=6).filter(lambda text: text[:1] != " ")


class TestByteRanges:
    @settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
    @given(lines, st.integers(1, 80), st.sampled_from([b"\n", b"\r\n"]), st.booleans())
    def test_every_row_once_with_its_line_whatever_the_cut(
        self, tmp_path: Path, lines: list[bytes], partition_bytes: int, newline: bytes, final: bool
    ) -> None:
        file = tmp_path / "a.jsonl"
        file.write_bytes(newline.join(lines) + (newline if final else b""))
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("datachef.core.contracts.reader.PART_BYTES", partition_bytes)
            rows = read(FileSource(path=str(file)))
        expected = [(n, line) for n, line in enumerate(lines, start=1) if line.strip()]
        assert [row.line for row in rows] == [n for n, _ in expected]
        reasons = {b"b": "not_json", b"[": "not_an_object"}
        for row, (_, line) in zip(rows, expected, strict=True):
            if row.data is not None:
                assert row.data == json.loads(line)
            else:
                assert row.reason == reasons.get(line[:1], "not_utf8")
        assert len({row.position for row in rows}) == len(rows)

    def test_ids_do_not_depend_on_the_cut(
        self, make_corpus: MakeCorpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tmp_path / "a.jsonl").write_bytes(LINES)
        whole = make_corpus("a.jsonl").rows
        monkeypatch.setattr("datachef.core.contracts.reader.PART_BYTES", 100)
        cut = make_corpus("a.jsonl")
        assert cut.report.partitions > 5
        assert cut.rows.equals(whole)
        assert whole["text"].to_list() == TEXTS

    def test_of_very_much_the_parts_are_larger(
        self, make_corpus: MakeCorpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tmp_path / "a.jsonl").write_bytes(LINES * 10)
        whole = make_corpus("*.jsonl").rows
        monkeypatch.setattr("datachef.core.contracts.reader.PART_BYTES", 100)
        monkeypatch.setattr("datachef.core.contracts.reader.MOST_PARTS", 16)
        cut = make_corpus("*.jsonl")
        assert 8 <= cut.report.partitions <= 16
        assert cut.rows.equals(whole)
        (tmp_path / "b.jsonl").write_bytes(LINES[:50])
        more = make_corpus("*.jsonl").report
        assert more.partitions_cached == cut.report.partitions, "a little more cuts nothing anew"


class TestCompressed:
    @pytest.mark.parametrize(
        ("name", "packed"),
        [
            ("a.jsonl.gz", gzip.compress(LINES)),
            ("a.jsonl.gz", gzip.compress(LINES[:100]) + gzip.compress(LINES[100:])),
            ("a.JSONL.GZ", gzip.compress(LINES)),
            ("a.ndjson.gz", gzip.compress(LINES) + b"\0" * 512),
            ("a.jsonl.zst", zst(LINES)),
            ("a.jsonl.zst", zst(LINES[:100], b"", LINES[100:])),
            ("a.jsonl.zst", zst(LINES[:9]) + b"\x50\x2a\x4d\x18\x03\0\0\0abc" + zst(LINES[9:])),
        ],
        ids=["gz", "gz members", "upper case", "zero padding", "zst", "zst frames", "skippable"],
    )
    def test_reads_all_rows(self, tmp_path: Path, name: str, packed: bytes) -> None:
        (tmp_path / name).write_bytes(packed)
        assert texts(tmp_path / name) == TEXTS

    @pytest.mark.parametrize("suffix", ["gz", "zst"])
    def test_many_small_members(self, tmp_path: Path, suffix: str) -> None:
        pack = gzip.compress if suffix == "gz" else zst
        file = tmp_path / f"a.jsonl.{suffix}"
        file.write_bytes(b"".join(pack(line) for line in LINES.splitlines(keepends=True)))
        assert texts(file) == TEXTS


class TestParquet:
    @pytest.fixture
    def table(self) -> pl.DataFrame:
        return pl.DataFrame(
            {
                "text": [f"row {i}" for i in range(1000)],
                "meta": [{"url": f"u{i}", "tags": ["a", str(i)]} for i in range(1000)],
                "day": pl.Series([18_000 + i for i in range(1000)], dtype=pl.Int32).cast(pl.Date),
                "n": range(1000),
            }
        )

    def test_row_ranges_over_row_groups(
        self,
        make_corpus: MakeCorpus,
        tmp_path: Path,
        table: pl.DataFrame,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        table.write_parquet(tmp_path / "a.parquet", row_group_size=130)
        monkeypatch.setattr("datachef.core.contracts.reader.PART_BYTES", 1000)
        result = make_corpus("a.parquet", output={"columns": ["meta", "day", "n"]})
        assert result.report.partitions > 5
        assert result.rows["text"].to_list() == table["text"].to_list()
        assert result.rows["n"].to_list() == table["n"].to_list()
        assert json.loads(result.rows["meta"][7]) == {"url": "u7", "tags": ["a", "7"]}
        assert result.rows["id"].n_unique() == 1000

    def test_nested_fields_can_be_the_text(
        self, make_corpus: MakeCorpus, tmp_path: Path, table: pl.DataFrame
    ) -> None:
        table.write_parquet(tmp_path / "a.parquet")
        source = {"path": "a.parquet", "format": {"text": "{text} at {meta.url}"}}
        assert make_corpus({"s": source}).rows["text"][3] == "row 3 at u3"

    def test_a_file_that_is_none(self, make_corpus: MakeCorpus, tmp_path: Path) -> None:
        (tmp_path / "a.parquet").write_bytes(b"PAR1 but no more")
        with pytest.raises(RecipeError, match=r"broken_file|a\.parquet"):
            make_corpus("a.parquet")


class TestCsv:
    def test_quotes_newlines_and_bom(self, tmp_path: Path) -> None:
        file = tmp_path / "a.csv"
        file.write_bytes(b'\xef\xbb\xbftext,n\r\n"a ""b""\nc, d",1\r\n\r\n\xc3\xbc,2\r\n')
        rows = read(FileSource(path=str(file)))
        assert [row.data for row in rows] == [
            {"text": 'a "b"\nc, d', "n": "1"},
            {"text": "ü", "n": "2"},
        ]
        assert [row.line for row in rows] == [2, 5]

    def test_tsv(self, tmp_path: Path) -> None:
        (tmp_path / "a.tsv").write_text("text\tn\nx, y\t1\n")
        assert texts(tmp_path / "a.tsv") == ["x, y"]

    @pytest.mark.parametrize("pack", [gzip.compress, zst])
    def test_compressed(self, tmp_path: Path, pack: Callable[[bytes], bytes]) -> None:
        file = tmp_path / ("a.csv.gz" if pack is gzip.compress else "a.csv.zst")
        file.write_bytes(pack(b"text\none\ntwo\n"))
        assert texts(file) == ["one", "two"]

    def test_rows_that_do_not_fit(self, make_corpus: MakeCorpus, tmp_path: Path) -> None:
        (tmp_path / "a.csv").write_bytes(
            b"text,n\nfirst,1\ntoo,many,values\ntoo few\n\xff,1\nlast,2\n"
        )
        result = make_corpus({"s": {"path": "a.csv", "max_failed": 0.9}})
        assert result.rows["text"].to_list() == ["first", "last"]
        failed = result.rejects.select("reason", "file", "line").rows()
        assert failed == [
            ("schema_mismatch", "a.csv", 3),
            ("schema_mismatch", "a.csv", 4),
            ("not_utf8", "a.csv", 5),
        ]

    def test_header_that_is_not_utf8(self, make_corpus: MakeCorpus, tmp_path: Path) -> None:
        (tmp_path / "a.csv").write_bytes(b"text,\xff\nhello,1\n")
        result = make_corpus("a.csv")
        assert result.rows["text"].to_list() == ["hello"]

    def test_columns_without_a_name_are_numbered(self, tmp_path: Path) -> None:
        (tmp_path / "a.csv").write_text("text,,\nhello,1,2\n")
        (row,) = read(FileSource(path=str(tmp_path / "a.csv")))
        assert row.data == {"text": "hello", "column_2": "1", "column_3": "2"}

    def test_a_column_named_twice_is_refused(self, make_corpus: MakeCorpus, tmp_path: Path) -> None:
        (tmp_path / "a.csv").write_text("text,x,x\nhello,1,2\n")
        with pytest.raises(RecipeError, match="names the column 'x' twice"):
            make_corpus("a.csv")

    @pytest.mark.parametrize(("delimiter", "suffix"), [(";", "csv"), ("\t", "csv"), (",", "tsv")])
    def test_a_header_of_one_column_brings_a_hint(
        self, make_corpus: MakeCorpus, tmp_path: Path, delimiter: str, suffix: str
    ) -> None:
        (tmp_path / f"a.{suffix}").write_text(f"text{delimiter}n\nhello{delimiter}1\n")
        for more in ({}, {"format": {"text": "text"}}):
            with pytest.raises(RecipeError) as error:
                make_corpus({"s": {"path": f"a.{suffix}", **more}})
            (problem,) = error.value.problems
            assert f"is {delimiter!r} the delimiter?" in problem.hint
        options = {"csv": {"delimiter": delimiter}}
        assert make_corpus({"s": {"path": f"a.{suffix}", **options}}).rows["text"].to_list() == [
            "hello"
        ]

    @pytest.mark.parametrize(
        "wrong",
        [
            {"delimiter": ""},
            {"delimiter": "\n"},
            {"delimiter": '"'},
            {"escape": '"'},
            {"quote": "''"},
            {"quoting": "some"},
            {"encoding": "utf-9"},
            {"encoding": "rot13"},
            {"columns": ["a", "a"]},
            {"columns": []},
            {"max_lines": 0},
            {"separator": ";"},
        ],
    )
    def test_options_that_make_no_sense(
        self, make_corpus: MakeCorpus, tmp_path: Path, wrong: dict[str, Any]
    ) -> None:
        (tmp_path / "a.csv").write_text("text\nhello\n")
        with pytest.raises(RecipeError, match=r"recipe\.yaml"):
            make_corpus({"s": {"path": "a.csv", "csv": wrong}})

    def test_other_options_are_another_input(self, make_corpus: MakeCorpus, tmp_path: Path) -> None:
        (tmp_path / "a.csv").write_bytes('text,n\n"é",1\n'.encode())
        plain = make_corpus({"s": {"path": "a.csv"}}).rows["text"].to_list()
        unquoted = make_corpus({"s": {"path": "a.csv", "csv": {"quoting": "none"}}}).rows
        latin = make_corpus({"s": {"path": "a.csv", "encoding": "latin-1"}}).rows
        assert plain == ["é"]
        assert unquoted["text"].to_list() == ['"é"']
        assert latin["text"].to_list() == ["Ã©"]

    @settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
    @given(
        st.lists(st.tuples(cells, cells, cells), min_size=1, max_size=8),
        st.sampled_from([",", ";", "\t"]),
        st.sampled_from(["\n", "\r\n"]),
    )
    def test_what_the_standard_library_writes_is_read(
        self, tmp_path: Path, rows: list[tuple[str, ...]], delimiter: str, end: str
    ) -> None:
        file = tmp_path / "a.csv"
        with file.open("w", newline="", encoding="utf-8") as stream:
            writer = csv.writer(stream, delimiter=delimiter, lineterminator=end)
            writer.writerows([("text", "b", "c"), *rows])
        found = read(FileSource(path=str(file), csv={"delimiter": delimiter}))  # type: ignore[arg-type]
        assert [tuple(raw.data.values()) for raw in found if raw.data] == rows


class TestText:
    def test_a_row_is_a_file(self, make_corpus: MakeCorpus, tmp_path: Path) -> None:
        (tmp_path / "a.txt").write_text("first\n\nsecond\n")
        (tmp_path / "b.md").write_text("\ufeff# Title\r\n", newline="")
        result = make_corpus({"s": {"path": ["a.txt", "b.md"]}})
        assert result.rows["text"].to_list() == ["first\n\nsecond", "# Title"]

    def test_a_row_is_a_line(self, make_corpus: MakeCorpus, tmp_path: Path) -> None:
        (tmp_path / "a.txt").write_bytes(b"first\n\nsec\xffond\nthird")
        result = make_corpus({"s": {"path": "a.txt", "rows": "line", "max_failed": 0.5}})
        assert result.rows["text"].to_list() == ["first", "third"]
        assert result.rejects.select("reason", "line").rows() == [("not_utf8", 3)]

    def test_form_feeds_and_separators_end_no_line(self, tmp_path: Path) -> None:
        (tmp_path / "a.txt").write_text("one\x0c\x85\u2028still one\ntwo\n", encoding="utf-8")
        assert texts(tmp_path / "a.txt", rows="line") == ["one\x0c\x85\u2028still one", "two"]
