"""What a measured score is: one kind for each way in which answers are scored.

Every kind lies in [0, 1], higher is better, and stands beside its `chance` (what is reached without
knowing anything), its `base` (the untrained base model on the same items) and its `ceiling`. Scores
of different kinds, like those of different items or base models, say nothing of one another.
"""

from __future__ import annotations

from dataclasses import dataclass

REFERENCE_POINTS = ("chance", "base", "ceiling")

LIKELIHOOD = "likelihood"
CHOICE_PROBABILITY = "choice_probability"
BITS_SAVED = "bits_saved"
ACCURACY = "accuracy"
PASS_RATE = "pass_rate"  # noqa: S105 - a name, no password


@dataclass(frozen=True)
class ScoreKind:
    """`unit` says what the score counts; `chance` is the same for all tasks, or None where it
    depends on the items."""

    name: str
    unit: str
    chance: float | None


SCORE_KINDS = {
    kind.name: kind
    for kind in (
        ScoreKind(
            CHOICE_PROBABILITY, "mean probability of the right option among the options", None
        ),
        ScoreKind(
            BITS_SAVED,
            "share of the 8 bits of a byte that the model saves on the gold answers, at least 0",
            0.0,
        ),
        ScoreKind(ACCURACY, "share of the items that are answered right", 0.0),
        ScoreKind(PASS_RATE, "share of the items whose unit tests pass", 0.0),
        # What histories of version 1 hold, by byte, and imported losses become, by token.
        ScoreKind(
            LIKELIHOOD, "geometric mean of the probability of a byte, or token, of the answers", 0.0
        ),
    )
}
