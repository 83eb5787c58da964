"""Two runs at once: into one output, and over one cache."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest
from command import CHEF

from datachef.core import Host, RunError, run_recipe
from datachef.core.system.lock import locked
from datachef.core.system.paths import checksum

WriteRows = Callable[..., Path]
Digests = Callable[[Path], dict[str, str]]

RECIPE = """
name: two
sources:
  pages:
    path: {path}
    steps:
      - op: slow_length_filter
        seconds: {seconds}
output: {{shard_bytes: 1000000}}
"""


def write_recipe(folder: Path, name: str, path: str, seconds: float = 0.02) -> Path:
    recipe = folder / f"{name}.yaml"
    recipe.write_text(RECIPE.format(path=path, seconds=seconds))
    return recipe


def start(recipe: Path, output: Path, cache: Path, plugin: str) -> subprocess.Popen[str]:
    command = [*CHEF, "--plugin", plugin, "run", str(recipe),
               "--output", str(output), "--cache", str(cache), "--workers", "1"]  # fmt: skip
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def assert_whole(corpus: Path) -> set[str]:
    """The texts of a corpus whose manifest, ledger and files agree."""
    manifest = json.loads((corpus / "manifest.json").read_bytes())
    ledger = json.loads((corpus / "ledger.json").read_bytes())
    rows = pl.concat([pl.read_parquet(corpus / facts["file"]) for facts in manifest["outputs"]])
    assert {str(p.relative_to(corpus)) for p in (corpus / "data").iterdir()} == {
        facts["file"] for facts in manifest["outputs"]
    }
    for facts in manifest["outputs"]:
        assert (corpus / facts["file"]).stat().st_size == facts["bytes"]
        assert checksum(corpus / facts["file"]) == facts["checksum"]
    assert rows.height == ledger[-1]["rows_out"]
    return set(rows["text"])


@pytest.mark.parametrize("attempt", range(5))
def test_two_runs_into_one_output_give_one_corpus(
    tmp_path: Path, write_rows: WriteRows, crashing_operators: str, attempt: int
) -> None:
    texts = {name: [f"{name} {number}" for number in range(300)] for name in ("one", "other")}
    runs = {}
    for name, rows in texts.items():
        for part in range(4):
            write_rows(f"{name}-{part}.jsonl", rows[part::4])
        recipe = write_recipe(tmp_path, name, f"{name}-*.jsonl", 0.2)
        runs[name] = start(recipe, tmp_path / "out", tmp_path / "cache", crashing_operators)
        time.sleep(0.02 * attempt)
    said = {name: process.communicate()[1] for name, process in runs.items()}
    codes = {name: process.returncode for name, process in runs.items()}
    assert set(codes.values()) <= {0, 5}, said
    assert 0 in codes.values()
    found = assert_whole(tmp_path / "out")
    assert found in [set(rows) for rows in texts.values()]
    for name, code in codes.items():
        if code == 5:
            (first,) = runs.keys() - {name}
            assert f"is being written by process {runs[first].pid} on " in said[name]
            assert found == set(texts[first])
    assert [p.name for p in tmp_path.iterdir() if p.name.startswith(".")] == []


@pytest.mark.parametrize("attempt", range(5))
def test_two_runs_over_one_cache_do_not_disturb_each_other(
    tmp_path: Path,
    write_rows: WriteRows,
    crashing_operators: str,
    corpus_bytes: Digests,
    attempt: int,
) -> None:
    for part in range(6):
        write_rows(f"part-{part}.jsonl", [f"text {n} " + "x" * (n % 50) for n in range(part, 99)])
    recipe = write_recipe(tmp_path, "both", "part-*.jsonl")
    outputs = [tmp_path / "first", tmp_path / "second"]
    runs = []
    for output in outputs:
        runs.append(start(recipe, output, tmp_path / "cache", crashing_operators))
        time.sleep(0.05 * attempt)
    said = [process.communicate()[1] for process in runs]
    assert [process.returncode for process in runs] == [0, 0], said
    assert assert_whole(outputs[0]) == assert_whole(outputs[1])
    assert corpus_bytes(outputs[0]) == corpus_bytes(outputs[1])
    assert not list((tmp_path / "cache").rglob("*.tmp"))


def test_nothing_is_done_before_the_output_is_free(
    tmp_path: Path, write_rows: WriteRows, host: Host
) -> None:
    write_rows("a.jsonl", ["text"])
    recipe = write_recipe(tmp_path, "late", "a.jsonl")
    with locked(tmp_path / "out"), pytest.raises(RunError, match="is being written by process"):
        run_recipe(recipe, tmp_path / "out", host=host, engine="inline", cache=tmp_path / "cache")
    assert not (tmp_path / "cache" / "partitions").exists()
    assert not (tmp_path / "out").exists()


def test_a_shard_that_changed_is_not_published(
    tmp_path: Path, write_rows: WriteRows, host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    from datachef.core.run import output

    write_rows("a.jsonl", ["text"])
    recipe = write_recipe(tmp_path, "changed", "a.jsonl")
    arguments = {"host": host, "engine": "inline", "cache": tmp_path / "cache"}
    run_recipe(recipe, tmp_path / "out", **arguments)
    before = (tmp_path / "out" / "manifest.json").read_bytes()
    original = output.write_shard

    def disturbed(item, *context):
        facts = original(item, *context)
        (Path(item.folder) / "data" / "train-00001-of-00002.parquet").write_bytes(b"another run's")
        return facts

    monkeypatch.setattr(output, "write_shard", disturbed)
    with pytest.raises(RunError, match=r"changed after it was written: data/train-00001-of-00002"):
        run_recipe(recipe, tmp_path / "out", **arguments)
    assert (tmp_path / "out" / "manifest.json").read_bytes() == before
    assert assert_whole(tmp_path / "out") == {"text"}
