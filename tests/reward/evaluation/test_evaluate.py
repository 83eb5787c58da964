from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from datachef.core import BenchmarkFile, DatachefError, Task
from datachef.core.contracts.task import LMEvalBenchmark
from datachef.core.system.ownership import MARK
from datachef.reward.evaluation import SeedResult, TaskScorer, Training, evaluate
from datachef.reward.evaluation.evaluate import require_checker
from datachef.reward.evaluation.task_scorer import gold_items

Rows = list[dict[str, Any]]
WriteCorpus = Callable[..., Path]


@pytest.fixture
def task(tmp_path: Path, colour_items: list[Any]) -> Task:
    rows = [
        {"prompt": i.prompt, "answer": i.answer, "solution": f"It is {i.answer}"}
        for i in colour_items
    ]
    file = tmp_path / "test.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return Task(name="colours", benchmark=BenchmarkFile(path=str(file)))


@pytest.mark.slow
def test_the_better_corpus_measures_better_and_the_same_again(
    base: Path,
    task: Task,
    colour_rows: Rows,
    sum_rows: Rows,
    write_corpus: WriteCorpus,
    training: Training,
    tmp_path: Path,
) -> None:
    good, bad = write_corpus(colour_rows, "good"), write_corpus(sum_rows, "bad")

    scorer = TaskScorer(task, None, False, False, training, tmp_path / "harness")
    scoring = scorer.decide(base)
    assert (scoring.score_name, scoring.form, scoring.chance) == ("bits_saved", None, 0)

    def measure(corpus: Path, seeds: list[int]) -> list[SeedResult]:
        found = evaluate(corpus, scorer, base, scoring, seeds=seeds, folder=tmp_path / "work")
        return list(found)

    first, other = measure(good, [0, 1])
    (again,), (worse,) = measure(good, [0]), measure(bad, [0])
    assert first.scores == again.scores != other.scores
    assert first.scores["bits_saved"] > scoring.base > 0
    assert first.scores["bits_saved"] > worse.scores["bits_saved"] + 0.1
    assert first.scores["bits_saved"] == pytest.approx(1 - first.scores["bits_per_byte"] / 8)
    assert (first.seed, other.seed, first.checkpoint) == (0, 1, None)
    assert first.seconds > 0
    assert {"datachef-core", "torch", "transformers", "trl"} <= set(first.versions)
    assert [path.name for path in (tmp_path / "work").iterdir()] == [MARK]


def test_checkpoints_stay_when_asked(
    base: Path,
    task: Task,
    colour_rows: Rows,
    write_corpus: WriteCorpus,
    training: Training,
    tmp_path: Path,
) -> None:
    scorer = TaskScorer(task, 2, False, False, training, tmp_path / "harness")
    (kept,) = evaluate(
        write_corpus(colour_rows), scorer, base, scorer.decide(base),
        seeds=[3], folder=tmp_path / "work", keep=True,
    )  # fmt: skip
    assert kept.checkpoint == tmp_path / "work" / "seed-3"
    assert (kept.checkpoint / "model.safetensors").exists()


@pytest.mark.parametrize(("right", "kind"), [(0.25, "accuracy"), (0.15, "bits_saved")])
def test_written_answers_are_scored_as_right_where_the_base_model_is_off_the_floor(
    base: Path,
    task: Task,
    training: Training,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    right: float,
    kind: str,
) -> None:
    asked = []

    def run_harness(model: Path, task: Task, **options: Any) -> dict[str, float]:
        asked.append(options)
        return {"exact_match": right, "exact_match_stderr": 0.1}

    harness = ModuleType("datachef.reward.evaluation.harness")
    harness.run_harness = run_harness  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, harness.__name__, harness)
    scorer = TaskScorer(task, 3, True, True, training, tmp_path / "harness")
    scoring = scorer.decide(base)
    assert scoring.score_name == kind
    assert scoring.base == scoring.base_scores[kind]
    assert ("accuracy" in scoring.base_scores) == (kind == "accuracy")
    measured = scorer.measure(base, scoring)
    assert measured == scoring.base_scores
    assert measured["exact_match"] == right
    assert [(a["limit"], a["seed"], a["allow_code"]) for a in asked] == [(3, 0, True)] * 2


def test_code_that_is_not_allowed_is_refused_before_training(task: Task) -> None:
    tested = task.model_copy(update={"metric": "unit_tests"})
    with pytest.raises(DatachefError, match="which was not allowed"):
        require_checker(tested, False)


def test_a_failure_leaves_no_checkpoint(
    base: Path,
    task: Task,
    colour_rows: Rows,
    write_corpus: WriteCorpus,
    training: Training,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise DatachefError("no")

    scorer = TaskScorer(task, None, False, False, training, tmp_path / "harness")
    scoring = scorer.decide(base)
    monkeypatch.setattr(TaskScorer, "measure", fail)
    with pytest.raises(DatachefError):
        list(
            evaluate(
                write_corpus(colour_rows), scorer, base, scoring, seeds=[0], folder=tmp_path / "w"
            )
        )
    assert [path.name for path in (tmp_path / "w").iterdir()] == [MARK]


def test_a_worked_solution_can_stand_for_the_gold_answer(task: Task) -> None:
    def answers(reference: str | None) -> list[str]:
        benchmark = task.benchmark.model_copy(update={"reference": reference})
        return [i.answer for i in gold_items(task.model_copy(update={"benchmark": benchmark}))]

    assert answers(None)[:2] == ["green", "white"]
    assert answers("solution")[0] == "It is green"
    assert answers("{solution}: {answer}")[0] == "It is green: green"
    with pytest.raises(DatachefError, match="lacks what it is measured by"):
        answers("proof")


def test_of_several_accepted_answers_the_first_is_measured(tmp_path: Path) -> None:
    file = tmp_path / "test.jsonl"
    file.write_text('{"prompt": "?", "answer": ["six", "6"]}\n{"prompt": "?", "answer": []}\n')
    task = Task(name="t", benchmark=BenchmarkFile(path=str(file)))
    assert [item.answer for item in gold_items(task)] == ["six", ""]


def test_a_benchmark_without_a_file_is_explained() -> None:
    task = Task(name="t", benchmark=LMEvalBenchmark(lm_eval="gsm8k"))
    with pytest.raises(DatachefError, match="without a file of gold answers"):
        gold_items(task)
