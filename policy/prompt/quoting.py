"""Untrusted text in a prompt: quoted so that it cannot pass for a part of the prompt, and checked
for items of the benchmark.

Rows, names of columns and descriptions come from outside. Each is a JSON string on one line, in
which everything that a tokenizer may read as a special token (`<|im_start|>`, `</s>`, `[INST]`) is
escaped: JSON has the same text, but a chat template finds none of its marks.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, TypeVar

import orjson
from pydantic_core import to_jsonable_python

from datachef.core.contracts.task import BenchmarkFile, Task
from datachef.core.rows.benchmark import read_benchmark

GAP = " [...] "

# A sign of comparison begins no special token.
_MARK = re.compile(r"<(?![\s\d=<-])|\[(?=/?[A-Za-z_]{3,}\])")


def quoted(text: str, most: int) -> str:
    """A JSON string of at most `most` characters of the text; a longer one is cut in its middle.

    Control characters, invisible characters and the marks of chat templates are escaped.
    """
    plain = json.dumps(shortened(text, most), ensure_ascii=False)
    marked = _MARK.sub(lambda found: _escaped(found[0]), plain)
    return "".join(c if c.isprintable() else _escaped(c) for c in marked)


def named(text: str, most: int = 60) -> str:
    """A name from outside: unchanged if it is harmless, otherwise quoted."""
    return text if re.fullmatch(r"[\w.-]+", text) and len(text) <= most else quoted(text, most)


def shortened(text: str, most: int) -> str:
    """At most `most` characters: the beginning and the end, with a gap between them."""
    if len(text) <= most:
        return text
    room = max(most - len(GAP), 2)
    tail = room // 3
    return text[: room - tail] + GAP + text[-tail:] if tail else text[:most]


def json_text(value: Any) -> str:
    """The JSON of a parameter's value, as in a draft."""
    return orjson.dumps(to_jsonable_python(value)).decode()


def _escaped(character: str) -> str:
    units = character.encode("utf-16-be", "surrogatepass")
    pairs = (units[at : at + 2] for at in range(0, len(units), 2))
    return "".join(f"\\u{pair.hex()}" for pair in pairs)


# A shorter part of an item could be a phrase that other texts share.
PART_CHARACTERS = 40

_WORD = re.compile(r"\w+")


class BenchmarkGuard:
    """Keeps items of the benchmark out of prompts: pools and training splits may contain some.

    It rejects texts that contain a question of the benchmark or are a part of one, whatever their
    case, spacing and punctuation. A benchmark that the task only names has no questions here.
    """

    def __init__(self, task: Task) -> None:
        """Raises `DatachefError` if the benchmark cannot be read."""
        benchmark = task.benchmark
        items = read_benchmark(benchmark) if isinstance(benchmark, BenchmarkFile) else []
        questions = {_words(item.prompt) for item in items}
        self._questions = sorted(question for question in questions if question.strip())
        self._all = "\n".join(self._questions)

    def rejects(self, texts: Iterable[str]) -> bool:
        """Whether one of these texts, or all of them joined, must not be shown."""
        parts = [_words(text) for text in texts]
        cut = [part.strip() for part in parts]  # a text may be cut in the middle of a word
        if any(len(part) >= PART_CHARACTERS and part in self._all for part in cut):
            return True
        whole = _words(" ".join(parts))
        return any(question in whole for question in self._questions)


def _words(text: str) -> str:
    """The words, with a space before and after each, so that only whole words are found."""
    return f" {' '.join(_WORD.findall(text.casefold()))} "


T = TypeVar("T")


def spread(items: Sequence[T]) -> Iterator[T]:
    """The first item, the middle one, and then the others, in case these cannot be shown."""
    middle = (0, len(items) // 2) if items else ()
    yield from (items[index] for index in dict.fromkeys((*middle, *range(len(items)))))
