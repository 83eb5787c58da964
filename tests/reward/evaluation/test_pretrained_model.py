"""A pretrained model among the assets is trained and measured like any other base model."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from datachef.core import BenchmarkFile, BenchmarkItem, Host, Task
from datachef.core.assets.checkpoint import checkpoint_folder
from datachef.core.language_models.checkpoint import load_model
from datachef.reward.evaluation import TaskScorer, Training, evaluate
from datachef.reward.evaluation.evaluator import base_model
from datachef.reward.evaluation.likelihoods import AnswerModel, precision
from datachef.reward.score_kinds import CHOICE_PROBABILITY


@pytest.mark.slow
def test_smollm2_learns_and_is_measured(
    smollm2: Path,
    colour_items: list[BenchmarkItem],
    colour_rows: list[dict[str, Any]],
    write_corpus: Callable[..., Path],
    tmp_path: Path,
) -> None:
    unused: Any = None
    folder = base_model("smollm2", {}, unused, unused, tmp_path, Host().assets)
    assert folder == checkpoint_folder("smollm2")
    assert "quantization_config" not in json.loads((Path(folder) / "config.json").read_text())
    options = ["green", "white", "black", "red", "blue"]
    file = tmp_path / "test.jsonl"
    rows = [{"prompt": i.prompt, "answer": i.answer, "choices": options} for i in colour_items]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    task = Task(
        name="colours",
        benchmark=BenchmarkFile(path=str(file), choices="choices"),
        metric="label",
        base_model="smollm2",
    )
    training = Training(max_tokens=600, max_length=64, batch_tokens=128, learning_rate=1e-4)
    scorer = TaskScorer(task, None, False, False, training, tmp_path / "harness")
    scoring = scorer.decide(folder)
    assert scoring.score_name == CHOICE_PROBABILITY
    assert scoring.base > scoring.chance == pytest.approx(0.2)  # it knows the colour of grass
    (found,) = evaluate(
        write_corpus(colour_rows), scorer, folder, scoring, seeds=[0], folder=tmp_path / "work",
        keep=True,
    )  # fmt: skip
    assert found.scores[CHOICE_PROBABILITY] > scoring.base
    assert found.checkpoint is not None
    assert "quantization_config" not in json.loads((found.checkpoint / "config.json").read_text())


def test_large_models_compute_in_bfloat16(base: Path) -> None:
    small = load_model(base)
    assert precision(small, "auto") == "float32"
    assert precision(small, "bfloat16") == "bfloat16"
    assert AnswerModel.load(base, dtype="bfloat16").model.dtype.itemsize == 2
