"""What guardrails want to know of a single row, measured from its text alone."""

from __future__ import annotations

import polars as pl

from datachef.core.text.personal_data import holds_personal_data
from datachef.reward.features.languages import languages_of
from datachef.reward.guardrails.toxicity import toxic

MEASURES = ("toxic", "personal_data", "language")


def text_measures(text: pl.Series) -> pl.DataFrame:
    """`toxic`, `personal_data` and `language` of each text; of null, nothing is known to be bad.

    See `toxicity` for what is toxic, `personal_search` for what is personal, and `languages_of`.
    """
    language = pl.Series("language", languages_of(text), pl.String)
    return pl.DataFrame([toxic(text), holds_personal_data(text), language])


def row_measures(rows: pl.DataFrame) -> pl.DataFrame:
    """`id` and the `text_measures` of every row, in the order of the rows.

    They depend on nothing but `text`, so that they can be remembered by it.
    """
    return pl.concat([rows.select("id"), text_measures(rows["text"])], how="horizontal")
