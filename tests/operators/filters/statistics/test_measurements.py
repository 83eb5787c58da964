"""What filters of this folder measure, on known texts and against plain Python on real pages."""

from __future__ import annotations

import gzip
import json
from collections import Counter
from math import isqrt

import numpy as np
import pytest

from datachef.operators.filters.statistics.alphanumeric_filter import AlphanumericFilter
from datachef.operators.filters.statistics.average_line_length_filter import (
    AverageLineLengthFilter,
)
from datachef.operators.filters.statistics.character_repetition_filter import (
    CharacterRepetitionFilter,
)
from datachef.operators.filters.statistics.flagged_words_filter import FlaggedWordsFilter
from datachef.operators.filters.statistics.maximum_line_length_filter import (
    MaximumLineLengthFilter,
)
from datachef.operators.filters.statistics.script_filter import ScriptFilter
from datachef.operators.filters.statistics.special_characters_filter import (
    SpecialCharactersFilter,
)
from datachef.operators.filters.statistics.stop_words_filter import StopWordsFilter
from datachef.operators.filters.statistics.text_length_filter import TextLengthFilter
from datachef.operators.filters.statistics.token_count_filter import TokenCountFilter
from datachef.operators.filters.statistics.word_count_filter import WordCountFilter
from datachef.operators.filters.statistics.word_repetition_filter import WordRepetitionFilter


def measured(signals, operator, texts):
    return signals(operator, texts)[operator.quantity].to_list()


@pytest.fixture(scope="module")
def pages(shared_data):
    with gzip.open(shared_data / "web" / "part-000.jsonl.gz", "rt", encoding="utf-8") as lines:
        return [json.loads(line)["text"] for line, _ in zip(lines, range(200), strict=False)]


def share_repeated(items, n, most=None):
    """The share of n-grams that occur more than once, or of the most frequent of these."""
    counts = Counter(tuple(items[i : i + n]) for i in range(len(items) - n + 1))
    again = sorted((count for count in counts.values() if count > 1), reverse=True)
    return sum(again[: most and most(len(counts))]) / max(counts.total(), 1)


def plain_words(text):
    """Words between spaces without what is no letter at their ends."""
    words = []
    for word in text.lower().split():
        letters = [i for i, c in enumerate(word) if c.isalpha()]
        words += [word[letters[0] : letters[-1] + 1]] if letters else []
    return words


@pytest.mark.parametrize(
    ("operator", "expected"),
    [
        (AlphanumericFilter(), lambda t: sum(map(str.isalnum, t)) / len(t)),
        (AverageLineLengthFilter(), lambda t: len(t) / len(t.splitlines())),
        (MaximumLineLengthFilter(), lambda t: max(map(len, t.splitlines()))),
        (TextLengthFilter(), len),
        (CharacterRepetitionFilter(), lambda t: share_repeated(t, 10, most=isqrt)),
        (CharacterRepetitionFilter(ngram=3), lambda t: share_repeated(t, 3, most=isqrt)),
        (WordCountFilter(), lambda t: len(plain_words(t))),
        (WordRepetitionFilter(ngram=4), lambda t: share_repeated(plain_words(t), 4)),
    ],
    ids=lambda value: getattr(value, "op", ""),
)
def test_values_on_real_pages(signals, pages, operator, expected):
    english = [page for page in pages if page.isascii()]
    assert len(english) > 50
    assert measured(signals, operator, english) == pytest.approx([expected(t) for t in english])


@pytest.mark.parametrize(
    ("operator", "text", "value"),
    [
        (AlphanumericFilter(), "ab 12 世界?", 6 / 9),
        (AlphanumericFilter(), "", 0),
        (SpecialCharactersFilter(), "Ah! 42 😀", 6 / 8),
        (SpecialCharactersFilter(), "今天下雨了。", 1 / 6),
        (AverageLineLengthFilter(), "one\r\ntwo\n", 9 / 2),
        (MaximumLineLengthFilter(), "", 0),
        (CharacterRepetitionFilter(ngram=2), "abababab", 4 / 7),
        (WordCountFilter(), '"Well," he said - 42 times.', 4),
        (WordCountFilter(), "今天下雨了。", 5),
        (WordRepetitionFilter(ngram=2), "A dog, a dog; the dog!", 2 / 5),
        (StopWordsFilter(), "The cat sat on the mat.", 3 / 6),
        (StopWordsFilter(language="zh"), "我的书", 2 / 3),
        (ScriptFilter(), "abc где 1", 3 / 6),
        (ScriptFilter(script="Japanese"), "雨が降ったor?", 5 / 7),
        (ScriptFilter(script="Chinese"), "123", 0),
        (TokenCountFilter(), "twelve bytes", 3),
    ],
    ids=lambda value: getattr(value, "op", ""),
)
def test_values(signals, operator, text, value):
    assert measured(signals, operator, [text, None])[0] == pytest.approx(value)


@pytest.mark.parametrize(
    ("operator", "texts", "expected"),
    [
        (AlphanumericFilter(), ["words here", "=-=-=-=-= a"], [None, "alphanumeric_share_too_low"]),
        (SpecialCharactersFilter(), ["1 2 3 4"], ["special_character_share_too_high"]),
        (MaximumLineLengthFilter(max=20), ["x" * 21], ["maximum_line_length_too_high"]),
        (CharacterRepetitionFilter(), ["ha" * 50], ["character_repetition_too_high"]),
        (WordRepetitionFilter(), ["buy it now " * 20], ["word_repetition_too_high"]),
        (StopWordsFilter(), ["Apple Banana Cherry Dates"], ["stop_word_share_too_low"]),
        (WordCountFilter(min=2, max=3), ["a", "a b c d"], [
            "word_count_too_low", "word_count_too_high"
        ]),
        (ScriptFilter(), ["Это по-русски.", "This is not."], ["script_share_too_low", None]),
    ],
    ids=lambda value: getattr(value, "op", ""),
)  # fmt: skip
def test_reasons(reasons, operator, texts, expected):
    assert reasons(operator, texts) == expected


def test_flagged_words(signals, reasons, tmp_path):
    listed = tmp_path / "words.txt"
    listed.write_text("# a comment\nDarn\n\n heck \n")
    operator = FlaggedWordsFilter(words=str(listed))
    texts = ["Well, DARN it.", "No such word, darned as it is."]
    assert measured(signals, operator, texts) == pytest.approx([1 / 3, 0])
    assert reasons(operator, texts) == ["flagged_word_share_too_high", None]
    listed.write_text("# nothing\n")
    (problem,) = operator.check(None)
    assert problem[1] == "the list has no words"


def test_tokens_of_a_tokenizer(signals, tmp_path):
    tokenizers = pytest.importorskip("tokenizers")
    made = tokenizers.Tokenizer(tokenizers.models.WordLevel({"words": 0}))
    made.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    made.save(str(tmp_path / "tokenizer.json"))
    operator = TokenCountFilter(tokenizer=str(tmp_path / "tokenizer.json"))
    assert measured(signals, operator, ["words words", ""]) == [2, 0]
    (tmp_path / "tokenizer.json").write_text("{}")
    (problem,) = TokenCountFilter(tokenizer=str(tmp_path / "tokenizer.json")).check(None)
    assert problem[0] == "tokenizer"


def test_a_batch_may_be_cut_anywhere(signals, pages):
    operator = CharacterRepetitionFilter()
    together = measured(signals, operator, pages[:20])
    alone = [measured(signals, operator, [page])[0] for page in pages[:20]]
    assert np.allclose(together, alone)
