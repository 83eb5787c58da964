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
from datachef.reward.evaluation import SeedResult, Training, evaluate
from datachef.reward.evaluation.evaluate import gold_items

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

    def measure(corpus: Path, seeds: list[int]) -> list[SeedResult]:
        return evaluate(
            corpus, task, base, training=training, seeds=seeds, folder=tmp_path / "work"
        )

    first, other = measure(good, [0, 1])
    (again,), (worse,) = measure(good, [0]), measure(bad, [0])
    assert first.scores == again.scores != other.scores
    assert first.scores["likelihood"] > 3 * worse.scores["likelihood"]
    assert first.scores["likelihood"] == pytest.approx(2 ** -first.scores["bits_per_byte"])
    assert (first.seed, other.seed, first.items, first.checkpoint) == (0, 1, 5, None)
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
    (kept,) = evaluate(
        write_corpus(colour_rows), task, base,
        training=training, seeds=[3], items=2, folder=tmp_path / "work", keep=True,
    )  # fmt: skip
    assert kept.checkpoint == tmp_path / "work" / "seed-3"
    assert (kept.checkpoint / "model.safetensors").exists()
    assert kept.items == 2


def test_accuracy_comes_from_the_harness(
    base: Path,
    task: Task,
    colour_rows: Rows,
    write_corpus: WriteCorpus,
    training: Training,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked = []

    def run_harness(model: Path, task: Task, **options: Any) -> dict[str, float]:
        assert (model / "model.safetensors").exists()
        asked.append(options)
        return {"exact_match": 0.25, "exact_match_stderr": 0.1}

    harness = ModuleType("datachef.reward.evaluation.harness")
    harness.run_harness = run_harness  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, harness.__name__, harness)
    (measured,) = evaluate(
        write_corpus(colour_rows), task, base,
        training=training, seeds=[0], items=3, accuracy=True, allow_code=True,
        folder=tmp_path / "w",
    )  # fmt: skip
    assert measured.scores["exact_match"] == 0.25
    assert set(measured.scores) > {"bits_per_byte", "likelihood", "exact_match_stderr"}
    assert [(a["limit"], a["seed"], a["allow_code"]) for a in asked] == [(3, 0, True)]


def test_code_that_is_not_allowed_is_refused_before_training(
    task: Task,
    colour_rows: Rows,
    write_corpus: WriteCorpus,
    training: Training,
    tmp_path: Path,
) -> None:
    tested = task.model_copy(update={"metric": "unit_tests"})
    with pytest.raises(DatachefError, match="which was not allowed"):
        evaluate(
            write_corpus(colour_rows), tested, tmp_path / "no model",
            training=training, seeds=[0], accuracy=True, folder=tmp_path / "work",
        )  # fmt: skip
    assert not (tmp_path / "work").exists()


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

    # The package has a function of the module's name.
    module = sys.modules["datachef.reward.evaluation.evaluate"]
    monkeypatch.setattr(module, "bits_per_byte", fail)
    with pytest.raises(DatachefError):
        evaluate(
            write_corpus(colour_rows),
            task,
            base,
            training=training,
            seeds=[0],
            folder=tmp_path / "w",
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


def measured(value: float) -> SeedResult:
    return SeedResult({"likelihood": value}, 0, 5, 1.0)
