"""Metrics that compare what a response says with the gold answer: texts, choices and numbers."""

from __future__ import annotations

import re
import unicodedata
from abc import abstractmethod
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from decimal import Decimal

from datachef.core.contracts.metric import BenchmarkItem, Choices, Metric
from datachef.core.errors import DatachefError


class MatchingMetric(Metric):
    """A metric that accepts a response or does not, whatever was thought before it."""

    def score(self, response: str, item: BenchmarkItem) -> float:
        return float(self._accepts(after_thinking(response), item))

    @abstractmethod
    def _accepts(self, response: str, item: BenchmarkItem) -> bool:
        """Whether a response without its reasoning is right."""


def golds(item: BenchmarkItem) -> Iterator[str]:
    """The answers that an item accepts: the whole answer, and each of its lines."""
    yield item.answer
    lines = [line for line in item.answer.splitlines() if line.strip()]
    if len(lines) > 1:
        yield from lines


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
_MARKS = """ "'`“”‘’«»„*_.,;:!?¡¿()[]{}<>。，、；：！？（）「」"""
_EDGE = re.compile(rf"^(?:(?!\.\d)[{re.escape(_MARKS)}])+")


def after_thinking(response: str) -> str:
    """What follows the reasoning of a model that thinks aloud; nothing where it never stopped."""
    if "</think>" in response:
        return response.rpartition("</think>")[2]
    return "" if response.lstrip().startswith("<think>") else response


def normalised(text: str) -> str:
    """Without case, width, markup and punctuation at the edges, and runs of white space."""
    folded = " ".join(unicodedata.normalize("NFKC", text).replace("−", "-").casefold().split())
    return _EDGE.sub("", folded).rstrip(_MARKS) or folded


def boxed(text: str) -> str | None:
    r"""The content of the last \boxed{...}, braces balanced; None where there is none."""
    starts = {match.end() - 1 for match in _BOX.finditer(text)}
    opened: list[int] = []
    last = None
    for brace in _BRACE.finditer(text):
        if brace[0] == "{":
            opened.append(brace.end() - 1)
        elif brace[0] == "}" and opened:
            start = opened.pop()
            if start in starts and (last is None or start > last[0]):
                last = (start, brace.start())
    return None if last is None else text[last[0] + 1 : last[1]].strip()


def announced(text: str) -> str | None:
    """The line that follows the last `answer is`, `answer:` or `####`; None where there is none."""
    cues = list(_CUE.finditer(text))
    if not cues:
        return None
    rest = text[cues[-1].end() :].lstrip(" \t\r\n:=*_：")
    return rest.partition("\n")[0].strip() or None


def final_answer(text: str) -> str | None:
    """What a response marks as its answer: boxed, or else announced; None where neither."""
    box = boxed(text)
    return announced(text) if box is None else box


def mentioned(text: str, options: Sequence[str]) -> int | None:
    """The index of the one option that a text names as whole words; None for none or several.

    An option inside of a longer one counts as the longer one alone.
    """
    rest = normalised(text)
    found = None
    for place in sorted(range(len(options)), key=lambda place: -len(options[place])):
        words = normalised(options[place])
        if not words:
            continue
        pattern = rf"(?<![a-z0-9]){re.escape(words)}(?![a-z0-9])"
        rest, count = re.subn(pattern, "\n", rest)
        if count and found is not None:
            return None
        found = place if count else found
    return found


class ExactMatch(MatchingMetric):
    """Right where the response, or the answer it announces, is one of the gold answers.

    Case, white space, and punctuation at the edges make no difference.
    """

    name = "exact_match"
    criterion = "the answer must be the expected text"
    answer_tokens = 64

    def _accepts(self, response: str, item: BenchmarkItem) -> bool:
        accepted = {normalised(gold) for gold in golds(item)}
        given = {normalised(response), normalised(final_answer(response) or "")}
        return not accepted.isdisjoint(given - {""})


class Label(MatchingMetric):
    """Right where the response, or the answer it announces, is or starts with the gold label.

    Where the item lists its labels as choices, a response that names the gold one alone is right
    too; without the list nobody knows what else it names.
    """

    name = "label"
    criterion = "the answer must name the right label"

    def _accepts(self, response: str, item: BenchmarkItem) -> bool:
        gold = normalised(item.answer)
        final = final_answer(response)
        for answer in (response,) if final is None else (final, response):
            if re.match(rf"{re.escape(gold)}(?![\w-])", normalised(answer)):
                return True
            place = mentioned(answer, item.choices)
            if place is not None:
                return normalised(item.choices[place]) == gold
        return False

    @classmethod
    def choices(cls, items: Sequence[BenchmarkItem]) -> Sequence[Choices]:
        """The choices of the item, or else all labels of the benchmark."""
        labels = tuple(sorted({item.answer.strip() for item in items}))
        return [_labels(item, item.choices or labels) for item in items]


def _labels(item: BenchmarkItem, labels: tuple[str, ...]) -> Choices:
    if normalised(item.answer) not in map(normalised, labels):
        raise DatachefError(
            f"the gold answer {item.answer[:80]!r} is no choice of its item",
            hint=f"the choices are {', '.join(labels)[:200]}",
        )
    return Choices(labels)


_MEANING = {"yes": True, "true": True, "no": False, "false": False}
_WORD = re.compile(r"\b(?:yes|no|true|false)\b")
_SHORT = {"y": True, "n": False, "1": True, "0": False}


def gold_is_yes(item: BenchmarkItem) -> bool:
    """The meaning of a gold answer: yes, no, true, false, y, n, 1 or 0; else a `DatachefError`."""
    gold = normalised(item.answer)
    if (meaning := (_MEANING | _SHORT).get(gold)) is None:
        raise DatachefError(
            f"the gold answer {item.answer[:80]!r} is neither yes nor no",
            hint="yes, no, true and false can be compared; for other words use the metric label",
        )
    return meaning


class YesNo(MatchingMetric):
    """Right where the response means what the gold answer means.

    It may start with its answer, announce it, or name one of the two alone.
    """

    name = "yes_no"
    criterion = "the answer must say yes or no, whichever is right"

    def _accepts(self, response: str, item: BenchmarkItem) -> bool:
        return _meaning(response) is gold_is_yes(item)

    @classmethod
    def choices(cls, items: Sequence[BenchmarkItem]) -> Sequence[Choices]:
        """The two words that the benchmark uses."""
        return [Choices(_words(items))] * len(items)


def _words(items: Sequence[BenchmarkItem]) -> tuple[str, str]:
    """How the benchmark writes yes and no: most often, and else in the words themselves."""
    seen = Counter(item.answer.strip() for item in items)
    words = []
    for meaning, default in ((True, "yes"), (False, "no")):
        written = [item.answer.strip() for item in items if gold_is_yes(item) is meaning]
        words.append(min(written, key=lambda word: (-seen[word], word), default=default))
    return words[0], words[1]


def _meaning(response: str) -> bool | None:
    final = final_answer(response)
    for answer in (response,) if final is None else (final, response):
        words = normalised(answer)
        if first := _WORD.match(words):
            return _MEANING[first[0]]
        meant = {_MEANING[word] for word in _WORD.findall(words)}
        if len(meant) == 1:
            return meant.pop()
    return None


LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"

_ALONE = re.compile(r"[\W_]*([A-Za-z])[\W_]*")
_LISTED = re.compile(r"^[\s*_(\[]*([A-Z])[*_]*(?:[).:\]]|[ \t]+[-–—]\s|[ \t]*$)", re.MULTILINE)
# Only A and I are words too: before a small letter they may be the article and the pronoun.
_LEADING = re.compile(
    r"[\s*_(\[]*(?:(?:option|choice)\s+)?\(?([B-HJ-Z]|[AI](?!\s+[a-z]))\b(?!['’])"
)
_NAMED = re.compile(r"\((?-i:([A-Z]))\)|\b(?:option|choice)\s+\(?(?-i:([A-Z]))\b", re.IGNORECASE)


def option_texts(item: BenchmarkItem) -> tuple[str, ...]:
    """The options without the letters that they may begin with, such as `A) 5`."""
    lettered = zip(LETTERS, item.choices, strict=False)
    texts = [re.sub(rf"^\s*\(?{letter}[).:]\s*", "", option) for letter, option in lettered]
    changed = all(text != option for text, option in zip(texts, item.choices, strict=False))
    return tuple(texts) if changed else item.choices


def gold_place(item: BenchmarkItem) -> int:
    """The index of the gold option, which the item gives as a letter or as the option's text.

    Raises `DatachefError` where it is neither: a number may count from 0 or from 1.
    """
    gold = item.answer.strip()
    letter = _ALONE.fullmatch(gold)
    if letter and (place := _place(letter[1].upper(), len(item.choices))) is not None:
        return place
    texts = [normalised(text) for text in option_texts(item)]
    if texts.count(normalised(gold)) == 1:
        return texts.index(normalised(gold))
    raise DatachefError(
        f"the gold answer {gold[:80]!r} is no letter and no option of the item",
        hint="name a field with the letter or the text of the right option as `answer`, "
        "and the one with the options as `choices`",
    )


class MultipleChoice(MatchingMetric):
    """Right where the response picks the gold option, or one that says the same.

    In this order count: a letter or an option that it announces or boxes, a letter or an option
    that is all it says or that it starts with, the one letter it names in parentheses or as
    `option B`, the one option whose text it mentions. Two picks are none.
    """

    name = "multiple_choice"
    criterion = "the answer must name the right option"

    def _accepts(self, response: str, item: BenchmarkItem) -> bool:
        texts, gold = option_texts(item), gold_place(item)
        place = chosen(response, texts)
        return place == gold or (place is not None and bool(texts) and texts[place] == texts[gold])

    @classmethod
    def choices(cls, items: Sequence[BenchmarkItem]) -> Sequence[Choices]:
        """Letters where the prompt lists the options, and else the options' texts per byte."""
        most = 1 + max(gold_place(item) for item in items)
        return [_letters_or_texts(item, most) for item in items]


def _letters_or_texts(item: BenchmarkItem, most: int) -> Choices:
    texts = option_texts(item)
    if all(text in item.prompt for text in texts):
        return Choices(tuple(LETTERS[: len(texts) or most]))
    return Choices(texts, by_byte=True)


def chosen(response: str, options: Sequence[str]) -> int | None:
    """The index of the option that a response picks; None where it picks none or several.

    Without options every letter is one.
    """
    final = final_answer(response)
    for answer in (response,) if final is None else (final, response):
        found = _stated(answer, options)
        if found is None and answer is final:
            leading = _LEADING.match(answer)
            found = _place(leading[1], len(options)) if leading else None
        if found is None:
            named = {left or right for left, right in _NAMED.findall(answer)}
            found = _place(named.pop(), len(options)) if len(named) == 1 else None
        if found is None:
            found = mentioned(answer, options)
        if found is not None:
            return found
    return None


def _stated(answer: str, options: Sequence[str]) -> int | None:
    """The option that an answer is, or that it starts with as in `B) sand`, and names alone."""
    if alone := _ALONE.fullmatch(answer):
        return _place(alone[1].upper(), len(options))
    if answer in options:
        return options.index(answer)
    texts = [normalised(option) for option in options]
    if normalised(answer) in texts:
        return texts.index(normalised(answer))
    listed = _LISTED.match(answer)
    if listed is None or len(set(_LISTED.findall(answer))) > 1:
        return None
    return _place(listed[1], len(options))


def _place(letter: str, count: int) -> int | None:
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
    box = boxed(text)
    found = None if box is None else _last(box)
    return _last(text) if found is None else found


def _last(text: str) -> Decimal | None:
    text = _RAISED.sub(lambda raised: f"^{{{raised[0].translate(_LOWERED)}}}", text)
    text = _GROUPED.sub("", text)
    last = deque(_NUMBER.finditer(text), maxlen=1)
    if not last:
        return None
    found = last[0]
    whole = "1" if found["power"] else found["whole"].replace(",", "")
    digits = whole + (found["rest"] or "")
    exponent = (found["power"] or found["short"] or found["long"] or "0").replace("−", "-")
    before = text[max(0, found.start() - 4) : found.start()]
    sign = "-" if _MINUS.search(before) else ""
    return Decimal(f"{sign}{digits}e{exponent}")


def gold_number(item: BenchmarkItem) -> Decimal:
    """The last number of the gold answer; an answer without one is a `DatachefError`."""
    number = last_number(item.answer)
    if number is None:
        raise DatachefError(
            f"the gold answer {item.answer[:80]!r} has no number",
            hint="name the field with the number as `answer`, or choose another metric",
        )
    return number


class NumberMatch(MatchingMetric):
    """Right where the last numbers are equal in value: `18`, `18.00` and `$18.` are."""

    name = "number_match"
    criterion = "the last number in the answer must be the right one"

    def _accepts(self, response: str, item: BenchmarkItem) -> bool:
        return last_number(response) == gold_number(item)


class NumberTolerance(MatchingMetric):
    """Right where the last number is within 5 % of the gold one; zero has to be met exactly.

    The tolerance is that of SciBench (Wang et al. 2023, https://arxiv.org/abs/2307.10635).
    """

    name = "number_tolerance"
    criterion = "the last number in the answer must be within 5 % of the right one"

    tolerance = Decimal("0.05")

    def _accepts(self, response: str, item: BenchmarkItem) -> bool:
        number, gold = last_number(response), gold_number(item)
        return number is not None and abs(number - gold) <= self.tolerance * abs(gold)
