"""Classifiers of fastText: loaded, asked for many texts at once, and trained."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from datachef.core import DatachefError, extra, path_identity, raise_environment_failure

PREFIX = "__label__"
# What operators that ask a classifier need.
REQUIRED: Mapping[str, str] = {"fasttext": extra("fasttext")}


class TextClassifier:
    """A supervised model of fastText in a file (Joulin et al. 2017, arXiv 1607.01759).

    Raises `DatachefError` for a file that is no model, and `ImportError` without the package.
    """

    def __init__(self, path: str | Path) -> None:
        self._model = _loaded(str(path), str(path_identity(path)))

    def labels(self) -> list[str]:
        """The labels, without their prefix."""
        return [label.removeprefix(PREFIX) for label in self._model.get_labels()]

    def probabilities(self, texts: pl.Series, label: str) -> pl.Series:
        """The probability (0 to 1) that the model gives a label, of each text; null of a null one.

        All lines of a text are read as one.
        """
        asked = texts.is_not_null().arg_true()
        # `predict` of the wrapper breaks with numpy 2, and `multilinePredict` below it repeats the
        # first probability for all labels, so that texts are asked for one by one.
        ask, wanted = self._model.f.predict, PREFIX + label
        result = np.full(len(texts), np.nan)
        for place, line in zip(asked, one_line(texts.gather(asked)), strict=True):
            found = ask(f"{line}\n", -1, 0.0, "strict")
            result[place] = next((p for p, name in found if name == wanted), 0.0)
        return pl.Series(texts.name, result.clip(0, 1)).fill_nan(None)


def one_line(texts: pl.Series) -> pl.Series:
    """Texts as fastText reads them: in one line, with no word that it would take for a label."""
    return texts.str.replace_all(r"[\s\x00]+", " ").str.replace_all(PREFIX, "label ", literal=True)


@lru_cache(maxsize=4)
def _loaded(path: str, content: str) -> Any:
    import fasttext

    try:
        return fasttext.load_model(path)
    except ValueError as error:
        raise_environment_failure(error)
        hint = "chef train-classifier makes one"
        raise DatachefError(f"no fastText model: {error}", hint) from error


def train(
    examples: Iterable[tuple[str, pl.Series]],
    place: Path,
    *,
    epochs: int,
    learning_rate: float,
    ngrams: int,
    dimensions: int,
    buckets: int,
    seed: int,
) -> None:
    """Trains a classifier on texts by label and writes it to `place`.

    One thread, so that the same texts in the same order give the same model. Raises `RuntimeError`
    where the training diverges.
    """
    import fasttext

    lines = [f"{PREFIX}{label} {line}" for label, texts in examples for line in one_line(texts)]
    order = np.random.default_rng(seed).permutation(len(lines))
    written = place.with_suffix(".txt")
    written.write_text("".join(f"{lines[at]}\n" for at in order), encoding="utf-8")
    try:
        model = fasttext.train_supervised(
            str(written), epoch=epochs, lr=learning_rate, wordNgrams=ngrams, dim=dimensions,
            bucket=buckets, seed=seed, thread=1, verbose=0,
        )  # fmt: skip
        model.save_model(str(place))
    finally:
        written.unlink()
