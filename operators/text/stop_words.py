"""Stop words by language, and how many different ones a text has."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache, partial
from typing import Literal, get_args

import numpy as np
import polars as pl
from numpy.typing import NDArray

from datachef.operators.text.words import word_hashes

StopWordLanguage = Literal[
    "auto", "en", "ar", "de", "el", "es", "fr", "hi", "ja", "ko", "ru", "th", "tr", "vi", "zh"
]

# English ones are Gopher's; the others those of FineWeb2 without marks and numbers, which took them
# from Wikipedia: https://github.com/huggingface/fineweb-2/tree/main/configs
STOP_WORDS = {
    language: tuple(words.split())
    for language, words in {
        "en": "the be to of and that have with",
        "ar": "في من على إلى عام أن مع أو هو عن التي كان بين ما كانت هي المتحدة بعد",
        "de": "der und die in von im den des mit das er dem als wurde für",
        "el": "του και το της η την από ο με τον να που των στην για στο σε είναι τη τα οι",
        "es": "de la en el y a que del los se por un con una las su",
        "fr": "de la le et à en l' des du les est d' un une il dans par au",
        "hi": "के में है की और से का को एक हैं पर",
        "ja": "の に を は た て が と で 年 し 月 れ さ",
        "ko": "의 다 이 는 에 을 한 년 하 은 를 했 고 에서 가 있 으로 인 월 로 되",
        "ru": "в и на с года по году из был к не от что за для его как а он также до после",
        "th": "ใน ที่ และ ของ เป็น มี การ ได้",
        "tr": "ve bir olarak bu ile için olan da de tarafından yılında sonra en daha ilk",
        "vi": "là và của một được trong năm các có loài này đã người",
        "zh": "的 年 在 月 是 和 日 了 於 為 有 被 人 中 为 他 與 後 也 而 由",
    }.items()
}
# They put no spaces around these words: looked for anywhere in the text.
_WITHIN_TEXT = ("ja", "ko", "th", "zh")
_OTHER_SCRIPTS = ("ar", "el", "hi", "ja", "ko", "ru", "th", "zh")
_AUTO = ("en", *_OTHER_SCRIPTS)


@lru_cache(maxsize=len(get_args(StopWordLanguage)))  # so that equal languages share one expression
def different_stop_words(language: StopWordLanguage) -> pl.Expr:
    """How many different stop words of a language a text has, by its `_words`.

    `auto` takes the language of which the text has most: English, or one in a script of its own.
    """
    languages = _AUTO if language == "auto" else (language,)
    count = partial(_count, languages=languages)
    return pl.struct("text", "_words").map_batches(
        count, return_dtype=pl.Int64, is_elementwise=True
    )


def _count(rows: pl.Series, languages: Sequence[str]) -> pl.Series:
    text, words = rows.struct.field("text").fill_null(""), rows.struct.field("_words")
    most = np.zeros(len(rows), np.int64)
    for language in set(languages) - set(_OTHER_SCRIPTS):
        most = np.maximum(most, _found(words, STOP_WORDS[language]))
    # These scripts have two or three bytes to a character: what is nearly ASCII needs no look.
    foreign = (text.str.len_bytes() * 5 > text.str.len_chars() * 6).arg_true()
    if foreign.is_empty():
        return pl.Series(most, dtype=pl.Int64)
    text, words, places = text.gather(foreign), words.gather(foreign), foreign.to_numpy()
    for language in set(languages) & set(_OTHER_SCRIPTS):
        listed = STOP_WORDS[language]
        within = language in _WITHIN_TEXT
        pieces = text.str.extract_many(list(listed), overlapping=True) if within else words
        most[places] = np.maximum(most[places], _found(pieces, listed))
    return pl.Series(most, dtype=pl.Int64)


def _found(words: pl.Series, listed: Sequence[str]) -> NDArray[np.int64]:
    """How many different ones of those listed each list of words has, by their hashes."""
    hashes, offsets = word_hashes(words)
    wanted = pl.Series(listed).hash().sort()
    places = pl.Series(hashes).is_in(wanted.implode()).arg_true().to_numpy()
    kinds = wanted.to_numpy().searchsorted(hashes[places])
    present = np.zeros((len(words), len(listed)), np.bool_)
    present[np.searchsorted(offsets, places, side="right") - 1, kinds] = True
    number: NDArray[np.int64] = present.sum(axis=1)
    return number
