"""The form of an answer, whatever it says: a letter, a number, yes or no, words, prose or code."""

from __future__ import annotations

import re
from typing import Literal

from datachef.core.text.final_answers import announced_answer, boxed_answer, numbers_in, says_yes

PlainKind = Literal["letter", "yes_no", "number", "text"]

_MOST_NUMBER = 40
# What an answer announces stands at its end.
_END = 300
_CODE = re.compile(
    r"^(?:```|~~~|(?:async )?def \w+\(|class \w+[:(]|import \w|from [\w.]+ import|#include|"
    r"(?:public|private|static) \w|function \w|SELECT\b)",
    re.MULTILINE,
)
# Words up to which a text is a name or a label, and a sentence; what is longer is prose.
_LENGTHS = ((3, "words"), (20, "sentence"))


def plain_kind(answer: str) -> PlainKind:
    """What an answer is by itself: `B`, `(B)` and `B.` are letters, `$5` and `5 apples` numbers."""
    bare = answer.strip("().: ")
    if len(bare) == 1 and bare.isalpha():
        return "letter"
    if " " not in answer and says_yes(answer) is not None:
        return "yes_no"
    one = len(answer) <= _MOST_NUMBER and len(list(numbers_in(answer))) == 1
    return "number" if one else "text"


def answer_form(answer: str) -> str:
    """The form of an answer in words: what it is, whether it is boxed or announced, and how long
    it is where that is not said."""
    if _CODE.search(answer):
        return "code"
    text = answer.strip()
    end = text[-_END:]
    box = boxed_answer(end)
    final = announced_answer(end) if box is None else box
    marked = "" if final is None else "announced " if box is None else "boxed "
    kind = plain_kind(text if final is None else final.rstrip("."))
    if kind != "text" and not marked:
        return kind
    words = len(text.split(None, _LENGTHS[-1][0]))
    length = next((name for most, name in _LENGTHS if words <= most), "prose")
    return f"{length} with {marked}{kind}" if marked else length
