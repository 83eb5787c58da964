"""The language of texts, by py3langid's model or by a fastText model."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache, lru_cache
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from datachef.core.system.paths import file_identity
from datachef.core.text.languages import UNDETERMINED_LANGUAGE, label_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

_PREFIX = "__label__"
# Runs of white space, but for the single spaces that stay as they are.
_SPACES = r"[[\s\x00]--[ ]][\s\x00]*| [\s\x00]+"

FOUND = pl.Schema({"language": pl.String, "confidence": pl.Float64})

# The labels of py3langid's model. Unpacking it takes half a second, which who only asks whether a
# language is known need not spend.
_LABELS = """
ace af am an ar ary arz as az ba bcl be bg bn br bs ca crh cs cy da de dz el en eo es et eu ext
fa fi fo fr fuv fy ga gcf gcr gd gl gom grc gu gug guw ha hbo he hi hr ht hu hy id ig is it ja
jv ka kab kik kk km kn ko ku ky la lb lg lij ln lo lt ltg lv mg mk ml mn mr ms mt my ne nl nn no
nso oc om or pa pcm pl ps pt qu ro ru rw sa sdh se si sk sl sn so sq sr st sv sw ta te tg th tk
tl tr tt ug uk ur uz uzs vec vi vo wa wuu xh yo yue zh zu zxx
"""

# A first look at some pieces of a text, spread evenly over it, decides where it is this sure. Of
# 17,156 web pages .04% are said to be in another language than by all of their first 5,000
# characters, and 3% are read once more.
PIECES = 5
PIECE_CHARS = 200
SURE = 0.95


class LanguageIdentifier:
    """Identifies the language of texts with py3langid or a fastText model.

    Without `model` it is py3langid (Barbaresi's revision of langid.py, Lui and Baldwin 2012), whose
    labels are codes of ISO 639, of two letters where there are. With the path of a fastText model
    (lid.176, GlotLID), labels are the model's without `__label__`. The model is loaded on first use
    and shared in the process. Methods raise `ValueError` for a file that is no model, `OSError` for
    one that cannot be read, and `ImportError` for a missing package.
    """

    def __init__(self, model: str | None = None) -> None:
        self._model = model

    def labels(self) -> frozenset[str]:
        """All labels of the model."""
        if self._model is None:
            return frozenset(_LABELS.split())
        found = _fasttext(self._model, file_identity(self._model)).get_labels()
        return frozenset(label.removeprefix(_PREFIX) for label in found)

    def label_of(self, language: str) -> str:
        """The model's label of a language: see `label_of`."""
        return label_of(language, self.labels())

    def identify(self, texts: pl.Series) -> pl.DataFrame:
        """The `language` and `confidence` (0 to 1) of each text; `und` and 0 of a null one."""
        asked = texts.is_not_null().arg_true()
        read = texts.gather(asked).str.replace_all(_SPACES, " ")
        if self._model is None:
            answers = _naive_bayes().identify(read)
        else:
            answers = list(self._predictions(read))
        found = pl.DataFrame(answers, schema=FOUND, orient="row")
        language = pl.repeat(UNDETERMINED_LANGUAGE, len(texts), eager=True)
        confidence = pl.repeat(0.0, len(texts), eager=True)
        return pl.DataFrame(
            {
                "language": language.scatter(asked, found["language"]),
                "confidence": confidence.scatter(asked, found["confidence"]),
            }
        )

    def _predictions(self, texts: Iterable[str]) -> Iterable[tuple[str, float]]:
        """Text by text: fastText reads one line at a time."""
        # `predict` of the wrapper breaks with numpy 2; what it calls does not.
        model = _fasttext(str(self._model), file_identity(str(self._model))).f
        for text in texts:
            found = model.predict(text + "\n", 1, 0.0, "strict")
            confidence, label = found[0] if found else (0.0, UNDETERMINED_LANGUAGE)
            yield label.removeprefix(_PREFIX), min(max(float(confidence), 0.0), 1.0)

    @property
    def looks_twice(self) -> bool:
        """Whether some pieces of a long text may decide: fastText is fast enough to read it all."""
        return self._model is None


def identify_languages(
    text: pl.Expr, max_chars: int, identifier: Callable[[], LanguageIdentifier]
) -> pl.Expr:
    """The `language` and `confidence` (0 to 1) of each text, as a struct.

    Looks at the first `max_chars` characters; py3langid first at pieces of them, and at all only
    where these leave a doubt. Text without any letter has the language `und`: of it, a model would
    only say what it saw most often in training. `identifier` is called when the expression runs.
    """

    def languages(heads: pl.Series) -> pl.Series:
        model = identifier()
        if not model.looks_twice:
            return model.identify(heads).to_struct()
        looks, long = _first_looks(heads)
        found = model.identify(looks)
        again = (long & (found["confidence"] < SURE)).arg_true()
        if len(again):
            whole = model.identify(heads.gather(again))
            found = found.with_columns(
                found[name].scatter(again, whole[name]) for name in found.columns
            )
        return found.to_struct()

    head = text.fill_null("").str.head(max_chars)
    read = pl.when(head.str.contains(r"\pL")).then(head)
    return read.map_batches(languages, return_dtype=pl.Struct(FOUND), is_elementwise=True)


def _first_looks(heads: pl.Series) -> tuple[pl.Series, pl.Series]:
    """What is looked at first, and of which heads that is not all."""
    head, length = pl.col("head"), pl.col("head").str.len_chars().cast(pl.Int64)
    last = length - PIECE_CHARS
    pieces = [head.str.slice(last * k // (PIECES - 1), PIECE_CHARS) for k in range(PIECES)]
    long = (length > PIECES * PIECE_CHARS).fill_null(value=False)
    look = pl.when(long).then(pl.concat_str(pieces, separator=" ")).otherwise(head)
    table = heads.to_frame("head").select(look.alias("look"), long.alias("long"))
    return table["look"], table["long"]


# Lanes are walked step by step, all at once. A state depends on no more than the last bytes.
_LANE = 58
_MEMORY = 6
_BLOCK = 512  # texts at a time: their arrays stay in the processor's cache


@dataclass(frozen=True)
class NaiveBayes:
    """py3langid's model, applied to many texts at once: the same sums, forty lanes to a text.

    Its automaton reads bytes and tells which n-gram ends at each; a language has the sum of its
    weights for these n-grams, by the logarithm of their counts.
    """

    languages: tuple[str, ...]
    weights: NDArray[np.float32]
    prior: NDArray[np.float32]
    moves: NDArray[np.uint32]
    rows: NDArray[np.int64]
    ngrams: NDArray[np.int32]
    aliases: tuple[tuple[int, int], ...]

    @property
    def _bits(self) -> int:
        return len(self.weights).bit_length()

    def identify(self, texts: pl.Series) -> list[tuple[str, float]]:
        """The language and its probability for each text, to four digits."""
        found: list[tuple[str, float]] = []
        for first in range(0, len(texts), _BLOCK):
            encoded = _encoded(texts.slice(first, _BLOCK))
            offsets = np.zeros(len(encoded) + 1, np.int64)
            np.cumsum([len(text) for text in encoded], out=offsets[1:])
            data = np.frombuffer(b"".join(encoded) + bytes(_LANE + _MEMORY), np.uint8)
            scores = self._probabilities(data, offsets)
            best = scores.argmax(axis=1)
            sure = scores[np.arange(len(best)), best].astype(np.float64).round(4)
            found += [(self.languages[b], c) for b, c in zip(best, sure.tolist(), strict=True)]
        return found

    def _probabilities(
        self, data: NDArray[np.uint8], offsets: NDArray[np.int64]
    ) -> NDArray[np.float32]:
        keys = self._packed_ngrams(data, offsets)
        keys.sort()
        new = np.ones(len(keys), np.bool_)
        new[1:] = keys[1:] != keys[:-1]
        begins = np.flatnonzero(new)
        counts = np.log1p(np.diff(begins, append=len(keys)).astype(np.float32))
        keys = keys[begins]
        ends = np.searchsorted(keys >> self._bits, np.arange(len(offsets)))
        ngrams = (keys & ((1 << self._bits) - 1)).astype(np.int64)
        scores = np.empty((len(offsets) - 1, len(self.languages)), np.float32)
        for row, (a, b) in enumerate(pairwise(ends.tolist())):
            np.dot(counts[a:b], self.weights.take(ngrams[a:b], axis=0), out=scores[row])
        scores[np.diff(ends) > 0] += self.prior
        # The root of the length keeps the probabilities calibrated, as in py3langid.
        scores /= np.sqrt(np.maximum(np.diff(offsets), 1), dtype=np.float32)[:, None]
        np.exp(scores - scores.max(axis=1, keepdims=True), out=scores)
        scores /= scores.sum(axis=1, keepdims=True)
        for label, alias in self.aliases:
            scores[:, label] += scores[:, alias]
            scores[:, alias] = 0
        return scores

    def _packed_ngrams(
        self, data: NDArray[np.uint8], offsets: NDArray[np.int64]
    ) -> NDArray[np.uint32]:
        """The number of the text and of the n-gram, packed, wherever an n-gram ends."""
        lanes = -(-np.diff(offsets) // _LANE)
        document = np.repeat(np.arange(len(lanes)), lanes)
        number = np.arange(len(document)) - np.repeat(np.cumsum(lanes) - lanes, lanes)
        start = offsets[document] + number * _LANE
        end = np.minimum(start + _LANE, offsets[document + 1])
        begin = np.maximum(start - _MEMORY, offsets[document])
        name = document.astype(np.uint32) << np.uint32(self._bits)
        state = np.zeros(len(document), np.int64)
        found = [np.zeros(0, np.uint32)]
        at = begin.copy()
        for step in range(_LANE + _MEMORY):
            state = self.moves.take(self.rows.take(state) + data.take(at)).astype(np.int64)
            ngram = self.ngrams.take(state)
            seen = (ngram >= 0) & (at < end)
            if step < _MEMORY:
                seen &= at >= start
            found.append((name | ngram.view(np.uint32))[seen])
            at += 1
        return np.concatenate(found)


def _encoded(texts: pl.Series) -> list[bytes]:
    """The texts as py3langid reads them: composed, and in lower case if all in upper case."""
    loud = (~texts.str.contains("[a-z]")).arg_true()
    quiet = [text.lower() if text.isupper() else text for text in texts.gather(loud)]
    texts = texts.scatter(loud, pl.Series(quiet, dtype=pl.String))
    other = (texts.str.len_bytes() > texts.str.len_chars()).arg_true()  # ASCII is composed
    texts = texts.scatter(other, texts.gather(other).str.normalize("NFC"))
    encoded: list[bytes] = texts.cast(pl.Binary).to_list()
    return encoded


@cache
def _naive_bayes() -> NaiveBayes:
    """Loading it takes half a second, and operators come and go, so it stays."""
    from py3langid.langid import MODEL_FILE, LanguageIdentifier as Py3langid

    model = Py3langid.from_model_file(MODEL_FILE)
    return NaiveBayes(
        languages=tuple(map(str, model.nb_classes)),
        weights=np.asarray(model.nb_ptc, np.float32),
        prior=np.asarray(model.nb_pc, np.float32),
        moves=np.asarray(model.tk_nextmove, np.uint32),
        rows=np.asarray(model.tk_row, np.int64) << 8,
        ngrams=np.asarray(model.tk_output, np.int32),
        aliases=tuple(model._alias_pairs),
    )


@lru_cache(maxsize=2)
def _fasttext(path: str, content: str) -> Any:
    import fasttext

    return fasttext.load_model(path)
