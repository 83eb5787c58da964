"""In which language texts are."""

from __future__ import annotations

import polars as pl

from datachef.core.text.languages import UNDETERMINED, identified, py3langid_model

# More text hardly changes what is found, and finding it costs most of all measurements.
CHARACTERS = 300


def languages_of(texts: pl.Series) -> list[str]:
    """The ISO 639 code of each text's most likely language; `und` where there are no letters."""
    found = identified(pl.col("text"), CHARACTERS, py3langid_model)
    language = found.struct.field("language").fill_null(UNDETERMINED)
    return texts.to_frame("text").select(language)["language"].to_list()
