"""Laws of the ledger, on random recipes over random dirty rows."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

import polars as pl
from hypothesis import HealthCheck, assume, given, settings, strategies as st

from datachef.core import Host, RunError, document, run_recipe
from datachef.core.run import partition
from datachef.core.run.ledger import Entry, Ledger
from datachef.core.run.report import Report

HOST = Host()

texts = st.one_of(
    st.text(max_size=80).map(lambda t: t.encode("utf-8", "ignore").decode()),
    st.sampled_from(
        ["same text again and again", "The cat sat on the mat. " * 8, "a b c", "", "UPPER CASE"]
    ),
)
good_lines = texts.map(lambda text: json.dumps({"text": text}).encode())
dirty_lines = st.sampled_from(
    [b"{broken", b'{"text": "\xff\xfe"}', b"[1]", b'{"other": 1}', b'{"text": null}', b"", b"null"]
)
lines = st.lists(st.one_of(good_lines, good_lines, dirty_lines), min_size=1, max_size=30)

row_steps = st.sampled_from(
    [
        {"op": "length_filter", "min_chars": 5},
        {"op": "regex_filter", "patterns": ["[aeiou]"]},
        {"op": "gopher_repetition_filter"},
        {"op": "c4_quality_filter"},
        {"op": "fix_unicode"},
        {"op": "clean_c4_lines"},
        {"op": "redact_personal_data"},
    ]
)
corpus_steps = st.sampled_from(
    [
        {"op": "exact_dedup"},
        {"op": "minhash_dedup"},
        {"op": "sample", "rows": 7},
    ]
)
steps = st.lists(st.one_of(row_steps, corpus_steps), max_size=3)
mixes = st.one_of(
    st.none(),
    st.fixed_dictionaries(
        {
            "op": st.just("weighted_mix"),
            "weights": st.just({"one": 0.7, "two": 0.3}),
            "budget": st.sampled_from([{"rows": 5}, {"rows": 40}, {"tokens": 8}]),
            "max_epochs": st.integers(1, 3),
        }
    ),
)
recipes = st.fixed_dictionaries(
    {"one": st.tuples(lines, steps), "two": st.tuples(lines, steps), "mix": mixes, "steps": steps}
)


def run(folder: Path, case: dict[str, Any]) -> Report | None:
    """The report of a run of the case; None where no row is left of it."""
    data: dict[str, Any] = {"name": "law", "sources": {}, "rejects": {"keep": "all"}}
    for name in ("one", "two"):
        rows, own_steps = case[name]
        # a first row that can be read, without which the source is refused before any run
        (folder / f"{name}.jsonl").write_bytes(b"\n".join([b'{"text": "first row"}', *rows]))
        data["sources"][name] = {"path": f"{name}.jsonl", "max_failed": 1.0, "steps": own_steps}
        data["sources"][name]["format"] = {"text": "text"}
    if case["mix"] is not None:
        data["mix"] = case["mix"]
    data["steps"] = case["steps"]
    path = folder / "recipe.yaml"
    path.write_text(document.dump(data))
    cache = Path(tempfile.mkdtemp(dir=folder))
    try:
        return run_recipe(path, folder / "out", host=HOST, engine="inline", cache=cache)
    except RunError as error:
        if not error.message.startswith("the corpus is empty: "):
            raise
        return None


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(case=recipes)
def test_every_row_is_accounted_for(case: dict[str, Any]) -> None:
    non_blank = sum(1 for name in ("one", "two") for line in case[name][0] if line.strip())
    with tempfile.TemporaryDirectory() as folder:
        report = run(Path(folder), case)
        if report is None:
            kept = Path(folder) / "out.failed"
            entries = json.loads((kept / "ledger.json").read_text())
            arrived = sum(e["rows_in"] for e in entries if e["op"] == "read")
            created = sum(e["created"] for e in entries)
            gone = sum(sum((e["dropped"] | e["failed"]).values()) for e in entries)
            # what is left, if anything, are rows without any text
            assert arrived + created - gone == entries[-1]["rows_out"]
            assert arrived == non_blank + 2
            rejects = kept / "rejects.parquet"
            assert (pl.read_parquet(rejects).height if rejects.exists() else 0) == gone
            return
        written = pl.read_parquet(Path(folder) / "out" / "data" / "*.parquet").height
        entries = list(report.ledger)
        arrived = sum(e.rows_in for e in entries if e.op == "read")
        created = sum(e.created for e in entries)
        gone = sum(e.dropped.total() + e.failed.total() for e in entries)
        assert arrived + created - gone == written == report.rows
        assert arrived == non_blank + 2
        rejects = Path(folder) / "out" / "rejects" / "rejects.parquet"
        assert (pl.read_parquet(rejects).height if rejects.exists() else 0) == gone


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(case=recipes, batch_bytes=st.sampled_from([1, 1_500, 4_000]))
def test_any_batch_size_gives_the_same_decisions(case: dict[str, Any], batch_bytes: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        assume(run(Path(folder), case) is not None)
        usual = _corpus(Path(folder))
        before = partition.BATCH_BYTES
        partition.BATCH_BYTES = batch_bytes
        try:
            run(Path(folder), case)
        finally:
            partition.BATCH_BYTES = before
        assert _corpus(Path(folder)).equals(usual)


def _corpus(folder: Path) -> pl.DataFrame:
    return pl.read_parquet(folder / "out" / "data" / "*.parquet")


def test_an_imbalance_is_named() -> None:
    lost = Ledger([Entry("sources.a", "read", rows_in=3, rows_out=3)])
    lost.add(Entry("sources.a.steps[0]", "some_filter", rows_in=3, rows_out=1))
    lost.add(Entry("output", "write", rows_in=2, rows_out=2))
    found = "; ".join(lost.imbalances(rows_written=1))
    assert "sources.a.steps[0] (some_filter): +2 rows unaccounted for" in found
    assert "1 rows left the sources, 2 reached the corpus" in found
    assert "2 rows passed the last step, 1 are in the files" in found
