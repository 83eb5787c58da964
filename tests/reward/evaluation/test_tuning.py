"""Learning rate and steps are chosen by a loss on what the training is for, and by nothing else."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from datachef.core import BenchmarkItem
from datachef.reward.evaluation import Training, fine_tune
from datachef.reward.evaluation.training import ExampleLoss
from datachef.reward.evaluation.tuning import held_out, without_copies

Rows = list[dict[str, Any]]


def example_loss(items: list[BenchmarkItem]) -> ExampleLoss:
    pairs = [(item.prompt, item.answer) for item in items]
    return ExampleLoss(lambda model: model.answer_bits(pairs).per_byte[0], ())


def test_the_best_rate_and_the_best_step_are_taken(
    base: Path,
    colour_rows: Rows,
    colour_items: list[BenchmarkItem],
    write_corpus: Callable[..., Path],
    training: Training,
    tmp_path: Path,
    bits_per_byte: Callable[..., tuple[float, float]],
) -> None:
    several = training.model_copy(update={"learning_rate": (1e-6, 1e-2)})
    made = fine_tune(
        write_corpus(colour_rows), base, several, 0, tmp_path / "m", example_loss(colour_items)
    )
    assert made.tuned["learning_rate"] == 1e-2
    assert 0 < made.tuned["steps"] <= made.tuned["most_steps"]
    assert made.tuned["measured_on"] == "examples"
    assert made.tuned["loss"] < 0.5 * made.tuned["loss_untrained"]
    # The checkpoint is that of the lowest loss.
    found = bits_per_byte(made.checkpoint, colour_items)[0]
    assert found == pytest.approx(made.tuned["loss"], rel=1e-4)


def test_what_makes_everything_worse_is_not_learned(
    base: Path,
    sum_rows: Rows,
    colour_items: list[BenchmarkItem],
    write_corpus: Callable[..., Path],
    training: Training,
    tmp_path: Path,
    bits_per_byte: Callable[..., tuple[float, float]],
) -> None:
    harmful = training.model_copy(update={"learning_rate": (0.5,), "warmup": 0})
    made = fine_tune(
        write_corpus(sum_rows), base, harmful, 0, tmp_path / "m", example_loss(colour_items)
    )
    assert made.tuned["steps"] == 0
    assert made.tuned["loss"] == made.tuned["loss_untrained"]
    before, after = (bits_per_byte(model, colour_items)[0] for model in (base, made.checkpoint))
    assert after == pytest.approx(before)


def test_without_examples_a_part_of_the_corpus_is_held_out(
    base: Path,
    colour_rows: Rows,
    write_corpus: Callable[..., Path],
    training: Training,
    tmp_path: Path,
) -> None:
    several = training.model_copy(update={"learning_rate": (1e-6, 1e-2), "max_tokens": 6_000})
    corpus = write_corpus(colour_rows)
    made = fine_tune(corpus, base, several, 0, tmp_path / "m")
    assert made.tuned["measured_on"] == "corpus"
    assert made.tuned["learning_rate"] == 1e-2
    again = fine_tune(corpus, base, several, 0, tmp_path / "again")
    assert again.tuned == made.tuned
    rows = [{"text": str(number)} for number in range(30)]
    learned, kept = held_out(rows)
    assert (len(learned), len(kept)) == (27, 3)
    assert held_out(rows[:1]) == (rows[:1], rows[:1])


def test_examples_are_not_in_what_is_learned() -> None:
    lead = "Please choose the correct answer to the following question about science and nature:"
    asked = "which part of a green plant takes in most of the water it needs"
    other = "how many moons does the planet that is nearest to the sun have"
    rows: Rows = [
        {"messages": [{"role": "user", "content": f"Question: {asked.title()}?\nA. root"}]},
        {"messages": [{"role": "user", "content": f"{lead} what is rust made of"}]},
        {"prompt": f"{lead} {other}", "completion": "none"},
        {"text": "Nothing of the kind."},
    ]
    found = without_copies(rows, [f"{lead} {asked}", f"{lead} {other}"])
    assert found == [rows[1], rows[3]]
