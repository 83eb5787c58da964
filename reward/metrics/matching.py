"""Metrics that compare what a response says with the gold answer: texts, choices and numbers."""

from __future__ import annotations

import re
from abc import abstractmethod
from collections import Counter
from collections.abc import Iterator, Sequence
from decimal import Decimal

from datachef.core.contracts.metric import BenchmarkItem, Choices, Metric
from datachef.core.errors import DatachefError
from datachef.core.text.final_answers import (
    LETTER_ALONE,
    LETTERS,
    after_thinking,
    chosen_option,
    final_answer,
    last_number,
    letter_place,
    mentioned,
    normalised_answer,
    says_yes,
)


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


class ExactMatch(MatchingMetric):
    """Right where the response, or the answer it announces, is one of the gold answers.

    Case, white space, and punctuation at the edges make no difference.
    """

    name = "exact_match"
    criterion = "the answer must be the expected text"
    answer_tokens = 64

    def _accepts(self, response: str, item: BenchmarkItem) -> bool:
        accepted = {normalised_answer(gold) for gold in golds(item)}
        given = {normalised_answer(response), normalised_answer(final_answer(response) or "")}
        return not accepted.isdisjoint(given - {""})


class Label(MatchingMetric):
    """Right where the response, or the answer it announces, is or starts with the gold label.

    Where the item lists its labels as choices, a response that names the gold one alone is right
    too; without the list nobody knows what else it names.
    """

    name = "label"
    criterion = "the answer must name the right label"
    answer_kind = "label"

    def _accepts(self, response: str, item: BenchmarkItem) -> bool:
        gold = normalised_answer(item.answer)
        final = final_answer(response)
        for answer in (response,) if final is None else (final, response):
            if re.match(rf"{re.escape(gold)}(?![\w-])", normalised_answer(answer)):
                return True
            place = mentioned(answer, item.choices)
            if place is not None:
                return normalised_answer(item.choices[place]) == gold
        return False

    @classmethod
    def choices(cls, items: Sequence[BenchmarkItem]) -> Sequence[Choices]:
        """The choices of the item, or else all labels of the benchmark."""
        labels = tuple(sorted({item.answer.strip() for item in items}))
        return [_labels(item, item.choices or labels) for item in items]


def _labels(item: BenchmarkItem, labels: tuple[str, ...]) -> Choices:
    if normalised_answer(item.answer) not in map(normalised_answer, labels):
        raise DatachefError(
            f"the gold answer {item.answer[:80]!r} is no choice of its item",
            hint=f"the choices are {', '.join(labels)[:200]}",
        )
    return Choices(labels)


_MEANING = {
    "yes": True, "true": True, "y": True, "1": True,
    "no": False, "false": False, "n": False, "0": False,
}  # fmt: skip


def gold_is_yes(item: BenchmarkItem) -> bool:
    """The meaning of a gold answer: yes, no, true, false, y, n, 1 or 0; else a `DatachefError`."""
    gold = normalised_answer(item.answer)
    if (meaning := _MEANING.get(gold)) is None:
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
    answer_kind = "yes_no"

    def _accepts(self, response: str, item: BenchmarkItem) -> bool:
        return says_yes(response) is gold_is_yes(item)

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
    letter = LETTER_ALONE.fullmatch(gold)
    if letter and (place := letter_place(letter[1].upper(), len(item.choices))) is not None:
        return place
    texts = [normalised_answer(text) for text in option_texts(item)]
    if texts.count(normalised_answer(gold)) == 1:
        return texts.index(normalised_answer(gold))
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
    answer_kind = "option"

    def _accepts(self, response: str, item: BenchmarkItem) -> bool:
        texts, gold = option_texts(item), gold_place(item)
        place = chosen_option(response, texts)
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
    answer_kind = "number"

    def _accepts(self, response: str, item: BenchmarkItem) -> bool:
        return last_number(response) == gold_number(item)


class NumberTolerance(MatchingMetric):
    """Right where the last number is within 5 % of the gold one; zero has to be met exactly.

    The tolerance is that of SciBench (Wang et al. 2023, https://arxiv.org/abs/2307.10635).
    """

    name = "number_tolerance"
    criterion = "the last number in the answer must be within 5 % of the right one"
    answer_kind = "number"

    tolerance = Decimal("0.05")

    def _accepts(self, response: str, item: BenchmarkItem) -> bool:
        number, gold = last_number(response), gold_number(item)
        return number is not None and abs(number - gold) <= self.tolerance * abs(gold)
