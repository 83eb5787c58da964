"""A sample is drawn once, by the seed, and knows what share of its source it is."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from datachef.core import Host, SourceError
from datachef.core.document import Document
from datachef.core.recipe.checking import check_document
from datachef.core.recipe.resolving import read_task
from datachef.core.rows.inspection import SourceSample, inspect_source
from datachef.core.run import source_samples
from datachef.core.run.source_samples import SampleStore
from datachef.core.text.formats import TextFormat
from datachef.reward.features import FeatureExtractor
from datachef.reward.sampled_run import SampledRunner


def sample_of(
    host: Host, file: Path, rows: int = 100, seed: int = 0, **source: Any
) -> SourceSample:
    data = {"path": str(file), "format": {"text": "text"}, **source}
    found = inspect_source(host.vocabulary.source("path", data))
    return SampleStore(file.parent / "samples", rows, seed).sample(found)


def lines(sample: SourceSample) -> list[str]:
    return Path(sample.path).read_text().splitlines()


def test_a_sample_is_the_same_for_a_seed_and_another_for_another(
    workspace: Path, host: Host
) -> None:
    first, other = (sample_of(host, workspace / "prose.jsonl", seed=seed) for seed in (1, 2))
    (workspace / "samples").rename(workspace / "older")
    again = sample_of(host, workspace / "prose.jsonl", seed=1)
    assert lines(again) == (workspace / "older" / Path(first.path).name).read_text().splitlines()
    assert len(lines(again)) == 100
    assert again.rate == pytest.approx(100 / 600)
    assert lines(again) != (workspace / "older" / Path(other.path).name).read_text().splitlines()


def test_other_code_that_draws_the_same_rows_gives_the_same_ids_and_features(
    workspace: Path,
    host: Host,
    mixture: Callable[..., dict[str, Any]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Ids decide which rows a step by the seed keeps: an unrelated change must not move them."""
    recipe = mixture({"good": 0.5, "prose": 0.5}, steps=[{"op": "sample", "share": 0.3}])
    extractor = FeatureExtractor(read_task(workspace / "task.yaml", host))

    def assessed(cache: str) -> tuple[list[str], dict[str, float]]:
        runner = SampledRunner(host, workspace / cache, 200)
        check = check_document(Document(recipe), workspace, host, inspect=runner.inspect)
        corpus = runner.run(check.passed())
        return corpus.rows["id"].to_list(), extractor.extract(corpus)

    ids, features = assessed("cache")
    monkeypatch.setattr(source_samples, "core_code", lambda: "a commented line")
    assert assessed("other") == (ids, features)
    assert assessed("cache") == (ids, features)
    records = list((workspace / "cache" / "samples").glob("*.json"))
    assert len(records) == 4, "the change of code was not seen"
    assert len(list((workspace / "cache" / "samples").glob("*.jsonl"))) == 2


def test_a_sample_that_was_damaged_is_drawn_again(workspace: Path, host: Host) -> None:
    sample = sample_of(host, workspace / "prose.jsonl")
    before = lines(sample)
    Path(sample.path).write_text("damaged\n")
    again = sample_of(host, workspace / "prose.jsonl")
    assert (again, lines(again)) == (sample, before)


def test_a_small_source_is_taken_whole(workspace: Path, host: Host) -> None:
    sample = sample_of(host, workspace / "prose.jsonl", rows=10_000)
    rows = (workspace / "prose.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in lines(sample)] == [json.loads(row) for row in rows]
    assert sample.rate == 1


def test_take_bounds_what_is_available(workspace: Path, host: Host) -> None:
    assert sample_of(host, workspace / "prose.jsonl", take=150).available == 150


def test_rows_that_do_not_fit_are_counted_and_left_out(tmp_path: Path, host: Host) -> None:
    rows = [{"text": f"row {n}"} if n % 4 else {"other": n} for n in range(80)]
    file = tmp_path / "odd.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows) + "not json\n")
    sample = sample_of(host, file)
    assert sample.rows == 60
    assert sample.failed == pytest.approx(21 / 81)


def test_a_large_source_is_sampled_from_some_of_its_units(
    tmp_path: Path, host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    for part in range(20):
        rows = [{"text": f"row {n} of {part}"} for n in range(200)]
        (tmp_path / f"part-{part:02}.jsonl").write_text(
            "".join(json.dumps(row) + "\n" for row in rows)
        )
    monkeypatch.setattr(source_samples, "READ_BYTES", 20_000)
    found = inspect_source(host.vocabulary.source("path", {"path": str(tmp_path / "part-*.jsonl")}))
    assert found.size > 80_000
    sample = SampleStore(tmp_path / "samples", 100, 0).sample(found)
    assert sample.available == pytest.approx(4000, rel=0.05)
    parts = {json.loads(line)["text"].split()[-1] for line in lines(sample)}
    assert 1 < len(parts) < 10


def test_a_source_without_rows_is_an_error(tmp_path: Path, host: Host) -> None:
    file = tmp_path / "odd.jsonl"
    file.write_text('{"text": "x"}\n')
    found = inspect_source(host.vocabulary.source("path", {"path": str(file)}))
    with pytest.raises(SourceError, match="not one row fits"):
        SampleStore(tmp_path / "samples", 100, 0).sample(
            replace(found, format=TextFormat(text="other"))
        )


def test_a_source_whose_file_breaks_off_is_sampled_where_it_may_be(
    tmp_path: Path, host: Host
) -> None:
    raw = "".join(json.dumps({"text": f"{n} {n * 77777.7}"}) + "\n" for n in range(20_000))
    file = tmp_path / "a.jsonl.gz"
    file.write_bytes(gzip.compress(raw.encode())[:-5000])
    with pytest.raises(SourceError, match="cannot be read to its end"):
        sample_of(host, file)
    assert 0 < sample_of(host, file, max_failed_files=1).available < 20_000
