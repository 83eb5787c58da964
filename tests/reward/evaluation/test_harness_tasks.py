"""Tasks of the harness, measured by their names."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from datachef.core import (
    DatachefError,
    Task,
)
from datachef.core.contracts.task import LMEvalBenchmark
from datachef.reward.evaluation.harness import score

Scripted = Callable[[Mapping[str, str]], Any]


@pytest.fixture
def harness_tasks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder from which the harness takes its tasks, and none from anywhere else."""
    pytest.importorskip("lm_eval")
    import lm_eval.tasks

    folder = tmp_path / "tasks"
    folder.mkdir()
    rows = tmp_path / "rows.jsonl"
    rows.write_text("".join(json.dumps({"q": f"Say {n}", "a": str(n)}) + "\n" for n in range(20)))
    (folder / "_base").write_text(
        "dataset_path: json\n"
        f"dataset_kwargs: {{data_files: {{test: {rows}}}, cache_dir: {tmp_path / 'cache'}}}\n"
        "test_split: test\ndoc_to_text: '{{q}}'\ndoc_to_target: '{{a}}'\n"
        "output_type: generate_until\ngeneration_kwargs: {until: ['\\n'], do_sample: false}\n"
        "metric_list:\n"
        "- {metric: exact_match, aggregation: mean, higher_is_better: true}\n"
    )
    for name, more in (
        ("say", ""),
        ("say_more", "tag: both\n"),
        ("say_less", "tag: both\n"),
        ("filtered", "filter_list:\n- {name: strict, filter: [{function: take_first}]}\n"),
        ("dangerous", "unsafe_code: true\n"),
        ("broken", "doc_to_text: '{{q.x.y.z()}}'\n"),
    ):
        (folder / f"{name}.yaml").write_text(f"include: _base\ntask: {name}\n{more}")
    manager = partial(lm_eval.tasks.TaskManager, include_path=str(folder), include_defaults=False)
    monkeypatch.setattr(lm_eval.tasks, "TaskManager", manager)
    return folder


def named(name: str) -> Task:
    return Task(name="sample", benchmark=LMEvalBenchmark(lm_eval=name))


@pytest.mark.usefixtures("harness_tasks")
def test_tasks_of_the_harness_are_measured_by_name(scripted: Scripted, tmp_path: Path) -> None:
    lines = {f"Say {n}": str(n if n % 2 else n + 1) for n in range(20)}
    figures = score(scripted(lines), named("say"), folder=tmp_path)
    error = math.sqrt(0.25 * 20 / 19 / 20)
    assert figures == {"exact_match": 0.5, "exact_match_stderr": pytest.approx(error)}
    figures = score(scripted(lines), named("filtered"), folder=tmp_path)
    assert list(figures) == ["exact_match/strict", "exact_match/strict_stderr"]
    figures = score(scripted(lines), named("both"), folder=tmp_path)
    assert figures["say_less/exact_match"] == figures["say_more/exact_match"] == 0.5


@pytest.mark.usefixtures("harness_tasks")
def test_a_limit_draws_from_tasks_of_the_harness_too(scripted: Scripted, tmp_path: Path) -> None:
    lm = scripted({f"Say {n}": str(n) for n in range(20)})
    drawn = []
    for seed in (1, 1, 2):
        lm.asked.clear()
        assert score(lm, named("say"), limit=5, seed=seed, folder=tmp_path)["exact_match"] == 1.0
        drawn.append(sorted(lm.asked))
    assert drawn[0] == drawn[1] != drawn[2]
    assert len(drawn[0]) == 5


@pytest.mark.usefixtures("harness_tasks")
def test_what_is_wrong_with_a_task_of_the_harness_is_told(
    scripted: Scripted, tmp_path: Path
) -> None:
    lm = scripted({f"Say {n}": str(n) for n in range(20)})
    with pytest.raises(DatachefError, match="no task 'sya'") as unknown:
        score(lm, named("sya"), folder=tmp_path)
    assert "did you mean say?" in unknown.value.hint
    with pytest.raises(DatachefError, match="not allowed"):
        score(lm, named("dangerous"), folder=tmp_path)
    with pytest.raises(DatachefError, match="which lm-eval does not confine"):
        score(lm, named("dangerous"), folder=tmp_path, allow_code=True)
    allowed = score(lm, named("dangerous"), folder=tmp_path, allow_code="unconfined")
    assert allowed["exact_match"] == 1.0
    with pytest.raises(DatachefError, match="could not run its task broken"):
        score(lm, named("broken"), folder=tmp_path)
