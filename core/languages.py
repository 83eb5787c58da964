"""The language of texts, found by py3langid or by a fastText model."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any

import polars as pl

from datachef.core.files.identity import file_identity
from datachef.core.language_codes import UNDETERMINED

if TYPE_CHECKING:
    from py3langid.langid import LanguageIdentifier

_PREFIX = "__label__"

Identify = Callable[[str], tuple[str, float]]

FOUND = pl.Schema({"language": pl.String, "confidence": pl.Float64})


def identified(text: pl.Expr, max_chars: int, identify: Callable[[], Identify]) -> pl.Expr:
    """The `language` and `confidence` (0 to 1) of each text, as a struct.

    Looks at the first `max_chars` characters. Text without any letter has the language `und`:
    of it, a model would only say what it saw most often in training. `identify` builds the model
    when the expression runs.
    """

    def languages(texts: pl.Series) -> pl.Series:
        of = identify()
        found = [of(text) if text else (UNDETERMINED, 0.0) for text in texts]
        return pl.DataFrame(found, schema=FOUND, orient="row").to_struct()

    head = text.fill_null("").str.head(max_chars)
    read = pl.when(head.str.contains(r"\pL")).then(head.str.replace_all(r"[\s\x00]+", " "))
    return read.map_batches(languages, return_dtype=pl.Struct(FOUND), is_elementwise=True)


@cache
def _py3langid() -> LanguageIdentifier:
    """Loading it takes half a second, and operators come and go, so it stays."""
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)


def py3langid_model() -> Identify:
    """py3langid, Barbaresi's revision of langid.py (Lui and Baldwin 2012)."""
    identifier = _py3langid()

    def identify(text: str) -> tuple[str, float]:
        language, confidence = identifier.classify(text)
        return str(language), min(max(float(confidence), 0.0), 1.0)

    return identify


def py3langid_labels() -> frozenset[str]:
    """The codes that `py3langid_model` answers with: of ISO 639, two letters where there are."""
    return frozenset(map(str, _py3langid().nb_classes))


@lru_cache(maxsize=2)
def _fasttext(path: str, content: str) -> Any:
    import fasttext

    return fasttext.load_model(path)


def _loaded(path: str) -> Any:
    return _fasttext(path, file_identity(path))


def fasttext_model(path: str) -> Identify:
    """A fastText model (lid.176, GlotLID): its labels without `__label__`."""
    # `predict` of the wrapper breaks with numpy 2; what it calls does not.
    model = _loaded(path).f

    def identify(text: str) -> tuple[str, float]:
        found = model.predict(text + "\n", 1, 0.0, "strict")
        if not found:
            return UNDETERMINED, 0.0
        confidence, label = found[0]
        return label.removeprefix(_PREFIX), min(max(float(confidence), 0.0), 1.0)

    return identify


def fasttext_labels(path: str) -> frozenset[str]:
    """The labels of a fastText model without `__label__`.

    Raises `ValueError` for a file that is no model, and `OSError` for one that cannot be read.
    """
    return frozenset(label.removeprefix(_PREFIX) for label in _loaded(path).get_labels())
