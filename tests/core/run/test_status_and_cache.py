"""What runs are doing, and what they left in the cache, is seen from another process."""

from __future__ import annotations

import json
import os
import signal
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from command import Workspace

WAITS = """
import time
from pathlib import Path
from typing import Literal
from datachef.core import Filter, hookimpl

class Waits(Filter):
    "Waits until there is a file."
    op: Literal["waits"] = "waits"
    def signals(self):
        return {"size": self.size}
    def size(self, batch):
        while "wait" in batch["text"] and not Path("go").exists():
            time.sleep(0.05)
        return batch["text"].str.len_chars()
    def rules(self):
        return {}

@hookimpl
def datachef_operators():
    return [Waits]
"""
RUN = ("--plugin", "waits.py", "run", "r.yaml", "--workers", "1")


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    (tmp_path / "waits.py").write_text(WAITS)
    for name, text in {"a": "fine", "b": "wait"}.items():
        (tmp_path / f"{name}.jsonl").write_text(json.dumps({"text": text}) + "\n")
    workspace = Workspace(tmp_path)
    steps = [{"op": "waits"}]
    workspace.write("r.yaml", {"name": "r", "sources": {"s": {"path": "*.jsonl", "steps": steps}}})
    workspace.write("other.yaml", {"name": "other", "sources": {"s": {"path": "a.jsonl"}}})
    return workspace


def until(told: Callable[[], Any]) -> Any:
    """What is told once it is something, within a minute."""
    end = time.monotonic() + 60
    while not (found := told()) and time.monotonic() < end:
        time.sleep(0.1)
    return found


def test_a_run_is_seen_while_it_lives_when_it_was_killed_and_when_it_is_done(
    workspace: Workspace,
) -> None:
    assert "no runs in the cache .datachef" in workspace.chef("status").stdout
    process = workspace.start(*RUN)
    assert until(lambda: [r for r in workspace.json("status") if r["phase_done"]])
    (living,) = workspace.json("status", "corpus/r")
    assert (living["state"], living["done"], living["partitions"]) == ("running", 1, 2)
    holder = living["holder"]
    assert (holder["pid"], holder["host"]) == (process.pid, socket.gethostname())
    shown = workspace.chef("status", "r").stdout
    assert "corpus/r: running (recipe r, run " in shown
    assert f"by process {process.pid} on {socket.gethostname()} of {holder['user']} (" in shown
    second = workspace.chef(*RUN, fails=5)
    assert f"is being written by process {process.pid} on " in second.stderr
    kept = workspace.json("cache", "prune", "--max-size", "0", "--yes")
    assert (kept["results"], kept["bytes_left"] > 0) == ([], True)

    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    (lost,) = workspace.json("status")
    assert (lost["state"], lost["done"]) == ("lost", 1)
    assert "run the same command to continue" in workspace.chef("status", "corpus/r").stdout

    (workspace.folder / "go").touch()
    assert "1 of 2 partitions were in the cache" in workspace.chef(*RUN).stdout
    (finished,) = workspace.json("status", "r")
    assert (finished["state"], finished["result"]["rows"]) == ("finished", 2)
    elsewhere = workspace.json("status", "corpus/r", "--cache", "new")
    assert (elsewhere[0]["state"], elsewhere[0]["result"]["rows"]) == ("finished", 2)
    workspace.chef("status", "q", fails=1)


def test_results_are_listed_verified_and_pruned_by_recipe(workspace: Workspace) -> None:
    (workspace.folder / "go").touch()
    for command in (RUN, ("run", "other.yaml", "--workers", "1")):
        workspace.chef(*command)
    listed = workspace.json("cache", "list")
    results = {row["recipe"]: row["results"] for row in listed["recipes"]}
    assert results == {"r": 4, "other": 1, None: 0}  # with the signals of both partitions
    assert listed["bytes"] == sum(row["bytes"] for row in listed["recipes"])
    assert "results of" in workspace.chef("cache", "list").stdout

    assert workspace.json("cache", "prune", "--unused", "--older-than", "0m")["results"] == []
    workspace.chef(*RUN, "--set", "sources.s.path=b.jsonl")  # a part of what it needed before
    unused = workspace.json("cache", "prune", "--unused")
    assert (len(unused["results"]), unused["removed"]) == (2, False)
    shown = workspace.chef("cache", "prune", "--recipe", "r").stdout
    assert "r: 2 results, " in shown
    assert "add --yes" in shown
    removed = workspace.json("cache", "prune", "--recipe", "r", "--yes")
    assert len(removed["results"]) == 2
    assert workspace.json("cache", "list")["bytes"] == removed["bytes_left"]

    assert workspace.json("cache", "verify") == {"results": 3, "damaged": []}
    for table in (workspace.folder / ".datachef" / "partitions").rglob("*.0.parquet"):
        table.write_bytes(table.read_bytes()[:-1] + b"!")
    said = workspace.chef("cache", "verify", fails=1).stdout
    assert "(other): the cached file " in said
    assert "2 of 3 results are damaged" in said
    assert workspace.json("cache", "verify")["damaged"] == []
    for options in ((), ("--older-than", "soon"), ("--max-size", "much"), ("--recipe", "q")):
        workspace.chef("cache", "prune", *options, fails=2)
