"""A decision is kept in parts, and each partition is given its own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal

import polars as pl
import pytest
from hypothesis import given, strategies as st

from datachef.core import (
    Context,
    CorpusOperator,
    Host,
    OrderOperator,
    Outcome,
    PluginError,
    RunError,
    run_recipe,
)
from datachef.core.run.decision import write_decision
from datachef.core.run.memory_store import MemoryStore
from datachef.core.run.report import Report

LINES = st.lists(st.lists(st.integers(0, 30), max_size=6), min_size=1, max_size=6)


class Named(CorpusOperator):
    """Drops the rows that it is told to."""

    op: Literal["named"] = "named"

    def summarize(self, batch: pl.DataFrame) -> pl.DataFrame:
        return batch.select("id")

    def reasons(self) -> tuple[str, ...]:
        return ("dropped",)

    def resolve(self, summaries: pl.LazyFrame, context: Context) -> pl.DataFrame:
        raise NotImplementedError


class Lines(Named):
    """Says several things of a row, in a form of its own."""

    @property
    def decides(self) -> str:
        return ""

    @property
    def decides_by_row(self) -> bool:
        return True


class Threshold(Named):
    """Decides on no single row."""

    def apply(self, batch: pl.DataFrame, decision: pl.DataFrame) -> Outcome:
        return Outcome(batch)


class Placed(OrderOperator, Named):
    """Says where rows stand."""

    op: Literal["named"] = "named"


def kept(
    operator: CorpusOperator, summaries: Sequence[pl.DataFrame], answer: pl.DataFrame | pl.LazyFrame
) -> tuple[pl.DataFrame, dict[str, pl.DataFrame]]:
    """What is kept of an answer for all tables of summaries, and for those that are named by their
    numbers."""
    store = MemoryStore()
    tables = [(str(n), store.write(str(n), "summary", table)) for n, table in enumerate(summaries)]
    record = write_decision("key", operator, answer, pl.concat(summaries).lazy(), tables, store)
    found = [store.read("key", facts) for facts in record["files"][0]["pieces"]]
    return found[0], {name: found[number] for name, number in record["pieces"].items()}


def ids_of(numbers: list[list[int]]) -> list[list[str]]:
    return [[f"{part}-{number}" for number in own] for part, own in enumerate(numbers)]


def named(ids: Sequence[str]) -> pl.DataFrame:
    return pl.DataFrame({"id": pl.Series(ids, dtype=pl.String)})


@given(LINES, st.booleans(), st.booleans(), st.data())
def test_each_table_has_what_is_said_of_its_rows_in_its_order(
    numbers: list[list[int]], ordered: bool, lazy: bool, data: st.DataObject
) -> None:
    ids = ids_of(numbers)
    known = [each for own in ids for each in own] + ["another"]
    said = data.draw(st.lists(st.sampled_from(known), max_size=20))
    if ordered:
        said.sort(key=lambda name: name.partition("-")[0])
    decision = named(said).with_columns(number=pl.int_range(pl.len()))
    answer = decision.lazy() if lazy else decision
    for_all, own_pieces = kept(Lines(), [named(own) for own in ids], answer)
    assert for_all.equals(decision.clear())
    for number, own in enumerate(ids):
        found = own_pieces.get(str(number), for_all)
        assert found.equals(decision.filter(pl.col("id").is_in(own)))


@given(LINES, st.sets(st.integers(0, 200)), st.integers(1, 7))
def test_a_decision_that_is_read_bit_by_bit_is_the_same(
    numbers: list[list[int]], chosen: set[int], at_once: int
) -> None:
    ids = ids_of([sorted(set(own)) for own in numbers])
    known = [each for own in ids for each in own]
    dropped = [each for number, each in enumerate(known) if number in chosen]
    decision = named(dropped).with_columns(reason=pl.lit("dropped"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("datachef.core.run.decision.READ_ROWS", at_once)
        patch.setattr("datachef.core.run.decision._AT_LEAST", 1)
        found = kept(Named(), [named(own) for own in ids], decision.lazy())[1]
    assert pl.concat([decision.clear(), *found.values()]).equals(decision)


def test_what_is_said_of_no_row_is_for_all() -> None:
    summaries = [named(["a"]), named(["b"])]
    decision = pl.DataFrame({"id": ["a"], "edge": [3]})
    assert kept(Threshold(), summaries, decision)[1].keys() == set()
    assert kept(Placed(), summaries, decision)[1].keys() == {"0"}
    without = [table.rename({"id": "name"}) for table in summaries]
    whole, own = kept(Lines(), without, decision)
    assert whole.equals(decision)
    assert not own


def test_a_lazy_decision_that_cannot_be_computed_is_its_authors_mistake() -> None:
    lazy = named(["a"]).lazy().select("id", pl.col("reason"))
    with pytest.raises(PluginError, match="cannot be computed"):
        kept(Named(), [named(["a"])], lazy)


def test_the_work_on_a_large_decision_is_divided_and_the_corpus_is_the_same(
    tmp_path: Path,
    write_rows: Callable[..., Path],
    corpus_bytes: Callable[[Path], dict[str, str]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    texts = [
        f"page {number % 60} of {number % 7} others says the same as before"
        for number in range(300)
    ]
    for part in range(4):
        write_rows(f"rows-{part}.jsonl", texts[part::4])
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(
        f"name: divided\nsources: {{rows: {{path: {tmp_path}/rows-*.jsonl}}}}\n"
        "steps: [{op: exact_dedup}, {op: minhash_dedup, ngram: 2}]\n"
    )

    def run(name: str, engine: str) -> Report:
        cache = tmp_path / f"{name}.cache"
        return run_recipe(recipe, tmp_path / name, host=Host(), engine=engine, cache=cache)

    whole = run("whole", "inline")
    monkeypatch.setattr("datachef.core.run.plan.DIVIDED_BYTES", 6_000)
    divided = run("divided", "local")
    assert corpus_bytes(tmp_path / "divided") == corpus_bytes(tmp_path / "whole")
    assert divided.partitions >= whole.partitions + 4
    again = run("divided", "local")
    assert again.partitions_cached == again.partitions
    for table in (tmp_path / "divided.cache" / "partitions").rglob("*.part.parquet"):
        table.unlink()
    without = run("divided", "local")
    assert without.partitions_cached == without.partitions, "a decision is done without its parts"


def test_more_rows_than_there_are_numbers_end_the_run(
    tmp_path: Path, write_rows: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    write_rows("rows.jsonl", [f"page {number}" for number in range(30)])
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text("name: many\nsources: {rows: {path: rows.jsonl}}\nsteps: [{op: exact_dedup}]")
    monkeypatch.setattr("datachef.core.run.decision.MOST_ROWS", 20)
    with pytest.raises(RunError, match=r"exact_dedup\) decides on 30 rows, .* numbers for 20"):
        run_recipe(recipe, tmp_path / "out", host=Host(), engine="inline", cache=tmp_path / "cache")
    monkeypatch.setattr("datachef.core.run.decision.MOST_ROWS", 30)
    report = run_recipe(
        recipe, tmp_path / "out", host=Host(), engine="inline", cache=tmp_path / "cache"
    )
    assert report.rows == 30
