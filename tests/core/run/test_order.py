"""A corpus is shuffled by the seed: each file a fair sample of all sources, copies far apart."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given, strategies as st

from datachef.core import Host
from datachef.core.run import output as order, partition
from datachef.core.run.output import cut, joined, numbers

MakeCorpus = Callable[..., Any]

SOURCES = {"a": {"path": "a.jsonl"}, "b": {"path": "b.jsonl"}}
MIX = {
    "op": "weighted_mix", "weights": {"a": 0.75, "b": 0.25}, "budget": {"rows": 2000},
    "max_epochs": 3,
}  # fmt: skip


@pytest.fixture
def mixed(
    make_corpus: MakeCorpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Any]:
    """Runs a mix of 600 and 2,000 rows, in small partitions and files."""
    for name, count in {"a": 600, "b": 2000}.items():
        rows = [json.dumps({"text": f"{name} {n}"}) + "\n" for n in range(count)]
        (tmp_path / f"{name}.jsonl").write_text("".join(rows))
    monkeypatch.setenv("DATACHEF_PLUGINS", "engines,sources,mixing")
    monkeypatch.setattr("datachef.core.contracts.reader.PART_BYTES", 4000)
    monkeypatch.setattr(order, "RANGE_BYTES", 8000)

    def run(seed: int = 0, engine: str = "inline", **output: Any) -> Any:
        written = {"shard_bytes": 15_000, **output}
        return make_corpus(SOURCES, seed=seed, engine=engine, mix=MIX, output=written)

    return run


THRICE = '''
from typing import Literal
import polars as pl
from datachef.core import MixOperator, hookimpl

class Thrice(MixOperator):
    """Takes each row three times."""
    op: Literal["thrice"] = "thrice"

    def summarize(self, batch):
        return batch.select("id")

    def resolve(self, summaries, context):
        return summaries.select("id", pl.lit(3, pl.UInt32).alias("copies")).collect()

@hookimpl
def datachef_operators():
    return [Thrice]
'''


def test_copies_are_apart_for_a_mix_that_summarizes_in_its_own_way(
    mixed: Callable[..., Any], make_corpus: MakeCorpus, tmp_path: Path
) -> None:
    (tmp_path / "thrice.py").write_text(THRICE)
    result = make_corpus(SOURCES, mix={"op": "thrice"}, plugins=[tmp_path / "thrice.py"])
    copies = result.rows.with_row_index().group_by("text")
    times = copies.agg(pl.len(), pl.col("index").sort().diff().min().alias("apart"))
    assert set(times["len"]) == {3}
    assert times["apart"].min() > 7800 / 6 * 0.9
    shares = [(share.asked, round(share.share, 2)) for share in result.report.shares]
    assert shares == [(None, 0.22), (None, 0.78)]


def test_each_file_is_a_fair_sample_and_copies_are_apart(mixed: Callable[..., Any]) -> None:
    result = mixed()
    assert dict(result.rows["source"].value_counts().iter_rows()) == {"a": 1500, "b": 500}
    shards = sorted((result.report.folder / "data").iterdir())
    assert len(shards) > 3
    for shard in map(pl.read_parquet, shards):
        assert shard.height == pytest.approx(2000 / len(shards), abs=1)
        assert (shard["source"] == "a").mean() == pytest.approx(0.75, abs=0.1)
    copies = result.rows.with_row_index().filter(pl.col("source") == "a").group_by("text")
    times = copies.agg(pl.len(), pl.col("index").sort().diff().min().alias("apart"))
    assert set(times["len"]) == {2, 3}
    assert times["apart"].min() > 2000 / 6 * 0.9
    first, second = (
        result.rows.filter(pl.col("id").str.contains(end), pl.col("source") == "a")["text"]
        for end in (r"-\w{8}$", "~2$")
    )
    assert first.to_list() != second.to_list()


def test_the_seed_decides_and_nothing_else(
    mixed: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    result = mixed()
    assert mixed(engine="local").manifest == result.manifest
    monkeypatch.setattr(partition, "BATCH_BYTES", 500)
    monkeypatch.setattr(partition, "PART_BYTES", 2000)
    assert mixed(format="jsonl").rows.equals(result.rows)
    other = mixed(seed=1)
    assert other.rows["id"].to_list() != result.rows["id"].to_list()
    assert not other.rows["source"].equals(result.rows["source"])


def test_blocks_on_request(mixed: Callable[..., Any]) -> None:
    rows = mixed(order="source").rows
    assert rows["source"].rle().len() == 2
    lines = rows["text"].str.split(" ").list.last().cast(pl.Int64)
    assert all(part.is_sorted() for part in (lines[:1500], lines[1500:]))
    shuffled = mixed().rows
    assert shuffled.sort("id").equals(rows.sort("id"))


def test_rows_of_one_source_stay_in_its_order_unless_asked(
    make_corpus: MakeCorpus, tmp_path: Path
) -> None:
    (tmp_path / "a.jsonl").write_text("".join(f'{{"text": "{n}"}}\n' for n in range(50)))
    assert make_corpus("a.jsonl").rows["text"].to_list() == [str(n) for n in range(50)]
    shuffled = make_corpus("a.jsonl", output={"order": "shuffled"}).rows["text"].to_list()
    assert shuffled != sorted(shuffled, key=int)
    assert sorted(map(int, shuffled)) == list(range(50))


IDS = st.lists(
    st.from_regex(r"s/f:\d{1,3}-[0-9a-f]{8}(~[2-9])?(\.\d)?", fullmatch=True), unique=True
)


@given(
    IDS, st.integers(0, 2**62), st.integers(1, 9), st.sampled_from([1, 4, 64]), st.integers(0, 9)
)
def test_rows_come_together_again_in_order(
    ids: list[str], seed: int, copies: int, ranges: int, part: int
) -> None:
    rows = pl.DataFrame({"id": ids, "number": range(len(ids))}, schema_overrides={"id": pl.String})
    place = numbers(rows["id"], seed, copies)
    parts = [
        cut(half, numbers(half["id"], seed, copies), ranges) for half in (rows[:part], rows[part:])
    ]
    assert all(len(pieces) == ranges for pieces in parts)
    together = [
        joined([(piece.to_series(2), piece.drop(piece.columns[2])) for piece in pieces])
        for pieces in zip(*parts, strict=True)
    ]
    expected = rows[
        pl.DataFrame([place, rows["id"]]).select(pl.arg_sort_by("priority", "id")).to_series()
    ]
    assert pl.concat(together).equals(expected)


@given(st.integers(2, 12), st.integers(0, 2**62))
def test_any_two_copies_lie_apart(copies: int, seed: int) -> None:
    ids = ["s/f:0-00000000", *(f"s/f:0-00000000~{n}" for n in range(2, copies + 1))]
    places = sorted(int(n) for n in numbers(pl.Series("id", ids), seed, copies))
    gaps = [b - a for a, b in zip(places, [*places[1:], places[0] + 2**64], strict=True)]
    assert min(gaps) >= 2**64 // (2 * copies) - copies


def test_the_host_knows_the_mix() -> None:
    assert "weighted_mix" in Host(only={"mixing"}).vocabulary
