from __future__ import annotations

import csv
import gzip
import json
import os
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import fsspec
import polars as pl
import pytest
import zstandard
from fsspec.spec import AbstractBufferedFile, AbstractFileSystem
from hypothesis import HealthCheck, given, settings, strategies as st

from datachef.core import RawRow, RecipeError, SourceError
from datachef.plugins.sources.files import FileSource

MakeCorpus = Callable[..., Any]

ROWS = [{"text": f"row {i} ünï", "n": i} for i in range(30)]
LINES = b"".join(json.dumps(row).encode() + b"\n" for row in ROWS)
TEXTS = [row["text"] for row in ROWS]


def read(source: FileSource) -> list[RawRow]:
    """All rows, with lines counted from the start of the file as a run counts them."""
    rows: list[RawRow] = []
    lines: dict[str, int] = {}
    for partition in source.partitions():
        before = lines.get(partition.name, 0)
        for raw in source.read(partition):
            lines[partition.name] = before + raw.line
            if raw.data is not None or raw.reason:
                rows.append(raw._replace(line=before + raw.line))
    return rows


def texts(path: object, **options: Any) -> list[str]:
    paths = tuple(map(str, path)) if isinstance(path, list) else str(path)
    return [raw.data["text"] for raw in read(FileSource(path=paths, **options)) if raw.data]


def zst(*frames: bytes) -> bytes:
    return b"".join(zstandard.ZstdCompressor().compress(frame) for frame in frames)


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


class TestFinding:
    def test_patterns_lists_and_order(self, tmp_path: Path) -> None:
        for name in ("b", "a", "c/d", "c/e/f"):
            file = tmp_path / f"{name}.jsonl"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(json.dumps({"text": name}))
        assert texts(tmp_path / "*.jsonl") == ["a", "b"]
        assert texts(tmp_path / "**/*.jsonl") == ["a", "b", "c/d", "c/e/f"]
        assert texts([tmp_path / "b.jsonl", tmp_path / "*.jsonl"]) == ["b", "a"]

    def test_same_names_in_two_folders(self, make_corpus: MakeCorpus, tmp_path: Path) -> None:
        for folder in ("one", "two"):
            (tmp_path / folder).mkdir()
            (tmp_path / folder / "a.jsonl").write_text('{"text": "the same"}\n')
        rows = make_corpus({"s": {"path": "*/a.jsonl"}}).rows
        assert rows["id"].n_unique() == 2
        assert [name.split(":")[0] for name in rows["id"]] == ["s/one/a.jsonl", "s/two/a.jsonl"]

    def test_a_link_is_known_by_its_own_name(self, tmp_path: Path) -> None:
        (tmp_path / "blob").write_bytes(LINES)
        (tmp_path / "a.jsonl").symlink_to(tmp_path / "blob")
        assert texts(tmp_path / "a.jsonl") == TEXTS

    def test_names_with_pattern_characters(self, tmp_path: Path) -> None:
        (tmp_path / "a[1]?.jsonl").write_bytes(LINES)
        assert texts(tmp_path / "a[1]?.jsonl") == TEXTS

    @pytest.mark.parametrize(
        "folder", ["data[1]", "what?", "{a,b}", "star*", "[ab]", "$HOME", "a b", "~", "#1"]
    )
    def test_folders_with_pattern_characters(self, tmp_path: Path, folder: str) -> None:
        for name in (folder, "data1", "a", "b", "whats", "stars"):
            (tmp_path / name).mkdir()
            (tmp_path / name / "x.jsonl").write_text(json.dumps({"text": name}))
        source = FileSource(path=f"./{folder}/*.jsonl").located(tmp_path)
        assert [raw.data for raw in read(source)] == [{"text": folder}]
        (tmp_path / folder / "y[0].jsonl").write_text(json.dumps({"text": "y"}))
        assert texts(tmp_path / folder / "y[0].jsonl") == ["y"]
        assert texts(tmp_path / folder / "[xy]*") == [folder, "y"]

    @pytest.mark.parametrize(
        ("pattern", "found"),
        [
            ("[ab].jsonl", ["a", "b"]),
            ("[!ab].jsonl", ["c"]),
            ("{a,c}.jsonl", ["a", "c"]),
            ("{a,b}.{jsonl,txt}", ["a", "b"]),
            ("?.jsonl", ["a", "b", "c"]),
            ("**/{c,d}.jsonl", ["c", "d"]),
            (".*.jsonl", ["hidden"]),
            (".store/*", ["stored"]),
            ("f/../a.jsonl", ["a"]),
            ("./a.jsonl", ["a"]),
        ],
    )
    def test_patterns(self, tmp_path: Path, pattern: str, found: list[str]) -> None:
        for name in ("a", "b", "c", "f/d", "f/.e", ".hidden", ".store/stored", "f/.git/g"):
            file = tmp_path / f"{name}.jsonl"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(json.dumps({"text": file.stem.removeprefix(".")}))
        assert texts(f"{tmp_path}/{pattern}") == found

    def test_a_loop_of_links_ends_and_each_file_is_read_once(self, tmp_path: Path) -> None:
        data = tmp_path / "data"
        (data / "deep").mkdir(parents=True)
        for name in ("a", "deep/b"):
            (data / f"{name}.jsonl").write_text(json.dumps({"text": name}))
        (data / "deep" / "up").symlink_to(data)
        (data / "self").symlink_to(data)
        (data / "again").symlink_to(data / "deep")
        (tmp_path / "ring").symlink_to(tmp_path / "ring2")
        (tmp_path / "ring2").symlink_to(tmp_path / "ring")
        for pattern in ("**/*.jsonl", "data/**", "data/**/**/*.jsonl", "*/**/*.jsonl"):
            assert texts(tmp_path / pattern) == ["a", "deep/b"]
        assert texts(data / "*" / "*.jsonl") == ["deep/b", "a"]
        partitions = FileSource(path=str(tmp_path / "**" / "*.jsonl")).partitions()
        assert [partition.name for partition in partitions] == ["a.jsonl", "deep/b.jsonl"]

    def test_a_folder_that_is_linked_is_read(self, tmp_path: Path) -> None:
        (tmp_path / "store").mkdir()
        (tmp_path / "store" / "a.jsonl").write_bytes(LINES)
        (tmp_path / "data").mkdir()
        (tmp_path / "data" / "more").symlink_to(tmp_path / "store")
        assert texts(tmp_path / "data" / "**" / "*.jsonl") == TEXTS

    def test_a_file_that_is_named_twice_is_read_once(
        self, make_corpus: MakeCorpus, tmp_path: Path
    ) -> None:
        (tmp_path / "a.jsonl").write_bytes(LINES)
        (tmp_path / "b.jsonl").symlink_to(tmp_path / "a.jsonl")
        (tmp_path / "sub").mkdir()
        paths = ["b.jsonl", "a.jsonl", "*.jsonl", "./a.jsonl", "sub/../a.jsonl", f"{tmp_path}/a.*"]
        assert make_corpus({"s": {"path": paths}}).rows["text"].to_list() == TEXTS

    def test_a_link_to_nothing_is_a_lost_file(
        self, make_corpus: MakeCorpus, tmp_path: Path
    ) -> None:
        (tmp_path / "a.jsonl").write_bytes(LINES)
        (tmp_path / "b.jsonl").symlink_to(tmp_path / "gone.jsonl")
        with pytest.raises(RecipeError, match=r"b\.jsonl: a link to a file that is not there"):
            make_corpus("*.jsonl")
        result = make_corpus({"s": {"path": "*.jsonl", "max_failed_files": 1}})
        assert result.rows["text"].to_list() == TEXTS
        assert list(result.report.ledger["sources.s"].broken) == ["b.jsonl"]

    def test_a_pipe_is_no_file_to_read(self, tmp_path: Path) -> None:
        os.mkfifo(tmp_path / "a.jsonl")
        with pytest.raises(SourceError, match="no regular file"):
            FileSource(path=str(tmp_path / "*.jsonl")).partitions()

    def test_folders_named_like_files_are_not_passed_over(self, tmp_path: Path) -> None:
        (tmp_path / "a.jsonl").write_bytes(LINES)
        (tmp_path / "folder").mkdir()
        assert texts(tmp_path / "*") == TEXTS
        (tmp_path / "out.jsonl").mkdir()
        (tmp_path / "out.jsonl" / "part-0.jsonl").write_bytes(LINES)
        with pytest.raises(SourceError, match="is a folder"):
            FileSource(path=str(tmp_path / "*.jsonl")).partitions()

    @pytest.mark.skipif(os.geteuid() == 0, reason="everything can be read by root")
    def test_a_folder_that_cannot_be_read_is_not_passed_over(self, tmp_path: Path) -> None:
        (tmp_path / "a.jsonl").write_bytes(LINES)
        (tmp_path / "shut").mkdir(mode=0)
        with pytest.raises(SourceError, match="shut"):
            FileSource(path=str(tmp_path / "**" / "*.jsonl")).partitions()

    @pytest.mark.parametrize(
        ("path", "code"),
        [
            ("missing.jsonl", "no_file"),
            ("*.jsonl", "no_file"),
            (".", "is_folder"),
            ("a.docx", "unknown_file_format"),
            ("a", "unknown_file_format"),
            ("memory://missing.jsonl", "no_file"),
            ("nosuch://a.jsonl", "bad_url"),
        ],
    )
    def test_what_cannot_be_read_says_why(self, tmp_path: Path, path: str, code: str) -> None:
        for name in ("a.docx", "a"):
            (tmp_path / name).write_text("x")
        with pytest.raises(SourceError) as error:
            FileSource(path=path).located(tmp_path).partitions()
        assert error.value.code == code

    def test_a_changed_file_has_another_identity(self, tmp_path: Path) -> None:
        (tmp_path / "a.jsonl").write_text('{"text": "a"}')
        source = FileSource(path=str(tmp_path / "a.jsonl"))
        before = source.partitions()[0].identity
        (tmp_path / "a.jsonl").write_text('{"text": "abc"}')
        assert source.partitions()[0].identity != before


class _Ranged(AbstractBufferedFile):  # type: ignore[misc]
    def _fetch_range(self, start: int, end: int) -> bytes:
        return LINES[start:end]


class _RangedFileSystem(AbstractFileSystem):  # type: ignore[misc]
    """Like those of the object stores: files that know only ranges of bytes."""

    protocol = "s3"

    def ls(self, path: str, detail: bool = True, **_: Any) -> list[Any]:
        info = {"name": "bucket/a.jsonl", "size": len(LINES), "type": "file"}
        return [info] if detail else [info["name"]]

    def _open(self, path: str, mode: str = "rb", **_: Any) -> _Ranged:
        return _Ranged(self, path, mode, size=len(LINES))


class TestUrls:
    @pytest.fixture
    def memory(self) -> Any:
        filesystem = fsspec.filesystem("memory")
        yield filesystem
        filesystem.store.clear()

    def test_memory(self, memory: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        memory.pipe({"/in/a.jsonl": LINES, "/in/b.jsonl.gz": gzip.compress(LINES)})
        monkeypatch.setattr("datachef.core.contracts.reader.PART_BYTES", 100)
        assert texts("memory://in/a.jsonl") == TEXTS
        assert texts("memory://in/*") == TEXTS * 2

    def test_parquet_in_memory(self, memory: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        with memory.open("/a.parquet", "wb") as stream:
            pl.DataFrame(ROWS).write_parquet(stream)
        monkeypatch.setattr("datachef.core.contracts.reader.PART_BYTES", 100)
        assert texts("memory://a.parquet") == TEXTS

    @pytest.mark.parametrize("scheme", ["file", "local"])
    @pytest.mark.parametrize("pattern", ["a.jsonl", "*.jsonl"])
    def test_local_files_as_urls(self, tmp_path: Path, scheme: str, pattern: str) -> None:
        (tmp_path / "a.jsonl").write_bytes(LINES)
        assert texts(f"{scheme}://{tmp_path}/{pattern}") == TEXTS

    def test_within_an_archive(self, tmp_path: Path) -> None:
        with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
            archive.writestr("in/a.jsonl", LINES)
            archive.writestr("in/b.jsonl.gz", gzip.compress(LINES))
        assert texts(f"zip://in/a.jsonl::file://{tmp_path}/x.zip") == TEXTS
        source = FileSource(path=f"zip://in/*::file://{tmp_path}/x.zip")
        assert [partition.name for partition in source.partitions()] == ["a.jsonl", "b.jsonl.gz"]
        assert len(read(source)) == 60

    def test_a_store_that_knows_only_ranges(self, monkeypatch: pytest.MonkeyPatch) -> None:
        known = sys.modules["fsspec.registry"].__dict__["_registry"]
        monkeypatch.setitem(known, "s3", _RangedFileSystem)
        monkeypatch.setattr("datachef.core.contracts.reader.PART_BYTES", 100)
        monkeypatch.setenv("DATACHEF_ALLOW_NETWORK", "s3://bucket")
        assert texts("s3://bucket/a.jsonl") == TEXTS

    def test_query_strings_are_no_suffix(self) -> None:
        from datachef.core.files.storage import kind

        assert kind("https://host/a.jsonl.gz?download=true") == "jsonl"

    def test_in_a_worker_process(self, make_corpus: MakeCorpus, tmp_path: Path) -> None:
        (tmp_path / "a.jsonl").write_bytes(LINES)
        result = make_corpus({"s": {"path": f"file://{tmp_path}/a.jsonl"}}, engine="local")
        assert result.rows["text"].to_list() == TEXTS


class TestPool:
    def test_sources_of_a_pool_by_name(self, make_corpus: MakeCorpus, tmp_path: Path) -> None:
        (tmp_path / "pools").mkdir()
        (tmp_path / "pools" / "a.jsonl").write_bytes(b'{"q": "why", "a": "so"}\n')
        (tmp_path / "pools" / "pool.yaml").write_text(
            "sources:\n  chat:\n    path: a.jsonl\n    format: {prompt: q, completion: a}\n"
            "    licence: MIT\n"
        )
        result = make_corpus({"chat": {}}, pool="pools/pool.yaml")
        assert result.rows["messages"].to_list() == [
            [{"role": "user", "content": "why"}, {"role": "assistant", "content": "so"}]
        ]
        assert result.manifest["inputs"]["chat"]["licence"] == "MIT"
