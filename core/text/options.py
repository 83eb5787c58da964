"""The options of a multiple-choice question, from the fields of a row or the text of its prompt."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

from datachef.core.text.final_answers import LETTERS, chosen_option, final_answer, normalised_answer
from datachef.core.text.line_breaks import with_breaks
from datachef.core.text.triggers import without_trigger

# Fields that usually hold a list of options, or an object that holds one.
_LISTS = ("choices", "options", "answer_option_list", "answer_choices", "candidates", "endings")
_HOLDERS = ("question", *_LISTS)
_TEXTS = ("text", "content", "value")
# Fields with one option each: choice1, choice2; ending0, ending1; answerA, answerB; A, B.
_STEMS = ("choice", "option", "answer", "solution", "sol", "ending", "opt", "op", "")
_SUFFIXES = ("12345678", "01234567", "ABCDEFGH", "abcdefgh")

_LABELLED = re.compile(r"^\s*[(\[]?([A-Za-z]|\d{1,2})[)\].:]\s*")
_WORDS = "answer|option|solution|ending|choice"
# How options are listed, the strictest first: each matches a label and what sets it apart.
_LISTINGS = (
    re.compile(rf"(?<!\w)(?:{_WORDS})\s?([1-9]\d?|[A-Z])\s*[:.)]", re.IGNORECASE),
    re.compile(r"(?<![\w(])[(\[]([A-Z])[)\]]"),
    re.compile(r"(?<![\w(])[(\[]([a-z])[)\]]"),
    re.compile(r"(?<![\w(])[(\[]([1-9]\d?)[)\]]"),
    re.compile(r"^[ \t]*([A-Z])[).:]", re.MULTILINE),
    re.compile(r"^[ \t]*([a-z])[).:]", re.MULTILINE),
    re.compile(r"^[ \t]*([1-9]\d?)[).:](?=\s)", re.MULTILINE),
    re.compile(r"(?<![\w.])([A-Z])[).:]"),
    re.compile(r"(?<![\w.])([a-z])\)"),
)
_BULLETS = re.compile(
    r"^[ \t]*(?:options|choices|answer choices)[ \t]*:?[ \t]*\n"
    r"((?:[ \t]*[-*•][ \t]+[^\n]+(?:\n|$)){2,})",
    re.MULTILINE | re.IGNORECASE,
)
_BULLET = re.compile(r"^[ \t]*[-*•][ \t]+", re.MULTILINE)
# What follows the last option: a blank line, or what says how to answer.
_AFTER = re.compile(
    r"\n\s*\n|\n?\s*(?:answer format|answer|the answer is|correct answer|your answer)\s*:.*|"
    r"\n(?=question|q:|a:)",
    re.IGNORECASE | re.DOTALL,
)
_NUMBERED = re.compile(rf"(?<!\w)(?:{_WORDS})\s?#?([1-9]\d?)(?!\w|[.,]\d)", re.IGNORECASE)
_TEXT_MACRO = re.compile(r"\\(?:text(?:bf|rm)?|mathrm|mbox)\{([^{}]*)\}")
_BARE_NUMBER = re.compile(r"[\W_]*(\d{1,2})[\W_]*")


class Options(NamedTuple):
    """The options of a question: their texts, the labels they bear, and where they begin and end in
    the prompt, if they are listed there."""

    texts: tuple[str, ...]
    labels: tuple[str, ...]
    span: tuple[int, int] | None = None


def options_of(row: Mapping[str, Any], prompt: str, field: str | None = None) -> Options | None:
    """The options in a field of the row, those in fields of the usual names, or those that the
    prompt lists; None where there are none."""
    if field is not None:
        return _in_value(row.get(field))
    return options_in_fields(row) or options_in_prompt(prompt)


def options_in_fields(row: Mapping[str, Any]) -> Options | None:
    """The options in fields of the usual names."""
    for name in _HOLDERS:
        value = row.get(name)
        if value is not None and (found := _in_value(value)) is not None:
            return found
    for names in _series_of(tuple(row)):
        texts = [str(row[name]).strip() for name in names if row[name] not in (None, "")]
        if len(texts) > 1:
            return _options(texts)
    return None


@lru_cache(maxsize=64)
def _series_of(columns: tuple[str, ...]) -> tuple[tuple[str, ...], ...]:
    """The columns that hold an option each, by their names."""
    found = []
    for stem in _STEMS:
        for suffixes in _SUFFIXES:
            for joint in ("", "_"):
                names: list[str] = []
                for suffix in suffixes:
                    if f"{stem}{joint}{suffix}" not in columns:
                        break
                    names.append(f"{stem}{joint}{suffix}")
                if len(names) > 1 and (stem or suffixes[0] == "A"):
                    found.append(tuple(names))
    return tuple(found)


def _in_value(value: Any) -> Options | None:
    """The options in a value, which may be JSON text: a list, or an object with one."""
    if isinstance(value, str):
        if value.lstrip()[:1] not in ("[", "{"):
            return None
        try:
            value = json.loads(value)
        except ValueError:
            return None
    if isinstance(value, Mapping):
        inner = next((value[name] for name in _LISTS if name in value), None)
        if inner is not None:
            return _in_value(inner)
        texts, labels = value.get("text"), value.get("label")
        if isinstance(texts, list):
            return _options(texts, labels if isinstance(labels, list) else None)
        single = [k for k in value if len(str(k)) == 1]
        if len(single) == len(value) and all(isinstance(v, str) for v in value.values()):
            return _options(list(value.values()), [str(k) for k in value])
        return None
    if not isinstance(value, list):
        return None
    items = [item[0] if isinstance(item, list) and len(item) == 1 else item for item in value]
    if not all(isinstance(item, Mapping) for item in items):
        return _options(items) if all(isinstance(i, str | int | float) for i in items) else None
    texts = [next((item[key] for key in _TEXTS if key in item), None) for item in items]
    labels = [item.get("label", item.get("aoVal")) for item in items]
    return None if None in texts else _options(texts, None if None in labels else labels)


def _options(texts: Sequence[Any], labels: Sequence[Any] | None = None) -> Options | None:
    if len(texts) < 2:
        return None
    said = [str(text).strip() for text in texts]
    if labels is None:
        found = [_LABELLED.match(text) for text in said]
        own = [match[1] if match else "" for match in found]
        if _consecutive(own):
            return Options(
                tuple(t[m.end() :] for t, m in zip(said, found, strict=True) if m), tuple(own)
            )
        labels = LETTERS[: len(said)]
    return Options(tuple(said), tuple(str(label) for label in labels))


def _consecutive(labels: Sequence[str]) -> bool:
    """Whether labels are the first letters or numbers in order."""
    first = {"A": "A", "a": "a", "1": "1", "0": "0"}.get(labels[0])
    if first is None:
        return False
    if first.isdigit():
        return list(labels) == [str(int(first) + at) for at in range(len(labels))]
    return list(labels) == [chr(ord(first) + at) for at in range(len(labels))]


def options_in_prompt(prompt: str) -> Options | None:
    """The options that a prompt lists, as `A) ...`, `(a) ...`, `Answer1: ...`, `1. ...`, one after
    another or on lines, or as bullets under `Options:`. The last list in it counts; its place is
    that in `with_breaks(prompt)`."""
    text = with_breaks(prompt)
    for listing in _LISTINGS:
        run = _last_run(list(listing.finditer(text)))
        if len(run) > 1:
            return _listed(text, run)
    if bullets := list(_BULLETS.finditer(text)):
        last = bullets[-1]
        texts = [t.strip() for t in _BULLET.split(last[1]) if t.strip()]
        texts[-1] = without_trigger(texts[-1])
        return Options(tuple(texts), tuple(LETTERS[: len(texts)]), last.span())
    return None


def _last_run(matches: list[re.Match[str]]) -> list[re.Match[str]]:
    """The last run of matches whose labels are A, B, C ... or 1, 2, 3 ..."""
    best: list[re.Match[str]] = []
    run: list[re.Match[str]] = []
    for match in matches:
        label = match[1]
        if run and _follows(run[-1][1], label):
            run.append(match)
        else:
            run = [match] if label in ("A", "a", "1") else []
        if len(run) > 1:
            best = list(run)
    return best


def _follows(before: str, label: str) -> bool:
    if before.isdigit():
        return label == str(int(before) + 1)
    return len(label) == 1 and ord(label) == ord(before) + 1


def _listed(text: str, run: list[re.Match[str]]) -> Options:
    ends = [*(match.start() for match in run[1:]), len(text)]
    texts = [text[match.end() : end] for match, end in zip(run, ends, strict=True)]
    if after := _AFTER.search(texts[-1]):
        texts[-1] = texts[-1][: after.start()]
    on_lines = all("\n" in part for part in texts[:-1])
    if on_lines:  # what stands on another line than the last option is none of it
        texts[-1] = texts[-1].lstrip("\n").partition("\n")[0]
    texts[-1] = without_trigger(texts[-1])
    end = run[-1].end() + len(texts[-1])
    labels = tuple(match[1] for match in run)
    cleaned = tuple(" ".join(part.split()).rstrip(" ,;") for part in texts)
    return Options(cleaned, labels, (run[0].start(), end))


def place_of(
    answer: str, options: Options | None, numbered_from: int = 1, *, distinct: bool = True
) -> int | None:
    """The place of the option that an answer names by its letter, label, number or text; None where
    it names none, or several, which a text does that two options have if they are `distinct`."""
    answer = _TEXT_MACRO.sub(r"\1", answer)
    final = final_answer(answer)
    texts = () if options is None else options.texts
    for said in (answer,) if final is None else (final, answer):
        if len(found := set(_numbers(said))) == 1:
            place = int(found.pop()) - 1
            return place if place < (len(texts) or len(LETTERS)) else None
        if options is None:
            continue
        if (alone := _BARE_NUMBER.fullmatch(said)) is not None:
            return _place_of_number(alone[1], options, numbered_from)
    chosen = chosen_option(answer, texts)
    if chosen is None or options is None or not distinct:
        return chosen
    words = normalised_answer(answer if final is None else final)
    same = [normalised_answer(text) == words for text in texts]
    return None if sum(same) > 1 else chosen


def _numbers(said: str) -> Iterator[str]:
    return (match[1] for match in _NUMBERED.finditer(said))


def _place_of_number(number: str, options: Options, numbered_from: int) -> int | None:
    for known in (options.labels, tuple(map(normalised_answer, options.texts))):
        if known.count(number) == 1:
            return known.index(number)
    place = int(number) - numbered_from
    return place if 0 <= place < len(options.texts) else None
