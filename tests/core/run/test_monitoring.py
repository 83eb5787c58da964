"""What a run tells while it goes on: lines off a terminal, a log of JSON lines, metrics."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from command import Workspace

from datachef.core import Host, run_recipe
from datachef.core.cli.progress import ProgressLines, line_of
from datachef.core.contracts.engine import PartitionFinished, PhaseStarted, Progressed, RunStarted
from datachef.core.run.monitoring import metrics
from datachef.core.run.progress import ProgressTracker

ODD = """
import os, signal, time
from pathlib import Path
from typing import Literal
import polars as pl
from datachef.core import Filter, hookimpl

class Odd(Filter):
    "Waits, fails on a row, and once takes its worker along."
    op: Literal["odd"] = "odd"
    def signals(self):
        return {"size": self.size}
    def size(self, batch):
        if "die" in batch["text"] and not Path("died").exists():
            Path("died").touch()
            os.kill(os.getpid(), signal.SIGKILL)
        if "fail" in batch["text"]:
            raise ValueError("it fails")
        if "wait" in batch["text"]:
            time.sleep(0.5)
        return batch["text"].str.len_chars()
    def rules(self):
        return {}

@hookimpl
def datachef_operators():
    return [Odd]
"""


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    (tmp_path / "odd.py").write_text(ODD)
    texts = {"a": ["wait", "fine"], "b": ["die", "fail", "fine"]}
    for name, rows in texts.items():
        lines = [json.dumps({"text": text}) + "\n" for text in rows]
        (tmp_path / f"{name}.jsonl").write_text("".join(lines))
    workspace = Workspace(tmp_path)
    source = {"path": "*.jsonl", "max_failed": 0.5, "steps": [{"op": "odd"}]}
    workspace.write("r.yaml", {"name": "r", "sources": {"pages": source}})
    return workspace


def events(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_a_run_is_followed_in_its_log_and_in_its_metrics(workspace: Workspace) -> None:
    command = ("--plugin", "odd.py", "run", "r.yaml", "-w", "1", "--log-file", "run.log")
    done = workspace.chef(*command, "--metrics-file", "run.prom")
    assert "begun again: a worker died on it: it was killed (SIGKILL)" in done.stderr
    told = events(workspace.folder / "run.log")
    assert {event["version"] for event in told} == {1}
    assert len({event["run"] for event in told}) == 1
    kinds = [event["event"] for event in told if event["event"] != "progress"]
    assert kinds[:2] == ["run_started", "phase_started"]
    assert kinds[-1] == "run_finished"
    (retried,) = (event for event in told if event["event"] == "partition_retried")
    assert retried["label"] == "pages/b.jsonl"
    a, b, _ = (event for event in told if event["event"] == "partition_finished")
    assert [a["label"], b["label"]] == ["pages/a.jsonl", "pages/b.jsonl"]
    assert b["steps"] == ["sources.pages", "sources.pages.steps[0]", "output"]
    assert (b["rows"], b["failed"]) == (3, 1)
    assert a["seconds"] >= 0.5
    assert told[-1]["rows"] == 4

    lines = (workspace.folder / "run.prom").read_text().splitlines()
    values = dict(line.rsplit(" ", 1) for line in lines if not line.startswith("#"))
    labels = f'recipe="r",folder="{workspace.folder}/corpus/r"'
    assert values[f'datachef_run_state{{{labels},state="finished"}}'] == "1"
    assert values[f"datachef_run_failed_rows{{{labels}}}"] == "1"
    assert values[f"datachef_run_retried_partitions{{{labels}}}"] == "1"
    assert values[f"datachef_run_corpus_rows{{{labels}}}"] == "4"

    workspace.chef("--quiet", *command, "--set", "sources.pages.max_failed=0", fails=4)
    last = events(workspace.folder / "run.log")[-1]
    assert (last["event"], last["error"]["exit_code"]) == ("run_failed", 4)
    assert "more than the 0% that max_failed allows" in last["error"]["message"]


def test_no_file_of_somebody_else_is_written(workspace: Workspace) -> None:
    for option in ("--log-file", "--metrics-file"):
        before = (workspace.folder / "r.yaml").read_text()
        done = workspace.chef("--plugin", "odd.py", "run", "r.yaml", option, "r.yaml", fails=1)
        assert "r.yaml exists and is not a" in done.stderr
        assert (workspace.folder / "r.yaml").read_text() == before


def test_lines_come_while_nothing_happens(
    workspace: Workspace, capsys: pytest.CaptureFixture[str]
) -> None:
    host = Host([str(workspace.folder / "odd.py")], only={"sources", "engines"})
    run_recipe(
        workspace.folder / "r.yaml", workspace.folder / "out", host=host, engine="inline",
        cache=workspace.folder / "cache", observers=[ProgressLines(every=0.05)],
        overrides=[f"sources.pages.path={workspace.folder / 'a.jsonl'}"],
    )  # fmt: skip
    lines = capsys.readouterr().err.splitlines()
    assert len([line for line in lines if line.startswith("1/1: 0 of 1 partitions")]) > 2


def test_how_far_a_run_is_follows_from_its_events(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ProgressTracker, "phase_seconds", 10.0)
    progress = ProgressTracker()
    for event in (
        RunStarted('an "odd" name', Path("/corpus"), 5, "id"),
        PhaseStarted("1/2", 1_000, 4, 1),
        Progressed("x", 300, 50),
        Progressed("y", 50, 50),
        PartitionFinished("x", 200, 1.5, 60, 2, ()),
    ):
        progress.add(event)
    said = (
        "1/2: 1 of 4 partitions, 250 B of 1.0 kB, 100 rows (10 rows/s), 2 rows failed, 30.0 s left"
    )
    assert line_of(progress.to_data()) == said
    assert progress.done == 2
    lines = list(metrics(progress.to_data()))
    assert 'datachef_run_partitions_done{recipe="an \\"odd\\" name",folder="/corpus"} 2' in lines
