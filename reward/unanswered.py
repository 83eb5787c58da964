"""Whether enough rows were answered by servers for a corpus to say something of its recipe."""

from __future__ import annotations

from collections.abc import Iterable

from datachef.core.errors import NO_ANSWER, UnavailableError
from datachef.core.run.ledger import Entry

# Of the rows that reach a step, the share that a server may leave without an answer.
MOST_UNANSWERED = 0.1


def refuse_unanswered(entries: Iterable[Entry]) -> None:
    """Raises `UnavailableError` where more rows failed at a step because no server answered, also
    where `max_failed` allows it: without them the corpus is another."""
    for entry in entries:
        unanswered = entry.failed[NO_ANSWER]
        if unanswered > MOST_UNANSWERED * entry.rows_in:
            raise UnavailableError(
                f"{entry.path} ({entry.op}): the server left {unanswered:,} of {entry.rows_in:,} "
                "rows without an answer, which says nothing of the recipe",
                "try again when it answers; what was answered is kept",
            )
