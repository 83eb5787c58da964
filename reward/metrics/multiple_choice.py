"""Multiple choice: the response picks an option, by its letter or by its text."""

from __future__ import annotations

import re
from collections.abc import Sequence

from datachef.core.errors import DatachefError
from datachef.core.rows.benchmark import BenchmarkItem
from datachef.reward.metrics.base import Checker
from datachef.reward.metrics.text import final_answer, mentioned, normalised

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
    """The place of the gold option, which the item gives as a letter or as the option's text.

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


class MultipleChoice(Checker):
    """Right where the response picks the gold option, or one that says the same.

    In this order count: a letter or an option that it announces or boxes, a letter or an option
    that is all it says or that it starts with, the one letter it names in parentheses or as
    `option B`, the one option whose text it mentions. Two picks are none.
    """

    def _accepts(self, response: str, item: BenchmarkItem) -> bool:
        texts, gold = option_texts(item), gold_place(item)
        place = chosen(response, texts)
        return place == gold or (place is not None and bool(texts) and texts[place] == texts[gold])


def chosen(response: str, options: Sequence[str]) -> int | None:
    """The place of the option that a response picks; None where it picks none or several.

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
