"""The items of a benchmark, cut down to what makes each of them recognisable."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import polars as pl

from datachef.core.benchmark import read_benchmark
from datachef.core.task import BenchmarkFile
from datachef.operators.dedup.words import telling_words

# A line or label that this share of the items has belongs to the prompt template, not to an item.
TEMPLATE_SHARE = 0.1
_TEMPLATE_ITEMS = 3
_OPTION = re.compile(r"\s*[(\[]?[A-Ja-j][).:\]]\s*\S")
_LABEL = re.compile(r"\s*([^\W\d_]+(?: [^\W\d_]+)?)\s*:\s+(?=\S)")
_FEWEST_QUESTION_WORDS = 3

Words = tuple[str, ...]


@dataclass(frozen=True)
class Item:
    """A test item: the words of its question, and of what else would come with a copy of it.

    `row` is its number in the benchmark, from 1, and `prompt` what stands there. Without the
    template of the prompts, nothing may be left of the question.
    """

    question: Words
    options: Words = ()
    answer: Words = ()
    row: int = 0
    prompt: str = ""


def read_items(benchmark: BenchmarkFile) -> list[Item]:
    """The different items of a benchmark, without the template of its prompts."""
    items = read_benchmark(benchmark)
    return items_of([item.prompt for item in items], [item.answer for item in items])


def items_of(prompts: list[str], answers: list[str]) -> list[Item]:
    """The different items of a list of prompts with their answers.

    Lines and labels that many prompts share are template. The question is the first run of lines
    that are neither template nor answer options: what a multiple-choice item asks, what a
    programming exercise wants, without its tests.
    """
    cut = [prompt.splitlines() for prompt in prompts]
    lines = pl.Series([line for prompt in cut for line in prompt], dtype=pl.String)
    words = iter(telling_words(lines).to_list())
    known = [[(line, tuple(next(words))) for line in prompt] for prompt in cut]
    template = _frequent([{line_words for _, line_words in prompt} for prompt in known])
    names = sorted(_frequent([{m[1] for line in p if (m := _LABEL.match(line))} for p in cut]))
    counts = telling_words(pl.Series(names, dtype=pl.String)).list.len()
    labels = dict(zip(names, counts, strict=True))
    found: dict[tuple[Words | str, ...], Item] = {}
    answered = telling_words(pl.Series(answers, dtype=pl.String)).to_list()
    for row, (prompt, text, answer) in enumerate(zip(known, prompts, answered, strict=True), 1):
        question, options = _parted(prompt, template, labels)
        if len(question) < _FEWEST_QUESTION_WORDS:
            question, options = (*question, *options), ()
        item = Item(question, options, tuple(answer), row, text)
        found.setdefault((item.question or text, item.options, item.answer), item)
    return list(found.values())


def _parted(
    prompt: Iterable[tuple[str, Words]], template: set[Words], labels: Mapping[str, int]
) -> tuple[Words, Words]:
    """The words of the question, and of the lines that follow it; labels have so many words."""
    question: list[str] = []
    options: list[str] = []
    over = False
    for line, words in prompt:
        if not words:
            continue
        if words in template or _OPTION.match(line):
            over = over or bool(question)
            options += () if words in template else words
            continue
        label = _LABEL.match(line)
        skipped = labels.get(label[1], 0) if label else 0
        (options if over else question).extend(words[skipped:])
    return tuple(question), tuple(options)


def _frequent(per_item: list[set[Any]]) -> set[Any]:
    counts = Counter(thing for things in per_item for thing in things)
    least = max(_TEMPLATE_ITEMS, TEMPLATE_SHARE * len(per_item))
    return {thing for thing, count in counts.items() if count >= least}
