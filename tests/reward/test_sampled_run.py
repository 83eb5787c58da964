"""A sampled corpus stands for the corpus that the whole run would make."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from datachef.core import Host, document, run_recipe
from datachef.core.recipe.checking import check_document
from datachef.core.run.partition import PartitionRun
from datachef.reward.sampled_run import SampledCorpus, SampledRunner

RunSampled = Callable[..., SampledCorpus]
Mixture = Callable[..., dict[str, Any]]


def tokens_by_source(rows: pl.DataFrame) -> dict[str, float]:
    size = (pl.col("tokens") * pl.col("weight")).sum()
    return dict(rows.group_by("source").agg(size).iter_rows())


def really_run(recipe: dict[str, Any], folder: Path, host: Host) -> pl.DataFrame:
    path = folder / "recipe.yaml"
    path.write_text(document.dump(recipe | {"output": {"columns": ["tokens"], "schema": "text"}}))
    run_recipe(path, folder / "out", host=host, engine="inline", cache=folder / "real")
    return pl.concat(map(pl.read_parquet, sorted((folder / "out" / "data").iterdir())))


WEIGHTS = {"good": 1, "prose": 1}
RECIPES: dict[str, tuple[dict[str, float], dict[str, Any]]] = {
    "by weight": ({"good": 1, "prose": 3}, {}),
    "several epochs": (
        {"good": 3, "prose": 1},
        {"mix": {"budget": {"tokens": 60_000}, "max_epochs": 4}},
    ),
    "a part of an epoch": (WEIGHTS, {"mix": {"budget": {"tokens": 8_000}}}),
    "rows as budget": (WEIGHTS, {"mix": {"budget": {"rows": 300}}}),
    "filtered": (
        WEIGHTS,
        {"sources": {"prose": {"steps": [{"op": "length_filter", "max_chars": 180}]}}},
    ),
    "a number of rows of the corpus": (WEIGHTS, {"steps": [{"op": "sample", "rows": 700}]}),
    "a number of rows of a source": (
        WEIGHTS,
        {"sources": {"good": {"steps": [{"op": "sample", "rows": 90}]}}},
    ),
    "copies made and removed": (
        {"good": 5, "prose": 1},
        {
            "mix": {"budget": {"tokens": 80_000}, "max_epochs": 3},
            "steps": [{"op": "exact_dedup"}],
        },
    ),
    "without a mix": (WEIGHTS, {"mix": None, "sources": {"good": {"take": 300}, "prose": {}}}),
}


@pytest.mark.parametrize("name", RECIPES)
def test_the_sample_weighs_what_the_corpus_holds(
    name: str, run_sampled: RunSampled, mixture: Mixture, workspace: Path, host: Host
) -> None:
    weights, more = RECIPES[name]
    recipe = mixture(weights, **more)
    sampled = tokens_by_source(run_sampled(recipe, rows=250).rows)
    real = really_run(recipe, workspace, host).with_columns(pl.lit(1.0).alias("weight"))
    for source, tokens in tokens_by_source(real).items():
        assert sampled[source] == pytest.approx(tokens, rel=0.15), source


@pytest.mark.parametrize(
    "more", [{"mix": {"budget": {"rows": 300}}}, {"steps": [{"op": "sample", "rows": 500}]}]
)
def test_what_the_guard_of_a_task_drops_is_not_counted(
    more: dict[str, Any], run_sampled: RunSampled, mixture: Mixture, workspace: Path, host: Host
) -> None:
    with (workspace / "good.jsonl").open("a") as good:
        good.write((workspace / "test.jsonl").read_text() * 20)
    recipe = mixture({"good": 1, "prose": 1}, task="task.yaml", **more)
    sampled = tokens_by_source(run_sampled(recipe, rows=400).rows)
    real = really_run(recipe, workspace, host).with_columns(pl.lit(1.0).alias("weight"))
    assert real.height == pytest.approx(500 if "steps" in more else 300, abs=1)
    for source, tokens in tokens_by_source(real).items():
        assert sampled[source] == pytest.approx(tokens, rel=0.15), source


def test_a_whole_sample_weighs_exactly_what_the_corpus_holds(
    run_sampled: RunSampled, mixture: Mixture, workspace: Path, host: Host
) -> None:
    recipe = mixture({"good": 1, "prose": 1}, steps=[{"op": "length_filter", "min_chars": 90}])
    corpus = run_sampled(recipe, rows=10_000)
    real = really_run(recipe, workspace, host)
    weighed = dict(corpus.rows.group_by("source").agg(pl.col("weight").sum()).iter_rows())
    for (name,), rows in real.group_by("source"):
        assert weighed[str(name)] == pytest.approx(rows.height, rel=0.03)


def test_a_source_of_no_weight_is_left_out(run_sampled: RunSampled, mixture: Mixture) -> None:
    corpus = run_sampled(mixture({"good": 1, "prose": 0}))
    assert list(corpus.sources) == ["good"]
    assert corpus.rows["source"].unique().to_list() == ["good"]


def test_the_same_seed_gives_the_same_sample(run_sampled: RunSampled, mixture: Mixture) -> None:
    recipe = mixture({"good": 1, "prose": 1}, steps=[{"op": "minhash_dedup"}])
    first, again = run_sampled(recipe), run_sampled(recipe)
    assert first.rows.equals(again.rows)
    assert not run_sampled(recipe, seed=1).rows.equals(first.rows)


def test_siblings_share_work(
    mixture: Mixture, workspace: Path, host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[str] = []
    run = PartitionRun.run

    def counted(self: PartitionRun) -> dict[str, Any]:
        record = run(self)
        done.append(record["label"].split("/")[0])
        return record

    monkeypatch.setattr(PartitionRun, "run", counted)
    runner = SampledRunner(host, workspace / "cache", 200)

    def units_done(most: int, weight: float) -> list[str]:
        done.clear()
        steps = [{"op": "length_filter", "max_chars": most}]
        recipe = mixture({"good": weight, "prose": 1}, sources={"prose": {"steps": steps}})
        parsed = document.parse(document.dump(recipe))
        runner.run(check_document(parsed, workspace, host, inspect=runner.inspect).passed())
        return list(done)

    assert units_done(180, 1)
    assert units_done(180, 0.3) == [], "weights cost nothing"
    assert units_done(170, 0.3) == ["prose"], "a threshold costs one unit of its source"


@pytest.mark.parametrize("name", RECIPES)
def test_a_thinned_corpus_holds_no_more_different_rows_than_the_whole(
    name: str, run_sampled: RunSampled, mixture: Mixture, workspace: Path, host: Host
) -> None:
    weights, more = RECIPES[name]
    corpus = run_sampled(recipe := mixture(weights, **more), rows=500)
    thin = corpus.thinned()
    assert set(thin.rows["id"]) <= set(corpus.rows["id"])
    assert tokens_by_source(thin.rows) == pytest.approx(tokens_by_source(corpus.rows), rel=0.1)
    weighed = thin.rows.group_by("source").agg(pl.col("weight").sum(), pl.len())
    run = really_run(recipe, workspace, host)
    for source, weight, rows in weighed.iter_rows():
        sampled = corpus.rows.filter(pl.col("source") == source)
        assert weight == pytest.approx(sampled["weight"].sum())
        texts = run.filter(pl.col("source") == source)["text"].n_unique()
        assert rows == pytest.approx(min(texts, sampled.height), rel=0.15)


def test_of_a_larger_corpus_the_rows_of_a_smaller_one_are_part(
    run_sampled: RunSampled, mixture: Mixture
) -> None:
    drawn = [
        set(run_sampled(mixture({"good": 1}, mix={"budget": {"rows": rows}})).thinned().rows["id"])
        for rows in (1, 10, 40)
    ]
    assert [len(ids) for ids in drawn] == [1, 10, 40]
    assert drawn[0] < drawn[1] < drawn[2]
