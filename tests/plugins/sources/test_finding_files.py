"""Which files a path names: patterns, folders, links, and what is no file."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from source_rows import LINES, TEXTS, read, texts

from datachef.core import RecipeError, SourceError
from datachef.plugins.sources.files import FileSource

MakeCorpus = Callable[..., Any]


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
