"""Files that cannot be read to their end fail the run beyond the number that is allowed."""

from __future__ import annotations

import gzip
import io
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import zstandard

from datachef.core import RecipeError, RunError
from datachef.core.files import storage
from datachef.plugins.sources import files

MakeCorpus = Callable[..., Any]

TEXTS = [f"{number} {os.urandom(20).hex()}" for number in range(20_000)]
GOOD = "".join(json.dumps({"text": f"good {number}"}) + "\n" for number in range(30)).encode()


def content(name: str, texts: list[str] = TEXTS) -> bytes:
    if ".jsonl" in name:
        return "".join(json.dumps({"text": text}) + "\n" for text in texts).encode()
    if ".json" in name:
        return json.dumps([{"text": text} for text in texts]).encode()
    return "\n".join(["text", *texts]).encode()


def packed(name: str, raw: bytes) -> bytes:
    if name.endswith(".gz"):
        return gzip.compress(raw)
    return zstandard.ZstdCompressor().compress(raw) if name.endswith(".zst") else raw


CUT = ["a.jsonl.gz", "a.jsonl.zst", "a.csv.gz", "a.tsv.zst", "a.txt.zst", "a.json.gz", "a.json"]


class TestCutOff:
    @pytest.mark.parametrize("name", CUT)
    def test_fails_the_run_and_says_how_far_it_was_read(
        self, make_corpus: MakeCorpus, tmp_path: Path, name: str
    ) -> None:
        whole = packed(name, content(name))
        cut = len(whole) * 2 // 3
        (tmp_path / name).write_bytes(whole[:cut])
        (tmp_path / "b.jsonl").write_bytes(GOOD)
        source = {"path": ["b.jsonl", name], "rows": "line", "max_failed": 1.0}
        with pytest.raises(RunError, match="1 file cannot be read to the end") as error:
            make_corpus({"s": source})
        message = str(error.value)
        assert f"{name}: " in message
        assert f"of {cut:,} bytes and " in message
        assert "max_failed_files: 1" in error.value.hint

    @pytest.mark.parametrize("name", CUT)
    def test_where_it_is_allowed_the_rows_before_are_kept_and_counted(
        self, make_corpus: MakeCorpus, tmp_path: Path, name: str
    ) -> None:
        whole = packed(name, content(name))
        cut = len(whole) * 2 // 3
        (tmp_path / name).write_bytes(whole[:cut])
        result = make_corpus({"s": {"path": name, "rows": "line", "max_failed_files": 1}})
        read = [text for text in result.rows["text"] if text != "text"]
        assert 8_000 < len(read) < 20_000
        assert read == TEXTS[: len(read)]
        entry = result.report.ledger["sources.s"]
        assert entry.failed.total() == 0
        assert entry.rows_in == result.rows.height
        broken = entry.broken[name]
        assert (broken.size, broken.rows_read) == (cut, result.rows.height)
        assert cut // 2 < broken.bytes_read <= cut
        ledger = json.loads((result.report.folder / "ledger.json").read_bytes())
        assert ledger[0]["broken"][0]["file"] == name
        card = (result.report.folder / "README.md").read_text()
        assert f"1 file was not read to the end: {name}: " in card

    def test_many_of_them_are_named_at_once(self, make_corpus: MakeCorpus, tmp_path: Path) -> None:
        for name in "abc":
            raw = gzip.compress(content("a.jsonl"))
            (tmp_path / f"{name}.jsonl.gz").write_bytes(raw[:-100])
        source = {"path": "*.gz", "max_failed_files": 2}
        with pytest.raises(RunError, match="3 files cannot be read to the end") as error:
            make_corpus({"s": source})
        assert all(f"{name}.jsonl.gz" in str(error.value) for name in "abc")
        assert len(
            make_corpus({"s": source | {"max_failed_files": 3}}).report.ledger["sources.s"].broken
        )

    def test_check_says_it_where_the_first_rows_show_it(
        self, make_corpus: MakeCorpus, tmp_path: Path
    ) -> None:
        (tmp_path / "a.jsonl.gz").write_bytes(gzip.compress(GOOD)[:-20])
        with pytest.raises(RecipeError, match="broken_file"):
            make_corpus("a.jsonl.gz")

    def test_a_text_file(self, make_corpus: MakeCorpus, tmp_path: Path) -> None:
        (tmp_path / "a.txt.gz").write_bytes(gzip.compress(os.urandom(1000).hex().encode())[:-100])
        (tmp_path / "b.txt").write_text("whole")
        result = make_corpus({"s": {"path": "*.txt*", "max_failed_files": 1}})
        assert result.rows["text"].to_list() == ["whole"]
        assert result.report.ledger["sources.s"].rows_in == 1


def _with_wrong_sum() -> bytes:
    raw = bytearray(gzip.compress(GOOD))
    raw[-8] ^= 0xFF
    return bytes(raw)


DAMAGED = {
    "rubbish after gz": ("a.jsonl.gz", gzip.compress(GOOD) + b"rubbish" * 9),
    "rubbish after zst": ("a.jsonl.zst", packed("a.zst", GOOD) + b"rubbish" * 9),
    "a wrong check sum": ("a.jsonl.gz", _with_wrong_sum()),
    "the second member cut": ("a.jsonl.gz", gzip.compress(GOOD) + gzip.compress(GOOD)[:-9]),
    "the second frame cut": ("a.jsonl.zst", (packed("a.zst", GOOD) * 2)[:-5]),
}


@pytest.mark.parametrize(("name", "raw"), DAMAGED.values(), ids=DAMAGED)
def test_damage_at_the_end(make_corpus: MakeCorpus, tmp_path: Path, name: str, raw: bytes) -> None:
    (tmp_path / name).write_bytes(raw)
    with pytest.raises((RecipeError, RunError), match=name):
        make_corpus(name)
    result = make_corpus({"s": {"path": name, "max_failed_files": 1}})
    assert result.rows.height in (30, 60)
    assert len(result.report.ledger["sources.s"].broken) == 1


WRONG = {
    "gz without its name": ("a.jsonl", gzip.compress(GOOD), "gzip data"),
    "zst without its name": ("a.csv", packed("a.zst", GOOD), "zstd data"),
    "a zip archive": ("a.txt", b"PK\x03\x04 and more", "zip data"),
    "a pointer of Git LFS": (
        "a.txt",
        b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a2146\nsize 12345\n",
        "pointer of Git LFS",
    ),
    "not gz": ("a.jsonl.gz", GOOD, "Not a gzipped file"),
    "not zst": ("a.jsonl.zst", GOOD, "a.jsonl.zst"),
    "an empty gz": ("a.jsonl.gz", b"", "holds no byte"),
    "an empty zst": ("a.csv.zst", b"", "holds no byte"),
    "an empty Parquet file": ("a.parquet", b"", "a.parquet"),
    "another encoding": ("a.jsonl", "\ufeffa".encode("utf-16-le"), "byte order mark of utf-16-le"),
    "a header that is twice the same": ("a.csv", b"text,x,x\na,1,2\n", "'x' twice"),
    "a header whose quote never closes": ("a.csv", b'"text,x\na,1\n', "the header"),
}


@pytest.mark.parametrize(("name", "raw", "said"), WRONG.values(), ids=WRONG)
def test_a_file_that_is_not_what_its_name_says(
    make_corpus: MakeCorpus, tmp_path: Path, name: str, raw: bytes, said: str
) -> None:
    (tmp_path / name).write_bytes(raw)
    (tmp_path / "0.jsonl").write_bytes(GOOD)
    with pytest.raises(RecipeError, match=said):
        make_corpus({"s": {"path": name, "encoding": "cp1252"}})
    both = {"path": ["0.jsonl", name], "rows": "line"}
    with pytest.raises((RecipeError, RunError), match=said if name != "a.jsonl" else "gzip|json"):
        make_corpus({"s": both | {"encoding": "cp1252"}})
    result = make_corpus({"s": both | {"encoding": "cp1252", "max_failed_files": 1}})
    assert result.rows.height == 30
    assert list(result.report.ledger["sources.s"].broken) == [name]


class TestReadToTheEnd:
    def test_a_window_of_two_gigabytes(self, make_corpus: MakeCorpus, tmp_path: Path) -> None:
        parameters = zstandard.ZstdCompressionParameters.from_level(
            3, window_log=31, enable_ldm=True
        )
        compressor = zstandard.ZstdCompressor(compression_params=parameters).compressobj()
        (tmp_path / "a.jsonl.zst").write_bytes(compressor.compress(GOOD) + compressor.flush())
        assert (
            zstandard.get_frame_parameters((tmp_path / "a.jsonl.zst").read_bytes()).window_size
            == 2**31
        )
        assert make_corpus("a.jsonl.zst").rows.height == 30

    @pytest.mark.parametrize("name", ["a.jsonl.gz", "a.jsonl.zst"])
    def test_members_and_frames(self, make_corpus: MakeCorpus, tmp_path: Path, name: str) -> None:
        raw = b"".join(packed(name, GOOD) for _ in range(5))
        (tmp_path / name).write_bytes(raw)
        assert make_corpus(name).rows.height == 150

    def test_an_empty_file_holds_no_rows(self, make_corpus: MakeCorpus, tmp_path: Path) -> None:
        for name in ("b.jsonl", "c.csv", "d.json", "e.tsv"):
            (tmp_path / name).write_bytes(b"")
        (tmp_path / "a.jsonl").write_bytes(GOOD)
        assert make_corpus({"s": {"path": ["a.jsonl", "[b-e].*"]}}).rows.height == 30


class TestParquet:
    @pytest.fixture
    def damaged(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        file = tmp_path / "a.parquet"
        texts = [f"{i} " + str(hash(i * 77.5)) * 5 for i in range(4000)]
        pl.DataFrame({"text": texts}).write_parquet(file, row_group_size=400)
        raw = bytearray(file.read_bytes())
        raw[len(raw) // 2 : len(raw) // 2 + 500] = b"\xff" * 500
        file.write_bytes(raw)
        monkeypatch.setattr("datachef.core.contracts.reader.PART_BYTES", len(raw) // 3 + 1)
        return file

    def test_a_damaged_row_group_fails_the_run(
        self, make_corpus: MakeCorpus, damaged: Path
    ) -> None:
        with pytest.raises(RunError, match=r"a\.parquet: .*bytes and 3,[26]00 rows"):
            make_corpus("a.parquet")

    def test_where_it_is_allowed_only_its_rows_are_lost(
        self, make_corpus: MakeCorpus, damaged: Path
    ) -> None:
        result = make_corpus({"s": {"path": "a.parquet", "max_failed_files": 1, "max_failed": 0}})
        entry = result.report.ledger["sources.s"]
        assert entry.rows_in == 4000
        assert entry.failed["broken_file"] == 4000 - result.rows.height
        assert result.rows.height in (3200, 3600)
        assert entry.broken["a.parquet"].rows_read == result.rows.height

    def test_a_file_without_its_end(self, make_corpus: MakeCorpus, tmp_path: Path) -> None:
        pl.DataFrame({"text": ["a"] * 50}).write_parquet(tmp_path / "a.parquet")
        (tmp_path / "b.parquet").write_bytes((tmp_path / "a.parquet").read_bytes()[:-50])
        with pytest.raises(RecipeError, match=r"b\.parquet"):
            make_corpus("*.parquet")
        result = make_corpus({"s": {"path": "*.parquet", "max_failed_files": 1}})
        assert result.rows.height == 50
        assert list(result.report.ledger["sources.s"].broken) == ["b.parquet"]


class TestChanges:
    """Files that are others when they are read than when the run was planned."""

    @pytest.fixture
    def after_planning(self, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
        def do(action: Callable[[], object]) -> None:
            read = files.FileSource.read
            calls = 0

            def reading(self: Any, partition: Any) -> Iterator[Any]:
                nonlocal calls
                calls += 1
                if calls == 2:  # the first is the look at its first rows
                    action()
                yield from read(self, partition)

            monkeypatch.setattr(files.FileSource, "read", reading)

        return do

    @pytest.mark.parametrize(
        ("change", "said"),
        [
            (lambda file: file.write_bytes(GOOD[:100]), "it changed"),
            (lambda file: file.write_bytes(GOOD + GOOD), "it changed"),
            (lambda file: file.unlink(), "it is gone"),
        ],
        ids=["shrinks", "grows", "vanishes"],
    )
    def test_fails_the_run(
        self, make_corpus: MakeCorpus, tmp_path: Path, after_planning: Any, change: Any, said: str
    ) -> None:
        file = tmp_path / "a.jsonl"
        file.write_bytes(GOOD)
        after_planning(lambda: change(file))
        with pytest.raises(RunError, match=said):
            make_corpus("a.jsonl")

    def test_an_error_of_the_disk_is_tried_again_by_the_next_run(
        self,
        make_corpus: MakeCorpus,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        after_planning: Any,
    ) -> None:
        (tmp_path / "a.jsonl").write_bytes(GOOD * 1000)
        broken = monkeypatch.context()

        class Failing(io.FileIO):
            taken = 0

            def readinto(self, buffer: Any) -> int:
                self.taken += 1
                if self.taken > 1:
                    raise OSError(5, "Input/output error")
                return super().readinto(memoryview(buffer)[:100_000])

        def opening(path: str, *_: Any) -> Any:
            return io.BufferedReader(Failing(path), 1 << 20)

        with broken as patch:
            after_planning(lambda: patch.setattr(storage, "open", opening, raising=False))
            with pytest.raises(RunError, match="the disk reports an error"):
                make_corpus({"s": {"path": "a.jsonl"}})
        assert make_corpus("a.jsonl").rows.height == 30_000


def test_a_damaged_file_is_not_read_again(make_corpus: MakeCorpus, tmp_path: Path) -> None:
    (tmp_path / "a.jsonl.gz").write_bytes(gzip.compress(content("a.jsonl"))[:-50])
    source = {"path": "a.jsonl.gz", "max_failed_files": 1}
    first = make_corpus({"s": source})
    again = make_corpus({"s": source})
    assert again.report.partitions_cached == again.report.partitions == first.report.partitions
    assert list(again.report.ledger["sources.s"].broken) == ["a.jsonl.gz"]
