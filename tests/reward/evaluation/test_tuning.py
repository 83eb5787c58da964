"""Learning rate and steps are chosen by a loss on what the training is for, and by nothing else."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, strategies as st

from datachef.core import BenchmarkItem
from datachef.reward.evaluation import Training, fine_tune
from datachef.reward.evaluation.training import ExampleLoss
from datachef.reward.evaluation.tuning import Losses, held_out, without_copies

Rows = list[dict[str, Any]]


def example_loss(items: list[BenchmarkItem]) -> ExampleLoss:
    pairs = [(item.prompt, item.answer) for item in items]
    return ExampleLoss(lambda model: model.answer_bits(pairs).losses, ())


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


@given(
    st.lists(
        st.tuples(st.floats(0, 9), st.floats(0, 9), st.floats(0.1, 5)), min_size=2, max_size=30
    )
)
def test_a_gain_counts_where_it_is_larger_than_its_standard_error(
    examples: list[tuple[float, float, float]],
) -> None:
    before, after, weights = map(np.array, zip(*examples, strict=True))
    first, second = Losses(before, weights), Losses(after, weights)
    share = weights / weights.sum()
    gain = float(share @ (before - after))
    apart = before - after - gain
    error = float(np.sqrt((share**2 * apart**2).sum() * len(share) / (len(share) - 1)))
    if abs(gain - error) > 1e-6:
        assert first.is_above(second) == (gain > error)
    assert not first.is_above(first)
    assert not (first.is_above(second) and second.is_above(first))


def test_a_single_loss_and_one_that_is_no_number() -> None:
    low, high = (Losses(np.array([value]), np.ones(1)) for value in (1.0, 1.1))
    assert high.is_above(low)
    assert not low.is_above(high)
    broken = Losses(np.array([np.nan, 1.0]), np.ones(2))
    assert broken.mean == np.inf
    assert broken.is_above(Losses(np.ones(2), np.ones(2)))
    assert not Losses(np.ones(2), np.ones(2)).is_above(broken)


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
