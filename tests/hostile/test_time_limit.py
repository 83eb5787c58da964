"""A row on which a step does not come to an end fails alone; a step that is only slow is let be."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from datachef.core import DatachefError, RunError

PLUGIN = '''
import os, re, time
from pathlib import Path
from typing import Literal

import polars as pl

from datachef.core import CorpusOperator, Filter, Transform, hookimpl
from datachef.core import RunObserver

CATASTROPHE = re.compile(r"(a+)+$")

def meet(batch):
    for text in batch["text"]:
        if text.startswith("SLOW"):
            stop = time.process_time() + 0.1
            while time.process_time() < stop:
                pass
        if text.startswith("STUCK") and not Path(os.environ["REMEDY"]).exists():
            CATASTROPHE.match("a" * 60 + "b")  # in compiled code, which heeds nobody
        if text.startswith("WAITING"):
            time.sleep(1.5)

class Measure(Filter):
    """Measures."""
    op: Literal["measure"] = "measure"
    def signals(self):
        def measured(batch):
            meet(batch)
            return batch["text"].str.len_chars()
        return {"chars": measured}
    def rules(self):
        return {}

class Rewrite(Transform):
    """Rewrites."""
    op: Literal["rewrite"] = "rewrite"
    def transform(self, batch):
        meet(batch)
        return batch

class Summarize(CorpusOperator):
    """Summarizes."""
    op: Literal["summarize"] = "summarize"
    def summarize(self, batch):
        meet(batch)
        return batch.select("id")
    def resolve(self, summaries, context):
        return summaries.head(0).with_columns(pl.lit("none").alias("reason")).collect()

class Told(RunObserver):
    def partition_stalled(self, event):
        with open(os.environ["TOLD"], "a") as file:
            print(event.label, event.seconds, event.where, file=file)

@hookimpl
def datachef_run_observers():
    return [Told()]

@hookimpl
def datachef_operators():
    return [Measure, Rewrite, Summarize]
'''
Run = Callable[..., Any]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make_corpus: Callable[..., Any]) -> Run:
    """Runs rows of these texts through an operator in worker processes, a second for each call."""
    monkeypatch.setenv("REMEDY", str(tmp_path / "remedy"))
    monkeypatch.setenv("TOLD", str(tmp_path / "told"))
    monkeypatch.setenv("DATACHEF_CALL_SECONDS", "1")
    plugin = tmp_path / "late.py"
    plugin.write_text(PLUGIN)

    def made(texts: list[str], op: str = "measure") -> Any:
        lines = [json.dumps({"text": text}) + "\n" for text in texts]
        (tmp_path / "rows.jsonl").write_text("".join(lines))
        source = {"path": str(tmp_path / "rows.jsonl"), "max_failed": 1.0}
        return make_corpus({"s": source}, plugins=[plugin], engine="local", steps=[{"op": op}])

    return made


def numbered(texts: dict[int, str], count: int = 30) -> list[str]:
    return [texts.get(number, f"row {number}") for number in range(count)]


def test_rows_that_never_end_fail_alone_and_are_tried_again_by_the_next_run(
    run: Run, tmp_path: Path
) -> None:
    texts = numbered({4: "STUCK one", 20: "STUCK two"})
    made = run(texts)
    assert made.rows["text"].to_list() == [t for t in texts if not t.startswith("STUCK")]
    assert made.rejects.select("text", "outcome", "reason", "detail").rows() == [
        (text, "failed", "time_limit", "it takes more than 1 seconds of processor time")
        for text in ("STUCK one", "STUCK two")
    ]
    assert made.report.ledger["steps[0]"].failed == {"time_limit": 2}
    (tmp_path / "remedy").touch()
    again = run(texts)
    assert again.rows["text"].to_list() == texts
    assert again.rejects.height == 0


@pytest.mark.parametrize("op", ["rewrite", "summarize"])
def test_every_kind_of_step_is_bounded(run: Run, op: str) -> None:
    made = run(numbered({29: "STUCK"}), op)
    assert made.rows["text"].to_list() == numbered({}, 29)
    assert made.rejects["reason"].to_list() == ["time_limit"]


def test_a_step_that_is_slow_with_every_row_and_one_that_waits_fail_nothing(
    run: Run, tmp_path: Path
) -> None:
    texts = [*(f"SLOW {number}" for number in range(15)), "WAITING"]
    assert run(texts).rows["text"].to_list() == texts
    (told,) = (tmp_path / "told").read_text().splitlines()
    assert told.startswith("s/rows.jsonl 1.0 steps[0], whose rows go one by one from here")
    assert "DATACHEF_CALL_SECONDS" in told


def test_too_many_such_rows_end_the_run(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("datachef.core.run.local.MOST_OVERDUE", 1)
    with pytest.raises(RunError, match=r"steps\[0\]: more than 1 rows take more than 1 seconds"):
        run(numbered({3: "STUCK", 4: "STUCK", 5: "STUCK"}))


@pytest.mark.parametrize("said", ["soon", "-1", "nan", "inf"])
def test_a_limit_that_is_none_is_told(run: Run, monkeypatch: pytest.MonkeyPatch, said: str) -> None:
    monkeypatch.setenv("DATACHEF_CALL_SECONDS", said)
    with pytest.raises(DatachefError, match="DATACHEF_CALL_SECONDS"):
        run(["row"])
