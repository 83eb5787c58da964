"""Thousands of small files, and few that may be open at a time."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest
from command import CHEF

RECIPE = """
name: many
sources:
  pages:
    path: "part-*.jsonl"
    steps: [{op: exact_dedup}]
mix: {op: weighted_mix, weights: {pages: 1}, budget: {rows: 3000}}
steps:
  - {op: minhash_dedup, ngram: 3}
  - {op: top_selection, by: number, rows: 100}
output: {columns: [number]}
"""

SAMPLED = """
import sys
from pathlib import Path
from datachef.core import Host
from datachef.core import check_recipe
from datachef.reward.sampled_run import SampledRunner

host, path = Host(), Path(sys.argv[1])
checked = check_recipe(path, host).passed()
runner = SampledRunner(host, path.parent / "cache", rows=2000)
print(runner.run(checked).rows.height)
"""


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    path = tmp_path / "recipe.yaml"
    path.write_text(RECIPE)
    return path


def write_parts(folder: Path, number: int) -> None:
    """Files of two rows, of which the second is also the first of the next file."""
    for part in range(number):
        rows = [
            {"text": f"row {n} is about {n * 7919 % 10007} and {n * 31 % 997}", "number": n}
            for n in (part, part + 1)
        ]
        lines = "".join(json.dumps(row) + "\n" for row in rows)
        (folder / f"part-{part:05d}.jsonl").write_text(lines)


def limited(files: int, *command: str) -> subprocess.CompletedProcess[str]:
    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_NOFILE, (files, files))

    return subprocess.run(
        command,
        preexec_fn=limit,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize(
    ("parts", "files"), [(150, 48), pytest.param(2000, 256, marks=pytest.mark.slow)]
)
def test_every_file_of_many_is_read(tmp_path: Path, recipe: Path, parts: int, files: int) -> None:
    write_parts(tmp_path, parts)
    done = limited(
        files, *CHEF, "run", str(recipe), "--output", str(tmp_path / "out"),
        "--cache", str(tmp_path / "cache"), "--workers", "2", "--json",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    ledger = {entry["path"]: entry for entry in json.loads(done.stdout)["result"]["ledger"]}
    assert ledger["sources.pages"]["rows_in"] == 2 * parts
    assert ledger["sources.pages.steps[0]"]["rows_out"] == parts + 1
    written = pl.concat(map(pl.read_parquet, (tmp_path / "out" / "data").iterdir()))
    assert sorted(written["number"]) == list(range(parts - 99, parts + 1))


def test_more_workers_than_there_are_files_for_are_not_started(
    tmp_path: Path, recipe: Path
) -> None:
    write_parts(tmp_path, 60)
    done = limited(
        40, *CHEF, "run", str(recipe), "--output", str(tmp_path / "out"),
        "--cache", str(tmp_path / "cache"), "--workers", "50",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("parts", "files"), [(150, 48), pytest.param(2000, 256, marks=pytest.mark.slow)]
)
def test_many_files_are_sampled(tmp_path: Path, recipe: Path, parts: int, files: int) -> None:
    write_parts(tmp_path, parts)
    done = limited(files, sys.executable, "-c", SAMPLED, str(recipe))
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 0
