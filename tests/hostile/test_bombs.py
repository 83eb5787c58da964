"""Small files and recipes that unpack to far more than a machine holds are bounded before that."""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys
import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard
from command import CHEF

from datachef.core import (
    BenchmarkFile,
    DatachefError,
    RecipeError,
    RunError,
    document,
    read_benchmark,
)

MEGABYTE = 2**20
# Runs a program and tells the most memory that it or a worker of it took.
MEASURED = """
import resource, subprocess, sys
done = subprocess.run(sys.argv[1:])
print("PEAK", resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss // 1024, file=sys.stderr)
sys.exit(done.returncode)
"""


def peak_of_run(folder: Path, source: dict[str, Any], **recipe: Any) -> int:
    """Megabytes that a run over a source took at most, in whichever of its processes."""
    recipe = {"name": "bomb", "sources": {"s": source}, **recipe}
    (folder / "recipe.yaml").write_text(document.dump(recipe))
    done = subprocess.run(
        [sys.executable, "-c", MEASURED, *CHEF, "run", "recipe.yaml", "--workers", "1",
         "--output", "corpus"],
        cwd=folder,
        env=os.environ | {"DATACHEF_PLUGINS": "engines,sources"},
        capture_output=True,
        text=True,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return int(done.stderr.rpartition("PEAK ")[2])


def ledger_of(folder: Path) -> dict[str, Any]:
    entries = json.loads((folder / "corpus" / "ledger.json").read_text())
    return next(entry for entry in entries if entry["op"] == "read")


@pytest.mark.parametrize("dictionary", [True, False])
def test_a_parquet_file_is_read_in_parts_whatever_it_unpacks_to(
    dictionary: bool, tmp_path: Path
) -> None:
    large = "large " * (MEGABYTE // 6)
    indices = pa.array([0] * 1000, pa.int32())
    texts = pa.DictionaryArray.from_arrays(indices, pa.array([large]))
    table = pa.table({"id": [str(i) for i in range(1000)], "large": texts, "text": ["x"] * 1000})
    if not dictionary:
        table = table.set_column(1, "large", texts.cast(pa.string()))
    path = tmp_path / "bomb.parquet"
    pq.write_table(
        table, path, compression="zstd", use_dictionary=dictionary, store_schema=False,
        dictionary_pagesize_limit=4 * MEGABYTE, write_batch_size=16,
    )  # fmt: skip
    assert path.stat().st_size < MEGABYTE
    source = {"path": "bomb.parquet", "format": {"text": "text"}}
    assert peak_of_run(tmp_path, source) < 850  # of which a process takes 200 anyway
    assert ledger_of(tmp_path)["rows_out"] == 1000


def test_rows_of_tables_that_are_too_large_fail_and_leave_the_others(
    tmp_path: Path, make_corpus: Callable[..., Any]
) -> None:
    texts = ["one", "x" * (65 * MEGABYTE), "two"]
    pl.DataFrame({"text": texts}).write_parquet(tmp_path / "rows.parquet")
    made = make_corpus({"s": {"path": str(tmp_path / "rows.parquet"), "max_failed": 0.5}})
    assert made.rows["text"].to_list() == ["one", "two"]
    assert made.rejects["reason"].to_list() == ["row_too_large"]


def test_lists_of_billions_in_a_few_bytes_are_not_read(
    tmp_path: Path, make_corpus: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("datachef.core.files.parquet._MOST_IN_LISTS", 10**6)
    values = pa.ListArray.from_arrays(
        pa.array([0, 1, 10**6], pa.int32()), pa.nulls(10**6, pa.int8())
    )
    table = pa.table({"text": ["a", "b"], "numbers": values})
    pq.write_table(table, tmp_path / "rows.parquet")
    said = r"'numbers.*makes 8,000,000 bytes of .* with smaller row groups"
    with pytest.raises(RecipeError, match=said):
        make_corpus({"s": {"path": str(tmp_path / "rows.parquet")}})


@pytest.mark.parametrize("depth", [300, 3_000])
def test_columns_nested_beyond_reason_crash_nothing(
    depth: int, tmp_path: Path, make_corpus: Callable[..., Any]
) -> None:
    program = (
        "import pyarrow as pa, pyarrow.parquet as pq, sys\nkind = pa.int64()\n"
        f"for _ in range({depth}): kind = pa.list_(kind)\n"
        "table = pa.table({'text': ['a'], 'deep': pa.nulls(1, kind)})\n"
        "pq.write_table(table, sys.argv[1], store_schema=False)\n"
    )
    subprocess.run([sys.executable, "-c", program, tmp_path / "deep.parquet"], check=True)
    with pytest.raises(RecipeError, match="nested too deeply"):
        make_corpus({"s": {"path": str(tmp_path / "deep.parquet")}})


@pytest.mark.parametrize("suffix", ["gz", "zst"])
def test_a_packed_file_that_is_made_to_fill_the_disk_breaks_off(
    suffix: str, tmp_path: Path, make_corpus: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("datachef.core.files.storage.MOST_UNPACKED", 2 * MEGABYTE)
    pack = gzip.compress if suffix == "gz" else zstandard.compress
    line = b'{"text": "' + b"a" * 1_000 + b'"}\n'
    path = tmp_path / f"rows.jsonl.{suffix}"
    path.write_bytes(pack(line * 40_000))
    said = r"(?s)bytes of it unpack to more than .* name the unpacked file"
    with pytest.raises((RecipeError, RunError), match=said):
        make_corpus({"s": {"path": str(path)}})
    path.write_bytes(pack(line * 1_500))  # packed as well, and small
    assert make_corpus({"s": {"path": str(path)}}).rows.height == 1_500


def test_a_text_that_is_too_large_for_a_row_can_be_read_by_line(
    tmp_path: Path, make_corpus: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("datachef.core.files.readers.MAX_ROW_BYTES", 1_000)
    path = tmp_path / "book.txt"
    path.write_text("a line of a book\n" * 100)
    with pytest.raises(RecipeError, match="too large for one row: rows: line"):
        make_corpus({"s": {"path": str(path)}})
    assert make_corpus({"s": {"path": str(path), "rows": "line"}}).rows.height == 100


@pytest.mark.parametrize("name", ["a.jsonl.bz2", "a.jsonl.xz", "a.zip", "a.tar"])
def test_what_is_packed_in_other_ways_is_to_be_unpacked(
    name: str, tmp_path: Path, make_corpus: Callable[..., Any]
) -> None:
    (tmp_path / name).write_bytes(b"BZh9")
    with pytest.raises(RecipeError, match="unpack it first, or pack it with gzip or zstd"):
        make_corpus({"s": {"path": str(tmp_path / name)}})


def test_a_composition_is_bounded_in_fields_and_in_what_they_make(
    tmp_path: Path, make_corpus: Callable[..., Any]
) -> None:
    with (tmp_path / "rows.jsonl").open("w") as stream:
        for size in (1, 10 * MEGABYTE, 2, 3):
            stream.write(json.dumps({"body": "x" * size}) + "\n")
    source = {"path": str(tmp_path / "rows.jsonl"), "max_failed": 0.5}
    made = make_corpus({"s": source | {"format": {"text": "{body}" * 7}}})
    assert made.rows["text"].str.len_chars().to_list() == [7, 14, 21]
    assert made.rejects["reason"].to_list() == ["row_too_large"]
    with pytest.raises(RecipeError, match="at most 100 fields"):
        make_corpus({"s": source | {"format": {"text": "{body}" * 101}}})


def test_batches_are_cut_by_what_is_made_of_rows(tmp_path: Path) -> None:
    with (tmp_path / "rows.jsonl").open("w") as stream:
        for number in range(200):
            stream.write(json.dumps({"body": f"{number} " + "x" * 20_000}) + "\n")
    source = {"path": "rows.jsonl", "format": {"text": "{body}" * 100}}
    # 400 MB are made of 4, and held once in the end; in one go it takes 1,630
    assert peak_of_run(tmp_path, source) < 1_250
    assert ledger_of(tmp_path)["rows_out"] == 200


GROWING = '''
from typing import Literal
import polars as pl
from datachef.core import TextTransform, hookimpl

class Grow(TextTransform):
    """Repeats texts that ask for it."""
    op: Literal["grow"] = "grow"
    def rewrite(self, text):
        return text.map_elements(
            lambda t: t * (65 << 20) if t == "g" else t, return_dtype=pl.String
        )

@hookimpl
def datachef_operators():
    return [Grow]
'''


def test_a_step_that_makes_rows_too_large_fails_them(
    tmp_path: Path, make_corpus: Callable[..., Any]
) -> None:
    (tmp_path / "grow.py").write_text(GROWING)
    (tmp_path / "rows.jsonl").write_text('{"text": "a"}\n{"text": "g"}\n{"text": "b"}\n')
    made = make_corpus(
        {"s": {"path": str(tmp_path / "rows.jsonl"), "max_failed": 0.5}},
        plugins=[tmp_path / "grow.py"],
        steps=[{"op": "grow"}],
    )
    assert made.rows["text"].to_list() == ["a", "b"]
    assert made.report.ledger["steps[0]"].failed == {"row_too_large": 1}


@pytest.mark.parametrize("composed", [False, True])
def test_a_benchmark_is_bounded_as_it_is_unpacked(
    composed: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "items.jsonl.gz"
    item = json.dumps({"q": "why " * 250, "a": "so"}).encode() + b"\n"
    path.write_bytes(gzip.compress(item * 100))
    benchmark = BenchmarkFile(path=str(path), prompt="{q}" * 90 if composed else "q", answer="a")
    if not composed:
        monkeypatch.setattr("datachef.core.rows.benchmark.MOST_BYTES", 50_000)
    else:
        monkeypatch.setattr("datachef.core.rows.benchmark.MOST_BYTES", 1_000_000)
    with pytest.raises(DatachefError, match="holds more than"):
        read_benchmark(benchmark)
    monkeypatch.setattr("datachef.core.rows.benchmark.MOST_BYTES", 10**9)
    assert len(read_benchmark(benchmark)) == 100


@pytest.mark.parametrize(
    ("text", "repaired"),
    [
        ("&" + "amp;" * 10_000 + "lt;b", "<b"),
        ("&" + "#38;" * 10_000 + "x", "&x"),
        ("&" + "amp;#38;" * 5_000 + "lt;", "<"),
        ("&amp;amp;amp;gt; 1", "> 1"),
        ("&amp;lt;b&gt; &eacute;", "<b> é"),
    ],
)
def test_entities_within_entities_take_no_longer_than_others(text: str, repaired: str) -> None:
    from datachef.operators.transforms.fix_unicode import FixUnicode

    assert FixUnicode().rewrite(pl.Series([text])).to_list() == [repaired]


@pytest.mark.parametrize("form", ["NFC", "NFKC"])
@pytest.mark.parametrize("marks", ["\u0301\u0323", "\u0f73\u0301\u0f74", "\u0344\u0323\uff9e"])
def test_marks_without_end_take_no_longer_than_other_text(
    marks: str, form: Literal["NFC", "NFKC"]
) -> None:
    from datachef.operators.transforms.fix_unicode import FixUnicode

    fix = FixUnicode.model_validate({"normalization": form})
    short = f"e{marks * 40} and \u00e9{marks * 50}"
    normal = unicodedata.normalize(form, short)
    assert fix.rewrite(pl.Series("text", [short])).to_list() == [normal]
    (long,) = fix.rewrite(pl.Series("text", [f"e{marks * 50_000}"]))
    assert unicodedata.is_normalized(form, long)


def test_entities_that_are_told_by_entities_end_too() -> None:
    from datachef.operators.transforms.fix_unicode import FixUnicode

    nested = "&#" * 10_000 + "5" + "3;" * 10_000
    (result,) = FixUnicode().rewrite(pl.Series([nested]))
    assert nested.startswith("&#" * 9_900) and result.startswith("&#" * 9_900)


TURNS = [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}]
DEEP = "[" * 100_000 + "]" * 100_000


@pytest.mark.parametrize("place", ["messages", "tools", "arguments"])
def test_json_within_a_row_that_nests_without_end_costs_that_row(
    place: str, tmp_path: Path, make_corpus: Callable[..., Any]
) -> None:
    call = {"function": {"name": "f", "arguments": DEEP}}
    hostile: dict[str, Any] = {
        "messages": {"messages": DEEP},
        "tools": {"messages": TURNS, "tools": DEEP},
        "arguments": {"messages": [TURNS[0], TURNS[1] | {"tool_calls": [call]}]},
    }[place]
    rows = [{"messages": TURNS}] * 3 + [hostile] + [{"messages": TURNS}] * 300 + [hostile]
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    made = make_corpus({"s": {"path": str(path)}}, output={"schema": "messages"})
    assert made.rows.height == 303
    assert made.rejects["reason"].to_list() == ["nested_too_deeply"] * 2


@pytest.mark.parametrize("form", ["jsonl", "csv"])
def test_rows_of_very_many_fields_are_read_and_the_fields_left_out_are_told(
    form: str, tmp_path: Path, make_corpus: Callable[..., Any]
) -> None:
    names = [f"field_{number}" for number in range(50_000)]
    path = tmp_path / f"rows.{form}"
    if form == "csv":
        path.write_text(",".join(["text", *names]) + "\n" + "a" + ",1" * len(names) + "\n")
    else:
        path.write_text(json.dumps({"text": "a"} | dict.fromkeys(names, 1)) + "\n")
    made = make_corpus(path)
    assert made.rows["text"].to_list() == ["a"]
    assert len(made.report.ignored_fields["s"]) == 45_000
