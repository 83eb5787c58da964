"""What of a file behind a URL is transferred: what is read of it, and once."""

from __future__ import annotations

import gzip
import io
from pathlib import Path

import polars as pl
import pytest
import zstandard
from web_server import Web, served

from datachef.core import Host, run_recipe
from datachef.core.files import range_stream, ranges
from datachef.core.system.network import ALLOWED

RECIPE = """
name: elsewhere
sources:
  pages: {{path: "{path}"}}
"""
ROWS = 20_000


@pytest.fixture
def table() -> pl.DataFrame:
    """Rows that do not pack well, so that most of the file is rows and not its footer."""
    number = pl.int_range(ROWS, eager=True).alias("n")
    text = pl.concat_str([number.hash(seed).cast(pl.String) for seed in range(8)], separator=" ")
    return pl.DataFrame(number).with_columns(text.alias("text"))


class Flaky(Web):
    """Every third answer that is a part of a file is half of it."""

    answered = 0

    def answer(self, path, headers, body):
        status, said, content = super().answer(path, headers, body)
        if status == 206:
            self.answered += 1
            if self.answered % 3 == 0:
                content = content[: len(content) // 2]
        return status, said, content


@pytest.fixture
def allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(ALLOWED, "127.0.0.1")
    monkeypatch.setattr(ranges, "FIRST_PAUSE", 0.01)
    monkeypatch.setattr("datachef.plugins.sources.files.part_bytes_of", lambda size: size // 10)


def packed(table: pl.DataFrame) -> bytes:
    raw = io.BytesIO()
    table.write_parquet(raw, row_group_size=500)
    return raw.getvalue()


def run(folder: Path, path: str, parts: int = 10) -> pl.DataFrame:
    recipe = folder / "recipe.yaml"
    recipe.write_text(RECIPE.format(path=path))
    report = run_recipe(
        recipe, folder / "out", host=Host(), engine="inline", cache=folder / "cache"
    )
    assert report.partitions == parts
    return report.corpus.collect().select("text")


@pytest.mark.usefixtures("allowed")
@pytest.mark.parametrize("site", [Web, Flaky])
def test_each_row_group_of_a_parquet_file_is_fetched_once(
    tmp_path: Path, table: pl.DataFrame, site: type[Web]
) -> None:
    raw = packed(table)
    assert len(raw) > 1_500_000
    with served(site(files={"/a.parquet": raw}, headers={"ETag": '"1"'})) as web:
        assert run(tmp_path, f"{web.url}/a.parquet").equals(table.select("text"))
    footers = 11 * ranges.TAIL  # one for each part, and one when the parts are found
    if site is Web:  # the first rows are also looked at when the recipe is checked
        assert web.sent < 1.15 * len(raw) + footers


@pytest.mark.usefixtures("allowed")
@pytest.mark.parametrize("suffix", ["jsonl", "jsonl.gz", "jsonl.zst"])
def test_lines_are_transferred_once(
    tmp_path: Path, table: pl.DataFrame, monkeypatch: pytest.MonkeyPatch, suffix: str
) -> None:
    monkeypatch.setattr(range_stream, "FIRST_BYTES", 2**12)
    monkeypatch.setattr("datachef.plugins.sources.files.part_bytes_of", lambda size: size // 10 + 1)
    raw = table.write_ndjson().encode()
    stored = {"gz": gzip.compress, "zst": zstandard.compress}.get(suffix.rpartition(".")[2], bytes)(
        raw
    )
    with served(Flaky(files={f"/a.{suffix}": stored}, headers={"ETag": '"1"'})) as web:
        url = f"{web.url}/a.{suffix}"
        assert run(tmp_path, url, 10 if suffix == "jsonl" else 1).equals(table.select("text"))
    # what a third of the answers lack is asked for again, and each part has a line beyond its end
    assert web.sent < 1.35 * len(stored) + 11 * 2**14 + 2**16


@pytest.mark.usefixtures("allowed")
def test_a_server_that_gives_whole_files_alone_is_read_too(
    tmp_path: Path, table: pl.DataFrame
) -> None:
    class Whole(Web):
        def answer(self, path, headers, body):
            return super().answer(path, {}, body)

    with served(Whole(files={"/a.parquet": packed(table)}, headers={"ETag": '"1"'})) as web:
        assert run(tmp_path, f"{web.url}/a.parquet", 11).equals(table.select("text"))
