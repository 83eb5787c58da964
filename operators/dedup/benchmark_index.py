"""The items of a benchmark, and an index that finds how much of an item a text contains."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from datachef.core import BenchmarkFile, read_benchmark
from datachef.operators.dedup.text_forms import telling_keys, telling_words
from datachef.operators.text.lines import FILLED, LINES
from datachef.operators.text.words import (
    Hashes,
    Offsets,
    document_of,
    ngram_hashes,
    offsets_of,
    word_hashes,
)

# A line or label that this share of the items has belongs to the prompt template, not to an item.
TEMPLATE_SHARE = 0.1
_TEMPLATE_ITEMS = 3
_OPTION = re.compile(r"\s*[(\[]?[A-Ja-j][).:\]]\s*\S")
_LABEL = re.compile(r"\s*([^\W\d_]+(?: [^\W\d_]+)?)\s*:\s+(?=\S)")
_FEWEST_QUESTION_WORDS = 3

Words = tuple[str, ...]

Shares = NDArray[np.float64]
Indices = NDArray[np.int64]

_Evidence = tuple[frozenset[int], ...]

# What stands before a short item on its line: a bullet or number, and words with a colon.
_LINE_LABEL = (
    r"^\s*(?:[-*•>#]+\s+)?(?:[(\[]?\w{1,3}[).\]]\s+)?(?:\*{0,2}\pL+(?: \pL+){0,3}\s?:\*{0,2}\s+)?"
)

# How far behind a short question its options or answer may begin or end, in words.
_REACH = 16
_ANCHOR = 3
# An item is long if it has at least this many times the words of an n-gram.
_LONG = 3


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
    """The words of the question, and of the lines that follow it.

    `labels` gives the number of words of each label.
    """
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


class Sieve:
    """Finds which of many hashes are in a small set; one look-up refuses nearly all the others."""

    def __init__(self, members: Hashes) -> None:
        self.members = np.unique(members)
        bits = max(16, int(len(self.members) - 1).bit_length() + 6 if len(self.members) else 16)
        self._shift = np.uint64(64 - bits)
        self._table = np.zeros(1 << bits, np.bool_)
        self._table[self.members >> self._shift] = True

    def find(self, hashes: Hashes) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """Positions in `hashes` of what is in the set, and its index in `members`."""
        maybe = np.flatnonzero(self._table[hashes >> self._shift])
        if not len(maybe):
            return maybe, maybe
        place = np.searchsorted(self.members, hashes[maybe])
        place[place == len(self.members)] = 0
        sure = self.members[place] == hashes[maybe]
        return maybe[sure], place[sure]


class LongItems:
    """Items of at least `n` words, recognised by the n-grams they share with a text."""

    def __init__(self, questions: Sequence[Sequence[str]], n: int) -> None:
        self._n = n
        flat, offsets = word_hashes(pl.Series(questions, dtype=pl.List(pl.String)))
        grams, starts = ngram_hashes(flat, offsets, n)
        lengths = np.diff(starts)
        table = pl.DataFrame(
            {
                "gram": grams,
                "item": np.repeat(np.arange(len(questions)), lengths),
                "position": np.arange(len(grams)) - np.repeat(starts[:-1], lengths),
            }
        )
        # What a tenth of the items have in common is template: it says nothing about any of them.
        most = max(10, TEMPLATE_SHARE * len(questions))
        holders = table.select("gram", "item").unique().group_by("gram").len("holders")
        table = table.join(holders, on="gram").with_columns(common=pl.col("holders") >= most)
        table = table.filter(~pl.col("common") | pl.col("common").all().over("item"))
        table = table.sort("gram", "item", "position")
        self._sieve = Sieve(table["gram"].to_numpy())
        self._items = table["item"].to_numpy()
        self._positions = table["position"].to_numpy()
        self._starts = offsets_of(table.group_by("gram", maintain_order=True).len()["len"])
        self._stride = int(lengths.max(initial=0)) + 1
        places = np.sort(self._items * self._stride + self._positions)
        self._whole = np.ones((2, len(questions)))
        items, *whole = self._measured(places)
        self._whole[:, items] = whole

    def best(self, flat: Hashes, offsets: Offsets) -> tuple[Shares, Indices]:
        """For each document, the greatest share of an item that it has, and the item.

        Of a long item that is the share of its words that lie in a common n-gram. That would be
        lenient with a short one, where changing the word that matters leaves most words covered:
        there it is the share of the n-grams themselves.
        """
        shares, best = np.zeros(len(offsets) - 1), np.zeros(len(offsets) - 1, np.int64)
        grams, starts = ngram_hashes(flat, offsets, self._n)
        found, members = self._sieve.find(grams)
        if not len(found):
            return shares, best
        documents = np.searchsorted(starts, found, side="right") - 1
        count = len(self._sieve.members)
        documents, members = np.divmod(np.unique(documents * count + members), count)
        fan_out = np.diff(self._starts)[members]
        nth = np.arange(fan_out.sum()) - np.repeat(np.cumsum(fan_out) - fan_out, fan_out)
        entries = np.repeat(self._starts[members], fan_out) + nth
        pairs = np.repeat(documents, fan_out) * self._whole.shape[1] + self._items[entries]
        pairs, words, matched = self._measured(
            np.sort(pairs * self._stride + self._positions[entries])
        )
        documents, items = np.divmod(pairs, self._whole.shape[1])
        all_words, all_grams = self._whole[:, items]
        long = all_words >= _LONG * self._n
        share = np.where(long, words / all_words, matched / all_grams)
        order = np.lexsort((items, -share, documents))
        documents, first = np.unique(documents[order], return_index=True)
        shares[documents], best[documents] = share[order][first], items[order][first]
        return shares, best

    def _measured(self, places: Offsets) -> tuple[Offsets, Offsets, Offsets]:
        """The owners of sorted places, with the words that their n-grams cover and their number."""
        owners, positions = np.divmod(places, self._stride)
        width = np.full(len(places), self._n)
        same = owners[1:] == owners[:-1]
        width[:-1][same] = np.minimum(np.diff(positions)[same], self._n)
        unique, first, number = np.unique(owners, return_index=True, return_counts=True)
        words = np.add.reduceat(width, first) if len(first) else first
        return unique, words, number


class ShortItems:
    """Items too short for n-grams, recognised by the whole question and by what follows it."""

    def __init__(self, items: Sequence[Item], fewest_words: int) -> None:
        self._fewest_words = fewest_words
        self._by_anchor: dict[int, dict[int, dict[bytes, list[tuple[int, _Evidence]]]]]
        self._by_anchor = defaultdict(lambda: defaultdict(lambda: defaultdict(list)))
        parts = [part for item in items for part in (item.question, item.options, item.answer)]
        flat, ends = word_hashes(pl.Series(parts, dtype=pl.List(pl.String)))
        hashes = [flat[a:b] for a, b in pairwise(ends)]
        parted = zip(hashes[::3], hashes[1::3], hashes[2::3], strict=True)
        for item, (question, *evidence) in enumerate(parted):
            anchor, _ = ngram_hashes(question[:_ANCHOR], np.array([0, _ANCHOR]), _ANCHOR)
            words = tuple(frozenset(part.tolist()) for part in evidence if len(part))
            same_length = self._by_anchor[int(anchor[0])][len(question)]
            same_length[question.tobytes()].append((item, words))
        anchors = np.fromiter(self._by_anchor, np.uint64, len(self._by_anchor))
        self._sieve = Sieve(anchors)

    def best(self, flat: Hashes, offsets: Offsets) -> tuple[Shares, Indices]:
        """For each document, the greatest share of an item's words that it has in one place, and
        the item."""
        shares, best = np.zeros(len(offsets) - 1), np.zeros(len(offsets) - 1, np.int64)
        grams, starts = ngram_hashes(flat, offsets, _ANCHOR)
        positions, members = self._sieve.find(grams)
        documents = np.searchsorted(starts, positions, side="right") - 1
        places = offsets[documents] + positions - starts[documents]
        for document, place, member in zip(documents, places, members, strict=True):
            text = flat[place : offsets[document + 1]]
            for length, questions in self._by_anchor[int(self._sieve.members[member])].items():
                for item, evidence in questions.get(text[:length].tobytes(), ()):
                    share = self._share(text, length, evidence)
                    if share > shares[document]:
                        shares[document], best[document] = share, item
        return shares, best

    def _share(self, text: Hashes, length: int, evidence: _Evidence) -> float:
        best = 0.0
        for words in evidence or (frozenset[int](),):
            window = text[length : 2 * length + 2 * len(words) + _REACH]
            found = len(words.intersection(window.tolist()))
            if length + found >= self._fewest_words:
                best = max(best, (length + found) / (length + len(words)))
        return best


class WholeItems:
    """Items too short for n-grams, recognised where they are all that stands there.

    That is a line, with or without a label before and the answer behind; for an item of one word,
    and for one that is nothing but template, a line with its answer or the whole text.
    """

    def __init__(self, items: Sequence[Item]) -> None:
        self._lines: dict[str, int] = {}
        self._texts: dict[str, int] = {}
        prompts = telling_keys(pl.Series([item.prompt for item in items], dtype=pl.String))
        for index, (item, prompt) in enumerate(zip(items, prompts, strict=True)):
            question = " ".join(item.question) or prompt
            if not question:
                continue
            behind = (item.answer, item.options, (*item.options, *item.answer))
            answered = [" ".join((question, *words)) for words in behind if words]
            for key in (question, *answered, prompt, " ".join((prompt, *item.answer))):
                self._texts.setdefault(key, index)
            for key in answered if len(item.question) < 2 else (question, *answered):
                self._lines.setdefault(key, index)
        # Signs, spaces and a label come on top of the words.
        self._longest_line = 2 * max(map(len, self._lines), default=0) + 40
        self._longest_text = 2 * max(map(len, self._texts), default=0) + 40

    def best(self, text: pl.Series) -> tuple[Shares, Indices]:
        """1 for each text that holds an item, and the item."""
        shares, best = np.zeros(len(text)), np.zeros(len(text), np.int64)
        if not self._texts:
            return shares, best
        lists = text.to_frame("text").select(LINES).to_series()
        documents = document_of(offsets_of(lists.list.len()))
        lines = lists.explode(empty_as_null=False, keep_nulls=False)
        short = (lines.str.len_chars() <= self._longest_line) & lines.str.contains(FILLED)
        lines, documents = lines.filter(short), documents[short.to_numpy()]
        for found, places, known in (
            (lines, documents, self._lines),
            (lines.str.replace(_LINE_LABEL, ""), documents, self._lines),
            *self._whole(text),
        ):
            keys = telling_keys(found)
            hits = keys.is_in(list(known)).fill_null(False).arg_true()
            for place, key in zip(places[hits.to_numpy()], keys.gather(hits), strict=True):
                shares[place], best[place] = 1.0, known[key]
        return shares, best

    def _whole(self, text: pl.Series) -> Iterator[tuple[pl.Series, Indices, dict[str, int]]]:
        short = (text.str.len_chars() <= self._longest_text).fill_null(False)
        yield text.filter(short), np.flatnonzero(short.to_numpy()), self._texts


class BenchmarkIndex:
    """All items of a benchmark, each recognised in the way that suits its length."""

    def __init__(self, items: Sequence[Item], n: int, fewest_words: int) -> None:
        longest = {item.question: item for item in reversed(items) if len(item.question) >= n}
        long = [longest[question] for question in sorted(longest)]
        rest = [item for item in items if len(item.question) < n]
        short = [item for item in rest if _can_be_told(item, fewest_words)]
        self._items = [*long, *short, *rest]
        self._long = LongItems([item.question for item in long], n)
        self._short = ShortItems(short, fewest_words)
        self._whole = WholeItems(rest)
        self._firsts = (0, len(long), len(long) + len(short))

    def best(self, text: pl.Series) -> tuple[Shares, Indices]:
        """For each text, the share of the item that it holds most of, and the item's index."""
        flat, offsets = word_hashes(telling_words(text))
        found = (
            self._long.best(flat, offsets),
            self._short.best(flat, offsets),
            self._whole.best(text),
        )
        shares = np.stack([shares for shares, _ in found])
        items = np.stack(
            [best + first for (_, best), first in zip(found, self._firsts, strict=True)]
        )
        which = shares.argmax(axis=0)
        rows = np.arange(len(text))
        return shares[which, rows], items[which, rows]

    def item(self, index: int) -> Item:
        """The item of an index that `best` gave."""
        return self._items[index]


def _can_be_told(item: Item, fewest_words: int) -> bool:
    """Whether the item has enough words to be told amid others."""
    most = max(len(item.options), len(item.answer))
    return len(item.question) >= _ANCHOR and len(item.question) + most >= fewest_words
