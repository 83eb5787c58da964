"""A run that is killed again and again ends as one that nobody disturbed."""

from __future__ import annotations

import json
import random
import time
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import pytest
from synthetic_evolution import run_alone, write_inputs

KILLS = 10
CHANGES = {"rounds": 4, "steps_per_round": 3, "seeds": 2}
SECONDS = 0.15


@pytest.mark.slow
def test_a_run_killed_ten_times_ends_as_if_undisturbed(tmp_path: Path) -> None:
    write_inputs(tmp_path)
    processes = get_context("forkserver")
    # Imports take longer than what is killed here; every run is a process of its own all the same.
    processes.set_forkserver_preload(["datachef.policy.evolve.loop", "trl.trainer.grpo_trainer"])

    def start(output: str) -> Any:
        process = processes.Process(target=run_alone, args=(tmp_path, output, SECONDS, CHANGES))
        process.start()
        return process

    undisturbed = start("calm")
    undisturbed.join()
    assert undisturbed.exitcode == 0
    chance = random.Random(17)
    measured: dict[Path, tuple[int, int]] = {}
    seen: set[str] = set()
    spent = 0.0
    for number in range(KILLS):
        # Every other one is killed in the midst of work, however long starting takes.
        wanted = _events(tmp_path) + (chance.randint(1, 3) if number % 2 else 2)
        until = time.monotonic() + (600 if number % 2 else chance.uniform(0.0, 3.0))
        process = start("stormy")
        while process.is_alive() and time.monotonic() < until and _events(tmp_path) < wanted:
            time.sleep(0.01)
        time.sleep(chance.uniform(0.0, 0.3))
        assert process.is_alive(), "the run ended before it was killed ten times"
        process.kill()
        process.join()
        assert measured.items() <= _measured(tmp_path, "stormy").items(), "measured again"
        assert spent <= _seconds(tmp_path), "the time of killed runs counts"
        measured, spent = _measured(tmp_path, "stormy"), _seconds(tmp_path)
        seen |= {path.name for path in (tmp_path / "stormy" / "state").glob("round-*.json")}
    assert measured and seen, "the kills came too early to show anything"
    last = start("stormy")
    last.join()
    assert last.exitcode == 0
    assert _state(tmp_path, "stormy") == _state(tmp_path, "calm")
    for part in ("policy/recipes.jsonl", "policy/checkpoint-12/model.safetensors", "proxies/*"):
        assert _bytes(tmp_path / "stormy", part) == _bytes(tmp_path / "calm", part)
    assert _bytes(tmp_path / "stormy-history", "*.json") == _bytes(
        tmp_path / "calm-history", "*.json"
    )
    assert _seconds(tmp_path) > spent


def _events(folder: Path) -> int:
    """How much of the run is on disk."""
    steps = [int(p.name.rpartition("-")[2]) for p in folder.glob("stormy/policy/checkpoint-*")]
    records = list(folder.glob("stormy/state/[!.]*-*.json"))
    return len(_measured(folder, "stormy")) + max(steps, default=0) + len(records)


def _seconds(folder: Path) -> float:
    """What is kept of the time that was spent."""
    clock = folder / "stormy" / "state" / "clock.json"
    return float(json.loads(clock.read_bytes())["seconds"]) if clock.exists() else 0.0


def _measured(folder: Path, output: str) -> dict[Path, tuple[int, int]]:
    """The measurements, with what changes when one is made again."""
    files = folder.glob(f"{output}-history/[!.]*.json")
    return {path: (path.stat().st_ino, path.stat().st_mtime_ns) for path in files}


def _state(folder: Path, output: str) -> dict[str, Any]:
    records = {}
    for path in (folder / output / "state").glob("[!.]*.json"):
        records[path.name] = json.loads(path.read_bytes())
        records[path.name].pop("seconds", None)
    return records


def _bytes(folder: Path, pattern: str) -> dict[str, bytes]:
    found = {path.name: path.read_bytes() for path in folder.glob(pattern) if path.name[0] != "."}
    assert found
    return found
