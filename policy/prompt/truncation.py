"""What a prompt that is too long does without, and in which order.

A prompt of level 0 says everything. Level n says nothing of the first n parts of `TRUNCATION`, so
that the last level has bare names: of the task, the sources and the operators, and the budget.
The lowest level that fits is written.
"""

from __future__ import annotations

TRUNCATION = (
    "source examples",
    "task examples",
    "signals",
    "parameter descriptions",
    "parameters",
    "operator descriptions",
    "source descriptions",
    "source sizes",
    # The system message, the instruction, the protocol, and what to answer.
    "explanations",
)
LAST = len(TRUNCATION)


def shown(level: int) -> frozenset[str]:
    """The parts that a prompt of this level has."""
    return frozenset(TRUNCATION[level:])
