"""What is measured is known by its content, and so is the model that it was measured with."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, cast

from datachef.core import Host
from datachef.core.contracts.task import Task
from datachef.reward.evaluation import EvaluationSettings
from datachef.reward.evaluation.evaluator import Evaluator, task_key, weights_key
from datachef.reward.history import History
from datachef.reward.measurement import MeasurementRecord


def checkpoint(folder: Path, weights: bytes) -> str:
    folder.mkdir(exist_ok=True)
    (folder / "config.json").write_text("{}")
    (folder / "model.safetensors").write_bytes(weights)
    return str(folder)


def test_a_folder_is_known_by_what_it_holds(tmp_path: Path) -> None:
    first = weights_key(checkpoint(tmp_path / "a", b"1" * 500_000 + b"2" + b"3" * 500_000))
    assert first == weights_key(checkpoint(tmp_path / "b", b"1" * 500_000 + b"2" + b"3" * 500_000))
    assert first != weights_key(checkpoint(tmp_path / "a", b"1" * 500_000 + b"4" + b"3" * 500_000))
    assert weights_key("org/model") is None


def test_a_measurement_of_other_weights_is_not_taken(tmp_path: Path) -> None:
    history = History(tmp_path / "history.sqlite")
    model = checkpoint(tmp_path / "base", b"old")
    asked: dict[str, Any] = {
        "recipe_name": "r", "recipe": "name: r", "task": "t", "seed": 0, "score": 0.5,
        "scores": {"likelihood": 0.5}, "features": {}, "versions": {}, "seconds": 1.0,
        "corpus": {}, "vocabulary": "",
    }  # fmt: skip

    def evaluator() -> Evaluator:
        settings = EvaluationSettings(base_model=model, accuracy=False)
        return Evaluator(cast(Any, None), cast(Host, None), history, settings, tmp_path)

    def known(one: Evaluator) -> list[MeasurementRecord]:
        return one._known("key", "task", "likelihood", one._training)

    old = evaluator()
    measured = MeasurementRecord(
        **asked, recipe_key="key", task_key="task", base_model=model, training=old._training
    )
    number = history.add(measured)
    assert [m.id for m in known(evaluator())] == [number]
    checkpoint(tmp_path / "base", b"new")
    new = evaluator()
    assert known(new) == []
    assert history.add(replace(measured, score=0.7, training=new._training)) != number
    assert [m.score for m in known(evaluator())] == [0.7]
    # What was measured in another way is not taken either.
    assert evaluator()._known("key", "task", "choice_probability", new._training) == []


PLUGIN = """
from datachef.core import Metric, hookimpl

class Reversed(Metric):
    name = "reversed"
    criterion = "the answer should be the expected answer, read backwards"

    def score(self, response, item):
        return float({said} == item.answer[::-1])

@hookimpl
def datachef_metrics():
    return [Reversed]
"""


def test_a_score_of_a_metric_that_was_edited_is_of_another_task(tmp_path: Path) -> None:
    file, questions = tmp_path / "reversed.py", tmp_path / "questions.jsonl"
    questions.write_text('{"prompt": "Backwards: abc", "answer": "abc"}\n')

    def task(metric: str) -> Task:
        data = {"name": "t", "benchmark": {"path": str(questions)}, "metric": metric}
        return Host([str(file)]).vocabulary.task(data)

    file.write_text(PLUGIN.format(said="response"))
    before, ours = task_key(task("reversed")), task_key(task("exact_match"))
    assert task_key(task("reversed")) == before
    file.write_text(PLUGIN.format(said="response.strip()"))
    assert task_key(task("reversed")) != before
    assert task_key(task("exact_match")) == ours
