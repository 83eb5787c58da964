"""Text that nobody can read."""

from __future__ import annotations

import re

from datachef.reward.verifier.row import Row
from datachef.reward.verifier.verdict import Verdict

# A few broken characters in a long text are a blemish; this many leave nothing to learn from.
MOST_UNREADABLE = 0.05
# Control characters besides white space, private use, and what decoders put for bytes they cannot
# read.
_UNREADABLE = re.compile("[\x00-\x08\x0e-\x1f\x7f-\x9f\ue000-\uf8ff\ufffd]")


class ReadableChecker:
    """Calls rows invalid that have neither letters nor digits, or that were decoded wrongly."""

    def check(self, row: Row) -> Verdict | None:
        if not row.text.strip():
            return Verdict("invalid", "the row is empty")
        if not any(map(str.isalnum, row.text)):
            return Verdict("invalid", "the row has neither letters nor digits")
        if (share := unreadable_share(row.text)) > MOST_UNREADABLE:
            return Verdict("invalid", f"{share:.0%} of the characters are garbled")
        return None


def unreadable_share(text: str) -> float:
    """Unreadable characters and sequences that look like text in a wrong encoding, per character.

    The sequences are those that ftfy tells by their improbability (https://ftfy.readthedocs.io).
    """
    from ftfy.badness import badness

    return max(len(_UNREADABLE.findall(text)), badness(text)) / len(text)
