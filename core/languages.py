"""The language of texts, found by py3langid or by a fastText model."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import polars as pl

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
        found = [of(text) if text else ("und", 0.0) for text in texts]
        return pl.DataFrame(found, schema=FOUND, orient="row").to_struct()

    head = text.fill_null("").str.head(max_chars)
    read = pl.when(head.str.contains(r"\pL")).then(head.str.replace_all(r"[\s\x00]+", " "))
    return read.map_batches(languages, return_dtype=pl.Struct(FOUND), is_elementwise=True)


@cache
def py3langid_model() -> Identify:
    """py3langid (Barbaresi's revision of langid.py, Lui and Baldwin 2012): 97 two-letter codes.

    Loading it takes half a second, and operators come and go, so it stays.
    """
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    identifier = LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)

    def identify(text: str) -> tuple[str, float]:
        language, confidence = identifier.classify(text)
        return str(language), min(max(float(confidence), 0.0), 1.0)

    return identify


def fasttext_model(path: str) -> Identify:
    """A fastText model (lid.176, GlotLID): its labels without `__label__`."""
    import fasttext

    # `predict` of the wrapper breaks with numpy 2; what it calls does not.
    model = fasttext.load_model(path).f

    def identify(text: str) -> tuple[str, float]:
        found = model.predict(text + "\n", 1, 0.0, "strict")
        if not found:
            return "und", 0.0
        confidence, label = found[0]
        return label.removeprefix("__label__"), min(max(float(confidence), 0.0), 1.0)

    return identify
