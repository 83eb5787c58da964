"""Files behind URLs, within archives, and of a pool in another folder."""

from __future__ import annotations

import gzip
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import fsspec
import polars as pl
import pytest
from fsspec.spec import AbstractBufferedFile, AbstractFileSystem
from source_rows import LINES, ROWS, TEXTS, read, texts

from datachef.plugins.sources.files import FileSource

MakeCorpus = Callable[..., Any]


class _Ranged(AbstractBufferedFile):  # type: ignore[misc]  # fsspec has no types
    def _fetch_range(self, start: int, end: int) -> bytes:
        return LINES[start:end]


class _RangedFileSystem(AbstractFileSystem):  # type: ignore[misc]  # likewise
    """Like those of the object stores: files that know only ranges of bytes."""

    protocol = "sftp"

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
        monkeypatch.setitem(known, "sftp", _RangedFileSystem)
        monkeypatch.setattr("datachef.core.contracts.reader.PART_BYTES", 100)
        monkeypatch.setenv("DATACHEF_ALLOW_NETWORK", "sftp://bucket")
        assert texts("sftp://bucket/a.jsonl") == TEXTS

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
