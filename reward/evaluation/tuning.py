"""Chooses the learning rate and the number of steps of a training by a loss on what it is for.

A setting that is the same for all recipes ranks them by how well they survive it. What is chosen by
never belongs to the benchmark: the examples of the task, or a part of the corpus held out.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from datachef.core.language_models.checkpoint import training_package
from datachef.reward.evaluation.corpus import TrainingRow

# Every learning rate is tried on this share of the steps; the best is trained to the end, with the
# loss taken this often, and ended when it has not fallen this many times in a row.
TRIAL = 0.25
CHECKS = 8
PATIENCE = 3
# Of a corpus without examples of the task, the share of rows that is held out, and the most.
HELD_OUT, MOST_HELD_OUT = 0.1, 64

MeasuredOn = Literal["examples", "corpus"]


@dataclass(frozen=True)
class Losses:
    """The loss on each example, and how much each counts."""

    each: NDArray[np.float64]
    weights: NDArray[np.float64]

    @property
    def mean(self) -> float:
        """The weighted mean; infinite where there is none."""
        mean = float(self.each @ self.weights / self.weights.sum())
        return mean if math.isfinite(mean) else math.inf

    def is_above(self, other: Losses) -> bool:
        """Whether these are higher than others on the same examples, by more than the standard
        error of the mean difference; of a single loss, by anything."""
        gain = self.mean - other.mean
        count = len(self.each)
        if count < 2 or not math.isfinite(gain):
            return gain > 0
        apart = self.weights * (self.each - other.each - gain)
        error = math.sqrt(count / (count - 1) * float(apart @ apart)) / float(self.weights.sum())
        return gain > error


@dataclass(frozen=True)
class Guide:
    """The `losses` of a trainer's model that settings are chosen by, and what they are taken on."""

    measured_on: MeasuredOn
    losses: Callable[[Any], Losses]


def tune(
    trainer: Any,
    run: Callable[[Sequence[int], float], None],
    order: Sequence[int],
    rates: Sequence[float],
    guide: Guide,
    batch_size: int,
) -> dict[str, Any]:
    """Trains with the best of the learning rates for as many steps as lower the loss.

    `run` trains on rows in an order, with a rate. The model ends with the weights of the lowest
    loss, or with those that it began with where that is no lower by more than its standard error
    (Breiman et al. 1984, "Classification and Regression Trees", section 3.4.3): a corpus that
    teaches nothing is not learned. Returns what was chosen.
    """
    start = _weights(trainer.model)
    at_start = guide.losses(trainer)
    trial = order[: max(batch_size, int(TRIAL * len(order)))]
    losses = {}
    for rate in rates if len(rates) > 1 else ():
        run(trial, rate)
        losses[rate] = guide.losses(trainer).mean
        _restore(trainer.model, start)
    rate = min(losses, key=losses.__getitem__) if losses else rates[0]
    steps = math.ceil(len(order) / batch_size)
    best = _Best(guide, max(1, steps // CHECKS), at_start, start)
    callback = best.callback(trainer)
    trainer.add_callback(callback)
    run(order, rate)
    trainer.remove_callback(callback)
    if not at_start.is_above(best.losses):
        best.losses, best.step, best.weights = at_start, 0, start
    _restore(trainer.model, best.weights)
    return {
        "learning_rate": rate,
        "steps": best.step,
        "most_steps": steps,
        "loss": best.losses.mean,
        "loss_untrained": at_start.mean,
        "measured_on": guide.measured_on,
    }


@dataclass
class _Best:
    """The weights with the lowest loss so far, and the step at which they were."""

    guide: Guide
    every: int
    losses: Losses
    weights: dict[str, Any]
    step: int = 0
    worse: int = field(default=0, init=False)

    def callback(self, trainer: Any) -> Any:
        """What looks at the loss in the course of a training, and ends it."""
        from transformers import TrainerCallback

        best = self

        class Checks(TrainerCallback):
            def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
                if state.global_step % best.every == 0 or state.global_step == state.max_steps:
                    control.should_training_stop |= best.check(trainer, state.global_step)

        return Checks()

    def check(self, trainer: Any, step: int) -> bool:
        """Takes the loss after a step; true where nothing was gained for long."""
        losses = self.guide.losses(trainer)
        if losses.mean < self.losses.mean:
            self.losses, self.step, self.worse = losses, step, 0
            self.weights = _weights(trainer.model)
        else:
            self.worse += 1
        return self.worse >= PATIENCE


def _weights(model: Any) -> dict[str, Any]:
    return {n: p.detach().clone() for n, p in model.named_parameters() if p.requires_grad}


def _restore(model: Any, weights: dict[str, Any]) -> None:
    with training_package("torch").no_grad():
        for name, parameter in model.named_parameters():
            if name in weights:
                parameter.copy_(weights[name])


# This many words in a row identify an example.
GRAM = 8
_WORD = re.compile(r"\w+")


def without_copies(rows: Sequence[TrainingRow], examples: Sequence[str]) -> list[TrainingRow]:
    """The rows that hold none of the examples, in whatever form: a loss on what was learned by
    heart says nothing. Words that several examples have in common make no copy."""
    counts = Counter(gram for text in examples for gram in set(_grams(text)))
    own = {gram for gram, count in counts.items() if count == 1}
    return [row for row in rows if own.isdisjoint(_grams(_text_of(row)))]


def _grams(text: str) -> Iterator[tuple[str, ...]]:
    words = _WORD.findall(text.lower())
    return (tuple(words[i : i + GRAM]) for i in range(len(words) - GRAM + 1))


def _text_of(row: TrainingRow) -> str:
    parts = [row.get("text"), row.get("prompt"), row.get("completion"), row.get("messages")]
    turns = [turn for part in parts if isinstance(part, list) for turn in part]
    said = [part for part in parts if isinstance(part, str)]
    return "\n".join([*said, *(str(turn.get("content") or "") for turn in turns)])


def held_out(rows: Sequence[TrainingRow]) -> tuple[list[TrainingRow], list[TrainingRow]]:
    """Rows to learn from, and the last ones, which are held out; at least one of each.

    Rows come in random order. A single row is both.
    """
    count = min(MOST_HELD_OUT, max(1, int(HELD_OUT * len(rows))))
    return list(rows[:-count] or rows), list(rows[-count:])
