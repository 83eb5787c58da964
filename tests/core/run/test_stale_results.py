"""What changed is done again, also where names, versions, sizes and dates stayed as they were."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from datachef.core import Host, RunError, RunObserver, RunStarted, run_recipe
from datachef.core.api import plan_recipe
from datachef.core.run.report import Report

WriteRows = Callable[..., Path]
Run = Callable[..., Report]

FILTER = """
from typing import Literal
import polars as pl
from datachef.core import Filter, hookimpl

class Short(Filter):
    "Drops short rows."
    op: Literal["short"] = "short"
    def signals(self): return {{"length": {signal}}}
    def rules(self): return {{"short": pl.col("length") < {least}}}

@hookimpl
def datachef_operators(): return [Short]
"""
SOURCE = """
from typing import ClassVar
from pydantic import Field
from datachef.core import hookimpl
from datachef.core import RawRow, Source, Partition

class Counting(Source):
    "Numbers."
    key: ClassVar[str] = "numbers"
    numbers: int = Field(description="How many.")
    word: str = Field("row", description="Before each.")
    def partitions(self): return [Partition("all", "always the same", 10)]
    def read(self, partition):
        for n in range(self.numbers):
            yield RawRow(n, n + 1, 5, {{"text": f"{{self.word}} {{n}}{mark}"}})

@hookimpl
def datachef_sources(): return [Counting]
"""


def rewrite(path: Path, content: bytes) -> None:
    """Other content under the same size and date."""
    status = path.stat()
    assert len(content) == status.st_size
    path.write_bytes(content)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


@pytest.fixture
def run(tmp_path: Path) -> Run:
    def run_it(recipe: str, *plugins: Path, **options: Any) -> Report:
        path = tmp_path / "recipe.yaml"
        path.write_text(recipe)
        host = Host([str(file) for file in plugins])
        out, cache = tmp_path / "out", tmp_path / "cache"
        return run_recipe(path, out, host=host, engine="inline", cache=cache, **options)

    return run_it


def texts(report: Report) -> list[str]:
    return pl.concat(map(pl.read_parquet, (report.folder / "data").iterdir()))["text"].to_list()


SHORT = "name: r\nsources:\n  s: {path: a.jsonl, steps: [{op: short}]}\n"


@pytest.mark.parametrize("part", ["rule", "signal"])
def test_an_edited_plugin_is_run(
    run: Run, tmp_path: Path, write_rows: WriteRows, part: str
) -> None:
    write_rows("a.jsonl", ["1", "two 2", "three 33"])
    plugin = tmp_path / "short.py"
    count = 'pl.col("text").str.{}()'
    plugin.write_text(FILTER.format(signal=count.format("len_chars"), least=2))
    assert texts(run(SHORT, plugin)) == ["two 2", "three 33"]
    changed = FILTER.format(signal=count.format("len_chars"), least=6)
    if part == "signal":
        changed = FILTER.format(signal='pl.col("text").str.count_matches("3")', least=1)
    plugin.write_text(changed)
    again = run(SHORT, plugin)
    assert (texts(again), again.partitions_cached) == (["three 33"], 0)
    assert run(SHORT, plugin).partitions_cached == 1


def test_an_edit_of_the_same_size_and_date_is_seen(
    run: Run, tmp_path: Path, write_rows: WriteRows
) -> None:
    write_rows("a.jsonl", ["1", "two 2", "three 33"])
    plugin = tmp_path / "short.py"
    signal = 'pl.col("text").str.len_chars()'
    plugin.write_text(FILTER.format(signal=signal, least=2))
    assert len(texts(run(SHORT, plugin))) == 2
    rewrite(plugin, FILTER.format(signal=signal, least=6).encode())
    assert texts(run(SHORT, plugin)) == ["three 33"]


def test_code_that_changes_after_planning_is_refused(
    run: Run, tmp_path: Path, write_rows: WriteRows
) -> None:
    write_rows("a.jsonl", ["1", "two 2", "three 33"])
    plugin = tmp_path / "short.py"
    signal = 'pl.col("text").str.len_chars()'
    plugin.write_text(FILTER.format(signal=signal, least=2))
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(SHORT)
    host = Host([str(plugin)])
    assert plan_recipe(recipe, host)
    plugin.write_text(FILTER.format(signal=signal, least=6))
    with pytest.raises(RunError, match=r"sources\.s\.steps\[0\]: Short is not the code"):
        run_recipe(recipe, tmp_path / "out", host=host, engine="inline", cache=tmp_path / "cache")


def test_an_edited_source_kind_is_read(run: Run, tmp_path: Path) -> None:
    plugin, recipe = tmp_path / "counting.py", "name: r\nsources:\n  s: {numbers: 2}\n"
    plugin.write_text(SOURCE.format(mark=""))
    assert texts(run(recipe, plugin)) == ["row 0", "row 1"]
    plugin.write_text(SOURCE.format(mark="!"))
    assert texts(run(recipe, plugin)) == ["row 0!", "row 1!"]
    other = recipe.replace("numbers: 2", "numbers: 2, word: line")
    assert texts(run(other, plugin)) == ["line 0!", "line 1!"]
    assert run(other.replace("name: r", "name: other"), plugin).partitions_cached == 1


@pytest.mark.parametrize("size", [100, 5_000_000], ids=["small", "large"])
@pytest.mark.parametrize("place", [0.0, 0.5, 1.0], ids=["head", "middle", "tail"])
def test_other_content_of_the_same_size_and_date_is_read(
    run: Run, tmp_path: Path, size: int, place: float
) -> None:
    lines = [json.dumps({"text": f"{number:08d}"}) + "\n" for number in range(size // 21 + 1)]
    path = tmp_path / "a.jsonl"
    path.write_text("".join(lines))
    recipe = "name: r\nsources:\n  s: {path: a.jsonl}\n"
    assert len(texts(run(recipe))) == len(lines)
    changed = round(place * (len(lines) - 1))
    lines[changed] = json.dumps({"text": "xxxxxxxx"}) + "\n"
    rewrite(path, "".join(lines).encode())
    assert texts(run(recipe)).index("xxxxxxxx") == changed


def test_the_date_of_a_small_file_alone_changes_nothing(
    run: Run, tmp_path: Path, write_rows: WriteRows
) -> None:
    path = write_rows("a.jsonl", ["one", "two"])
    recipe = "name: r\nsources:\n  s: {path: a.jsonl}\n"
    run(recipe)
    os.utime(path, (1, 1))
    assert run(recipe).partitions_cached == 1


def test_a_file_that_changes_after_planning_fails_the_run(
    run: Run, tmp_path: Path, write_rows: WriteRows
) -> None:
    class Writer(RunObserver):
        def run_started(self, event: RunStarted) -> None:
            write_rows("a.jsonl", ["one", "two", "three"])

    write_rows("a.jsonl", ["one", "two"])
    recipe = "name: r\nsources:\n  s: {path: a.jsonl}\n"
    with pytest.raises(RunError, match=r"a\.jsonl.* it changed after the run was planned"):
        run(recipe, observers=[Writer()])
    assert texts(run(recipe)) == ["one", "two", "three"]


def test_signals_of_another_format_are_not_taken(run: Run, tmp_path: Path) -> None:
    rows = [{"title": "t" * 50, "body": "b"}, {"title": "t", "body": "b" * 50}]
    (tmp_path / "a.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    recipe = (
        "name: r\nsources:\n  s: {{path: a.jsonl, format: {{text: {}}}, "
        "steps: [{{op: length_filter, min_chars: 10}}]}}\n"
    )
    assert texts(run(recipe.format("title"))) == ["t" * 50]
    assert texts(run(recipe.format("body"))) == ["b" * 50]


def test_signals_of_rows_that_another_decision_let_through_are_not_taken(
    run: Run, tmp_path: Path, write_rows: WriteRows
) -> None:
    """The second file is as it was, but other rows of it pass the deduplication."""
    recipe = (
        'name: r\nsources:\n  s: {path: "*.jsonl"}\n'
        "steps: [{op: exact_dedup}, {op: length_filter, min_chars: 10}]\n"
    )
    write_rows("a.jsonl", ["short"])
    write_rows("b.jsonl", ["short", "a long row of words", "brief", "another long row"])
    assert texts(run(recipe)) == ["a long row of words", "another long row"]
    write_rows("a.jsonl", ["other"])
    assert texts(run(recipe)) == ["a long row of words", "another long row"]


def test_an_edited_benchmark_is_looked_for(run: Run, tmp_path: Path, write_rows: WriteRows) -> None:
    items = [
        "where does the old river meet the cold sea",
        "which bird sings before the sun is up now",
    ]
    write_rows("a.jsonl", items)
    benchmark = tmp_path / "bench.jsonl"
    lines = [json.dumps({"prompt": item, "answer": "x"}).encode().ljust(90) for item in items]
    benchmark.write_bytes(lines[0])
    (tmp_path / "task.yaml").write_text("name: t\nbenchmark: {path: bench.jsonl}\n")
    recipe = "name: r\ntask: task.yaml\nsources:\n  s: {path: a.jsonl}\n"
    assert texts(run(recipe)) == [items[1]]
    rewrite(benchmark, lines[1])
    assert texts(run(recipe)) == [items[0]]


def test_an_edited_tokenizer_counts_anew(run: Run, tmp_path: Path, write_rows: WriteRows) -> None:
    tokenizers = pytest.importorskip("tokenizers")
    write_rows("a.jsonl", ["one two", "three"])
    recipe = "name: r\ntokenizer: tokenizer.json\nsources:\n  s: {path: a.jsonl}\n"
    path = tmp_path / "tokenizer.json"

    def save(split: Any) -> None:
        model = tokenizers.models.WordLevel({"?": 0}, unk_token="?")  # noqa: S106
        tokenizer = tokenizers.Tokenizer(model)
        tokenizer.pre_tokenizer = split
        tokenizer.save(str(path))

    save(tokenizers.pre_tokenizers.Whitespace())
    assert run(recipe).tokens == 3
    save(tokenizers.pre_tokenizers.Split("", "isolated"))
    assert run(recipe).tokens != 3


@pytest.fixture
def server() -> Iterator[tuple[str, dict[str, bytes]]]:
    """A web server that says nothing of versions, and what it serves by path."""
    files: dict[str, bytes] = {}

    class Handler(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self._answer(b"")

        def do_GET(self) -> None:
            self._answer(files[self.path])

        def _answer(self, body: bytes) -> None:
            self.send_response(200)
            self.send_header("Content-Length", str(len(files[self.path])))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Silent."""

    serving = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=serving.serve_forever, args=(0.01,))
    thread.start()
    yield f"http://127.0.0.1:{serving.server_address[1]}", files
    serving.shutdown()
    thread.join()
    serving.server_close()


def test_a_url_that_holds_something_else_is_read_again(
    run: Run, server: tuple[str, dict[str, bytes]], monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("aiohttp")
    monkeypatch.setenv("DATACHEF_ALLOW_NETWORK", "127.0.0.1")
    url, files = server
    files["/a.jsonl"] = b'{"text": "one"}\n'
    recipe = f"name: r\nsources:\n  s: {{path: {url}/a.jsonl}}\n"
    assert texts(run(recipe)) == ["one"]
    assert run(recipe).partitions_cached == 1
    files["/a.jsonl"] = b'{"text": "two"}\n'
    assert texts(run(recipe)) == ["two"]
