"""What a text gives as its answer: boxed, announced, an option, a number, yes or no.

Metrics read answers so, and whatever rewrites answers into the form that a metric reads.
"""

from __future__ import annotations

import re
import unicodedata
from collections import deque
from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import NamedTuple

_BOX = re.compile(r"\\(?:boxed|fbox)\s*\{")
_BRACE = re.compile(r"\\[{}]|[{}]")
_CUE = re.compile(
    r"""
      \banswer\b [^.:=\n]{0,60}? \b(?:is|be)\b
    | \banswer\b [*_\s]* (?=[:=])
    | 答案 (?:是|为)?
    | \#{4}
    """,
    re.IGNORECASE | re.VERBOSE,
)
_BEFORE_ANSWER = re.compile(r"[ \t\r\n:=*_：]*")
_MARKS = """ "'`“”‘’«»„*_.,;:!?¡¿()[]{}<>。，、；：！？（）「」"""
_EDGE = re.compile(rf"^(?:(?!\.\d)[{re.escape(_MARKS)}])+")


def after_thinking(response: str) -> str:
    """What follows the reasoning of a model that thinks aloud; nothing where it never stopped."""
    if "</think>" in response:
        return response.rpartition("</think>")[2]
    return "" if response.lstrip().startswith("<think>") else response


def normalised_answer(text: str) -> str:
    """Without case, width, markup and punctuation at the edges, and runs of white space."""
    folded = " ".join(unicodedata.normalize("NFKC", text).replace("−", "-").casefold().split())
    return _EDGE.sub("", folded).rstrip(_MARKS) or folded


class MarkedAnswer(NamedTuple):
    """What a text marks as its answer, and where the mark begins and ends: a box with its braces,
    or the words that announce the answer, to the end of its line."""

    answer: str
    start: int
    end: int


def last_box(text: str) -> MarkedAnswer | None:
    r"""The last \boxed{...} of a text, braces balanced; None where there is none."""
    starts = {match.end() - 1: match.start() for match in _BOX.finditer(text)}
    opened: list[int] = []
    last = None
    for brace in _BRACE.finditer(text):
        if brace[0] == "{":
            opened.append(brace.end() - 1)
        elif brace[0] == "}" and opened:
            brace_at = opened.pop()
            if brace_at in starts and (last is None or starts[brace_at] > last.start):
                content = text[brace_at + 1 : brace.start()].strip()
                last = MarkedAnswer(content, starts[brace_at], brace.end())
    return last


def boxed_answer(text: str) -> str | None:
    r"""The content of the last \boxed{...}; None where there is none."""
    box = last_box(text)
    return None if box is None else box.answer


def announcement(text: str) -> MarkedAnswer | None:
    """The line that follows the last `answer is`, `answer:` or `####`; None where there is none."""
    cues = deque(_CUE.finditer(text), maxlen=1)
    if not cues:
        return None
    cue = cues[0]
    blank = _BEFORE_ANSWER.match(text, cue.end())
    begin = blank.end() if blank else cue.end()
    end = text.find("\n", begin)
    end = len(text) if end < 0 else end
    answer = text[begin:end].strip()
    return MarkedAnswer(answer, cue.start(), end) if answer else None


def announced_answer(text: str) -> str | None:
    """The answer that a text announces; None where there is none."""
    found = announcement(text)
    return None if found is None else found.answer


def final_answer(text: str) -> str | None:
    """What a response marks as its answer: boxed, or else announced; None where neither."""
    box = boxed_answer(text)
    return announced_answer(text) if box is None else box


def mentioned(text: str, options: Sequence[str]) -> int | None:
    """The index of the one option that a text names as whole words; None for none or several.

    An option inside of a longer one counts as the longer one alone.
    """
    rest = normalised_answer(text)
    found = None
    for place in sorted(range(len(options)), key=lambda place: -len(options[place])):
        words = normalised_answer(options[place])
        if not words:
            continue
        pattern = rf"(?<![a-z0-9]){re.escape(words)}(?![a-z0-9])"
        rest, count = re.subn(pattern, "\n", rest)
        if count and found is not None:
            return None
        found = place if count else found
    return found


_MEANING = {"yes": True, "true": True, "no": False, "false": False}
_WORD = re.compile(r"\b(?:yes|no|true|false)\b")


def says_yes(response: str) -> bool | None:
    """Whether a response says yes or true: it starts with its answer, announces it, or names one
    of the two alone; None where it does not."""
    final = final_answer(response)
    for answer in (response,) if final is None else (final, response):
        words = normalised_answer(answer)
        if first := _WORD.match(words):
            return _MEANING[first[0]]
        meant = {_MEANING[word] for word in _WORD.findall(words)}
        if len(meant) == 1:
            return meant.pop()
    return None


LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"

LETTER_ALONE = re.compile(r"[\W_]*([A-Za-z])[\W_]*")
_LISTED = re.compile(r"^[\s*_(\[]*([A-Z])[*_]*(?:[).:\]]|[ \t]+[-–—]\s|[ \t]*$)", re.MULTILINE)
# Only A and I are words too: before a small letter they may be the article and the pronoun.
_LEADING = re.compile(
    r"[\s*_(\[]*(?:(?:option|choice)\s+)?\(?([B-HJ-Z]|[AI](?!\s+[a-z]))\b(?!['’])"
)
_NAMED = re.compile(r"\((?-i:([A-Z]))\)|\b(?:option|choice)\s+\(?(?-i:([A-Z]))\b", re.IGNORECASE)


def chosen_option(response: str, options: Sequence[str]) -> int | None:
    """The index of the option that a response picks; None where it picks none or several.

    Without options every letter is one.
    """
    final = final_answer(response)
    for answer in (response,) if final is None else (final, response):
        found = _stated(answer, options)
        if found is None and answer is final:
            leading = _LEADING.match(answer)
            found = letter_place(leading[1], len(options)) if leading else None
        if found is None:
            named = {left or right for left, right in _NAMED.findall(answer)}
            found = letter_place(named.pop(), len(options)) if len(named) == 1 else None
        if found is None:
            found = mentioned(answer, options)
        if found is not None:
            return found
    return None


def _stated(answer: str, options: Sequence[str]) -> int | None:
    """The option that an answer is, or that it starts with as in `B) sand`, and names alone."""
    if alone := LETTER_ALONE.fullmatch(answer):
        return letter_place(alone[1].upper(), len(options))
    if answer in options:
        return options.index(answer)
    texts = [normalised_answer(option) for option in options]
    if normalised_answer(answer) in texts:
        return texts.index(normalised_answer(answer))
    listed = _LISTED.match(answer)
    if listed is None or len(set(_LISTED.findall(answer))) > 1:
        return None
    return letter_place(listed[1], len(options))


def letter_place(letter: str, count: int) -> int | None:
    """The place of a letter among `count` options, or among any number where that is 0."""
    place = LETTERS.index(letter)
    return place if place < (count or len(LETTERS)) else None


# Repeats are bounded, so that no text takes more than linear time.
_NUMBER = re.compile(
    r"""
    (?<![A-Za-z0-9_^]) (?<!\^[{+−-]) (?<!\^\{[−-]) (?<!_\{)
    (?: 10 \s*\^\s*\{?\s* (?P<power>[+−-]?\d{1,3}) (?!\d)
      | (?P<whole> \d{1,3} (?:,\d{2,3}){0,9} ,\d{3} (?!\d) | \d+ | (?<![.\d])(?=\.\d) )
        (?P<rest> \.\d+ )?
        (?: [eE] (?P<short>[+−-]?\d{1,3}) (?!\d)
          | \s* (?:\\times|\\cdot|[×·*x]) \s* 10 \s*\^\s*\{?\s* (?P<long>[+−-]?\d{1,3}) (?!\d)
        )?
    )
    """,
    re.VERBOSE,
)
_MINUS = re.compile(r"(?:(?<=[^\w)\]}%])|^)[−-](?:\\?[$€£¥])?$")
_GROUPED = re.compile(r"(?<=\d)(?:\{,\}|,?\\[,!;:])(?=\d{3})")
_RAISED = re.compile("[⁺⁻]?[⁰¹²³⁴⁵⁶⁷⁸⁹]+")
_LOWERED = str.maketrans("⁺⁻⁰¹²³⁴⁵⁶⁷⁸⁹", "+-0123456789")


def last_number(text: str) -> Decimal | None:
    r"""The last number of the last \boxed{...}, or else of the text; None where there is none.

    Commas between thousands are left out. Indices, exponents and the digits in words such as `m2`
    are no numbers of their own; `3 * 10^5`, `3e5`, `10^5` and `-$1,200.50` are one each.
    """
    box = boxed_answer(text)
    found = None if box is None else _last(box)
    return _last(text) if found is None else found


def _last(text: str) -> Decimal | None:
    last = deque(numbers_in(text), maxlen=1)
    return last[0] if last else None


def numbers_in(text: str) -> Iterator[Decimal]:
    """The numbers of a text, read as `last_number` reads the last one."""
    text = _RAISED.sub(lambda raised: f"^{{{raised[0].translate(_LOWERED)}}}", text)
    text = _GROUPED.sub("", text)
    for found in _NUMBER.finditer(text):
        whole = "1" if found["power"] else found["whole"].replace(",", "")
        digits = whole + (found["rest"] or "")
        exponent = (found["power"] or found["short"] or found["long"] or "0").replace("−", "-")
        before = text[max(0, found.start() - 4) : found.start()]
        sign = "-" if _MINUS.search(before) else ""
        yield Decimal(f"{sign}{digits}e{exponent}")
