"""Perplexity under an n-gram model of KenLM, as CCNet and Data-Juicer measure it."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from datachef.core import extra, path_identity

# What operators that ask an n-gram model need; the second for a model of pieces of words.
REQUIRED: Mapping[str, str] = {"kenlm": extra("kenlm")}
PIECES: Mapping[str, str] = {"sentencepiece": extra("kenlm")}


class NGramModel:
    """A model of KenLM (Heafield 2011), of words or of the pieces of a SentencePiece model.

    Methods raise `OSError` for files that are no such models, or cannot be read.
    """

    def __init__(self, model: str, pieces: str | None = None) -> None:
        self._model = _loaded(model, str(path_identity(model)))
        self._pieces = None if pieces is None else _pieces(pieces, str(path_identity(pieces)))

    def perplexity(self, text: str) -> float | None:
        """The perplexity of a text by its lines, each with its end; None where all are empty."""
        score, length = 0.0, 0
        for line in text.splitlines():
            words = (
                line.split() if self._pieces is None else self._pieces.encode(line, out_type=str)
            )
            if words:
                score += self._model.score(" ".join(words))
                length += len(words) + 1
        return float(10 ** min(-score / length, 300.0)) if length else None


@lru_cache(maxsize=2)
def _loaded(path: str, content: str) -> Any:
    import kenlm

    return kenlm.Model(path)


@lru_cache(maxsize=2)
def _pieces(path: str, content: str) -> Any:
    import sentencepiece

    try:
        return sentencepiece.SentencePieceProcessor(model_file=path)
    except RuntimeError as error:
        raise OSError(f"{path} is no SentencePiece model: {error}") from error
