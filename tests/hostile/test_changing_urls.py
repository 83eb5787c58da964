"""Files behind URLs: what tells one version from another, and what changes while it is read."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from datachef.core import RecipeError, RunError
from datachef.core.system.network import ALLOWED
from datachef.plugins.sources import files

pytest.importorskip("aiohttp")

from web_server import LINES, Web

MakeCorpus = Callable[..., Any]


class TestVersions:
    """Files behind URLs: what tells one version from another, and what changes while it is read."""

    @pytest.fixture(autouse=True)
    def _allowed(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv(ALLOWED, "127.0.0.1")

    LARGE = LINES * 4_000

    @pytest.mark.parametrize("stated", ["ETag", "Last-Modified"])
    def test_a_version_that_is_stated_is_taken_from_the_cache(
        self, web: Web, make_corpus: MakeCorpus, stated: str
    ) -> None:
        web.files["/a.jsonl"] = self.LARGE
        web.headers[stated] = "Sat, 28 Nov 2026 10:00:00 GMT"
        make_corpus(f"{web.url}/a.jsonl")
        assert make_corpus(f"{web.url}/a.jsonl").report.partitions_cached == 1
        web.headers[stated] = "Sat, 28 Nov 2026 10:00:01 GMT"
        web.files["/a.jsonl"] = self.LARGE.replace(b"row 4", b"new 4")
        result = make_corpus(f"{web.url}/a.jsonl")
        assert result.report.partitions_cached == 0
        assert result.rows["text"][4] == "new 4"

    def test_without_one_nothing_large_is_taken_from_the_cache(
        self, web: Web, make_corpus: MakeCorpus
    ) -> None:
        web.files["/a.jsonl"] = self.LARGE
        first = make_corpus(f"{web.url}/a.jsonl")
        web.files["/a.jsonl"] = self.LARGE[:-8] + b' 4"}\n   '.rjust(8)
        again = make_corpus(f"{web.url}/a.jsonl")
        assert (first.report.partitions_cached, again.report.partitions_cached) == (0, 0)
        assert first.rows["id"].to_list()[:100] == again.rows["id"].to_list()[:100]

    @pytest.mark.parametrize("headers", [{"ETag": '"1"'}, {}])
    def test_one_that_changes_while_it_is_read_fails_the_run(
        self,
        web: Web,
        make_corpus: MakeCorpus,
        monkeypatch: pytest.MonkeyPatch,
        headers: dict[str, str],
    ) -> None:
        web.files["/a.jsonl"] = LINES
        web.headers.update(headers)
        verify = files.verify_remote

        def changing(*arguments: Any) -> None:
            verify(*arguments)
            web.files["/a.jsonl"] = LINES.replace(b"row", b"new")
            web.headers.update(dict.fromkeys(headers, '"2"'))

        monkeypatch.setattr(files, "verify_remote", changing)
        with pytest.raises((RunError, RecipeError), match="it changed after the run was planned"):
            make_corpus(f"{web.url}/a.jsonl")

    def test_an_archive_that_changes_is_another(
        self, web: Web, make_corpus: MakeCorpus, tmp_path: Path
    ) -> None:
        for text in ("one", "two"):
            with zipfile.ZipFile(tmp_path / f"{text}.zip", "w") as archive:
                archive.writestr("in.jsonl", json.dumps({"text": text}))
        web.files["/a.zip"] = (tmp_path / "one.zip").read_bytes()
        url = f"zip://in.jsonl::{web.url}/a.zip"
        assert make_corpus(url).rows["text"].to_list() == ["one"]
        assert make_corpus(url).report.partitions_cached == 1
        web.files["/a.zip"] = (tmp_path / "two.zip").read_bytes()
        assert make_corpus(url).rows["text"].to_list() == ["two"]
