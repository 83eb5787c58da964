"""What an answer says, in the form of a benchmark, and the solution before it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from decimal import Decimal
from fractions import Fraction
from typing import Literal, NamedTuple

from datachef.core import (
    MarkedAnswer,
    announcement,
    last_box,
    normalised_answer,
    numbers_in,
    with_breaks,
)

Wording = Literal[
    "bare",
    "answer_is",
    "correct_answer_is",
    "answer_colon",
    "final_answer_colon",
    "hashes",
    "boxed",
]
_WORDS: dict[str, str] = {
    "bare": "{}",
    "answer_is": "The answer is {}.",
    "correct_answer_is": "the correct answer is {}",
    "answer_colon": "Answer: {}",
    "final_answer_colon": "Final answer: {}",
    "hashes": "#### {}",
    "boxed": r"\boxed{{{}}}",
}
# What leads to "answer is": "So, the final", "Therefore, the correct".
_LEAD_IN = re.compile(
    r"(?:(?:so|thus|therefore|hence|consequently|finally|in conclusion|and so)\b[\s,:]*)?"
    r"(?:(?:the|my|our|final|correct|right|best|most likely|\*\*)\s*)*$",
    re.IGNORECASE,
)
_MOST_LEAD_IN = 60
_MATHS = re.compile(r"^\s*(?:\$\$?|\\\(|\\\[)\s*|\s*(?:\$\$?|\\\)|\\\])\s*\.?\s*$")
_FRACTION = re.compile(
    r"(?P<sign>[-−])?\s*(?:(?P<whole>\d+)[\s-]+)?"
    r"(?:\\[dt]?frac\s*\{\s*(?P<top>\d+)\s*\}\s*\{\s*(?P<bottom>\d+)\s*\}|(?P<over>\d+)\s*/\s*(?P<under>\d+))"
)
_SENTENCE_END = re.compile(r"(?<=[^\d\s])[.!?](?=\s|$)|(?<=\d)[.!?](?=\s+[A-Z]|\s*$)")
# Words after the result of a calculation: "5 hours to read 120 pages", but not "5 * 3".
_AFTER_RESULT = re.compile(r"^([^\w]{0,6}[\d,.]*\d)(?![\d.,/]|\s*[-+*/x×÷^(−:]).*$", re.DOTALL)
_MOST_BARE_WORDS = 12
_FENCE = re.compile(r"^[ \t]*(`{3,}|~{3,})[^\n]*\n(.*?)^[ \t]*\1[ \t]*$", re.DOTALL | re.MULTILINE)


class Answer(NamedTuple):
    """A solution, which may be empty, and the words in which its answer is given, without those
    that announce it; `announced` says that there were such words, and `statement` is the sentence
    of an answer that stands apart from its solution."""

    solution: str
    said: str
    announced: bool
    statement: str = ""


def split_answer(content: str) -> Answer:
    """The solution and the answer in what an assistant says."""
    text = with_breaks(content.strip())
    found = announcement(text)
    box = last_box(text)
    if box is not None:
        if found is None or box.start < found.start:
            return Answer(_unboxed(text, box), box.answer, announced=True)
        return Answer(*_apart(text, found.start, found.end, box.answer))
    if found is not None:
        return Answer(*_apart(text, found.start, found.end, found.answer))
    bare = "\n" not in text and len(text.split()) <= _MOST_BARE_WORDS
    return Answer("" if bare else text, text, announced=False)


def _apart(text: str, start: int, end: int, said: str) -> tuple[str, str, bool, str]:
    """The parts of an answer whose sentence has its cue at `start` and ends at `end`."""
    tail = text[max(0, start - _MOST_LEAD_IN) : start]
    lead_in = _LEAD_IN.search(tail)
    begin = start - (len(lead_in[0]) if lead_in else 0)
    solution = "\n".join(part for part in (text[:begin].strip(), text[end:].strip()) if part)
    return solution, said, True, text[begin:end].strip()


def _unboxed(text: str, box: MarkedAnswer) -> str:
    """The text with the content of the box in its place; nothing where that is all."""
    inside = f"{text[: box.start]}{box.answer}{text[box.end :]}".strip()
    return "" if _plain(inside) == _plain(box.answer) else inside


def _plain(text: str) -> str:
    return _MATHS.sub("", _MATHS.sub("", text)).strip()


def worded(answer: str, wording: str) -> str:
    """The answer in the words of a final line."""
    return _WORDS[wording].format(answer)


def wording_of(content: str) -> Wording | None:
    """The words in which a text gives its answer; None where it gives none, or in other words."""
    last = content.strip().rpartition("\n")[2]
    if last_box(last):
        return "boxed"
    if last.startswith("####"):
        return "hashes"
    lowered = last.lower()
    if "correct answer is" in lowered:
        return "correct_answer_is"
    if "answer is" in lowered:
        return "answer_is"
    if lowered.startswith("final answer:"):
        return "final_answer_colon"
    if lowered.startswith("answer:"):
        return "answer_colon"
    return None


def final_text(answer: Answer) -> str | None:
    """The answer in its own words; None where a solution does not say which they are."""
    if not answer.announced and answer.solution:
        return None
    said = _plain(answer.said)
    return said.rstrip(".").strip("*").strip() or None


def the_number(answer: Answer) -> str | None:
    """The one number that is the answer, in plain digits, without unit, currency and separators;
    None where there is none, where there are several, or where it has no finite digits."""
    said = answer.said
    if answer.announced:
        end = _SENTENCE_END.search(said)
        said = (said[: end.start()] if end else said).rpartition("=")[2]
    else:
        said = _last_sentence(said)
        if "=" in said:
            said = _AFTER_RESULT.sub(r"\1", said.rpartition("=")[2])
    fractions = list(_FRACTION.finditer(said))
    if len(fractions) == 1:
        found = fractions[0]
        rest = f"{said[: found.start()]} {said[found.end() :]}"
        return None if any(True for _ in numbers_in(rest)) else _decimal(found)
    if fractions:
        return None
    numbers = set(numbers_in(said))
    return _digits(numbers.pop()) if len(numbers) == 1 else None


def _last_sentence(text: str) -> str:
    """The last line of a text, and of it the last sentence."""
    line = text.strip().rpartition("\n")[2].strip()
    ends = [match.end() for match in _SENTENCE_END.finditer(line) if match.end() < len(line)]
    return line[ends[-1] :] if ends else line


def _decimal(found: re.Match[str]) -> str | None:
    top, bottom = found["top"] or found["over"], found["bottom"] or found["under"]
    if int(bottom) == 0:
        return None
    value = Fraction(int(top), int(bottom)) + int(found["whole"] or 0)
    rest = value.denominator
    for prime in (2, 5):
        while rest % prime == 0:
            rest //= prime
    if rest != 1:
        return None
    number = Decimal(value.numerator) / Decimal(value.denominator)
    return _digits(-number if found["sign"] else number)


def _digits(number: Decimal) -> str | None:
    """The number in digits, none of them idle; None for more than anybody writes out."""
    if not -30 <= number.adjusted() <= 30:
        return None
    text = f"{number:f}"
    text = text.rstrip("0").rstrip(".") if "." in text else text
    return "0" if text in ("-0", "") else text


def the_label(answer: Answer, labels: Sequence[str]) -> str | None:
    """The one label that an answer is, starts with or names; None for none or several."""
    known = {normalised_answer(label): label for label in labels}
    said = normalised_answer(answer.said)
    if said in known:
        return known[said]
    named = {
        label
        for word, label in known.items()
        if re.search(rf"(?<!\w){re.escape(word)}(?!\w)", said)
    }
    return named.pop() if len(named) == 1 else None


def code_of(content: str) -> str:
    """The code in the only fence of an answer, or in all of them; an answer without a fence as it
    is."""
    blocks = [match[2] for match in _FENCE.finditer(content)]
    return "\n".join(block.rstrip("\n") for block in blocks) if blocks else content.strip()
