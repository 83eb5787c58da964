"""A run that is killed, a worker that dies, a row that breaks an operator."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest
from command import CHEF

from datachef.core import Host, RunError, run_recipe

WriteRows = Callable[..., Path]
Digests = Callable[[Path], dict[str, str]]

RECIPE = """
name: survival
seed: 3
sources:
  pages:
    path: part-*.jsonl
    steps:
      - op: slow_length_filter
        max_chars: 30
        seconds: {seconds}
steps:
  - op: first_of_each_text
  - op: slow_length_filter
    max_chars: 29
    seconds: {seconds}
"""


@pytest.fixture
def recipe(tmp_path: Path, write_rows: WriteRows) -> Path:
    chance = random.Random(5)
    for part in range(12):
        texts = ["x" * chance.randrange(1, 40) + str(chance.randrange(50)) for _ in range(200)]
        write_rows(f"part-{part:02d}.jsonl", texts)
    path = tmp_path / "recipe.yaml"
    path.write_text(RECIPE.format(seconds=0))
    return path


@pytest.mark.parametrize("workers", [2, 4])
def test_any_number_of_workers_gives_the_same_bytes(
    recipe: Path, tmp_path: Path, host: Host, corpus_bytes: Digests, workers: int
) -> None:
    one = run_recipe(recipe, tmp_path / "one", host=host, workers=1, cache=tmp_path / "c1")
    many = run_recipe(recipe, tmp_path / "many", host=host, workers=workers, cache=tmp_path / "c2")
    assert one.rows == many.rows > 0
    assert corpus_bytes(one.folder) == corpus_bytes(many.folder)


def test_a_run_killed_ten_times_ends_as_if_undisturbed(
    recipe: Path, tmp_path: Path, host: Host, crashing_operators: str, corpus_bytes: Digests
) -> None:
    undisturbed = run_recipe(recipe, tmp_path / "calm", host=host, workers=2, cache=tmp_path / "c1")
    recipe.write_text(RECIPE.format(seconds=0.4))
    cache = tmp_path / "c2"
    command = [*CHEF, "--plugin", crashing_operators,
               "run", str(recipe),
               "--output", str(tmp_path / "stormy"), "--cache", str(cache),
               "--workers", "2"]  # fmt: skip
    chance = random.Random(11)
    done: dict[Path, tuple[int, int]] = {}
    for number in range(10):
        process = subprocess.Popen(command, start_new_session=True, stderr=subprocess.DEVNULL)
        if number % 2:  # killed among the partitions, however long starting takes on a busy machine
            while len(_finished(cache)) == len(done) and process.poll() is None:
                time.sleep(0.02)
        time.sleep(chance.uniform(0.0, 0.8))
        assert process.poll() is None, "the run ended before it was killed ten times"
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        assert done.items() <= _finished(cache).items(), "a finished partition was done again"
        done = _finished(cache)
    assert subprocess.run(command, check=False).returncode == 0
    assert done.items() <= _finished(cache).items()
    assert done, "the kills came too early to show anything"
    stormy, calm = corpus_bytes(tmp_path / "stormy"), corpus_bytes(undisturbed.folder)
    differing = {"manifest.json"}  # it names the pace, a parameter
    assert {k: v for k, v in stormy.items() if k not in differing} == {
        k: v for k, v in calm.items() if k not in differing
    }
    assert not list(tmp_path.glob(".stormy.*"))


def _finished(cache: Path) -> dict[Path, tuple[int, int]]:
    """The records of finished partitions, with what changes when one is written again."""
    return {p: (p.stat().st_ino, p.stat().st_mtime_ns) for p in cache.glob("partitions/*/*.json")}


def test_a_dead_worker_costs_its_partition_a_second_attempt(
    tmp_path: Path, host: Host, write_rows: WriteRows
) -> None:
    write_rows("a.jsonl", ["fine", "DEADLY", "also fine"])
    write_rows("b.jsonl", ["fine too"])
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(
        "name: once\nsources:\n  pages:\n    path: '*.jsonl'\n    steps:\n"
        f"      - op: deadly_filter\n        once: {tmp_path / 'seen'}\n"
    )
    result = run_recipe(recipe, tmp_path / "out", host=host, workers=2, cache=tmp_path / "cache")
    assert result.rows == 4


def test_a_partition_that_kills_every_worker_is_named(
    tmp_path: Path, host: Host, write_rows: WriteRows
) -> None:
    write_rows("good.jsonl", ["fine"])
    write_rows("poison.jsonl", ["fine", "DEADLY"])
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(
        "name: never\nsources:\n  pages:\n    path: '*.jsonl'\n    steps: [{op: deadly_filter}]\n"
    )
    with pytest.raises(RunError, match=r"pages/poison\.jsonl.*SIGKILL"):
        run_recipe(recipe, tmp_path / "out", host=host, workers=2, cache=tmp_path / "cache")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("step", ["broken_filter", "first_of_each_text"])
def test_a_row_that_breaks_an_operator_costs_itself_alone(
    tmp_path: Path, host: Host, write_rows: WriteRows, step: str
) -> None:
    texts = [f"row {i}" for i in range(50)]
    texts[17] = "BROKEN and UNSUMMABLE"
    write_rows("a.jsonl", texts)
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(f"name: bug\nsources:\n  pages: {{path: a.jsonl}}\nsteps:\n  - op: {step}\n")
    result = run_recipe(
        recipe, tmp_path / "out", host=host, engine="inline", cache=tmp_path / "cache"
    )
    assert result.rows == 49
    assert result.ledger["steps[0]"].failed == {"ZeroDivisionError": 1}
    rejects = pl.read_parquet(tmp_path / "out" / "rejects" / "rejects.parquet")
    row = rejects.row(0, named=True)
    assert (row["text"], row["outcome"], row["detail"]) == (
        texts[17],
        "failed",
        "a bug in a plugin",
    )


def test_a_damaged_shard_is_noticed_and_made_anew(
    recipe: Path, tmp_path: Path, host: Host, corpus_bytes: Digests
) -> None:
    cache = tmp_path / "cache"
    first = run_recipe(recipe, tmp_path / "first", host=host, engine="inline", cache=cache)
    shard = next(cache.glob("partitions/*/*.0.parquet"))
    raw = bytearray(shard.read_bytes())
    raw[len(raw) // 2] ^= 0xFF
    shard.write_bytes(raw)
    again = run_recipe(recipe, tmp_path / "again", host=host, engine="inline", cache=cache)
    assert corpus_bytes(again.folder) == corpus_bytes(first.folder)


def test_an_interrupt_says_how_to_go_on(
    recipe: Path, tmp_path: Path, crashing_operators: str
) -> None:
    recipe.write_text(RECIPE.format(seconds=0.3))
    command = [*CHEF, "--plugin", crashing_operators,
               "run", str(recipe),
               "--output", str(tmp_path / "out"), "--cache", str(tmp_path / "cache")]  # fmt: skip
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True)
    while not list(
        (tmp_path / "cache").glob("partitions/*/*.json")
    ):  # it is in the middle of its work
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGINT)
    _, said = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "run the same command to continue" in said
    assert "Traceback" not in said
