"""Punctuation of all scripts as ASCII."""

from __future__ import annotations

from typing import ClassVar, Literal

import polars as pl

from datachef.core import TextTransform

_ASCII = {
    "，": ",", "。": ".", "、": ",", "„": '"', "”": '"', "“": '"', "«": '"', "»": '"', "」": '"',
    "「": '"', "《": '"', "》": '"', "´": "'", "∶": ":", "：": ":", "？": "?", "！": "!", "（": "(",
    "）": ")", "；": ";", "–": "-", "—": " - ", "．": ". ", "～": "~", "’": "'", "…": "...",
    "━": "-", "〈": "<", "〉": ">", "【": "[", "】": "]", "％": "%", "►": "-",
}  # fmt: skip


class NormalizePunctuation(TextTransform):
    """Replaces typographic, full-width and CJK punctuation by its ASCII form.

    The table is that of CCNet (Wenzek et al. 2020, https://aclanthology.org/2020.lrec-1.494), which
    BigScience and Data-Juicer (`punctuation_normalization_mapper`) use, but for the full-width
    digit 1, which stands there for a quote and is left alone here. What was trained on text of
    CCNet, such as its perplexity models, expects it; to a reader of Chinese it is a loss.
    """

    rewrites_arguments: ClassVar[bool] = True

    op: Literal["normalize_punctuation"] = "normalize_punctuation"

    def rewrite(self, text: pl.Series) -> pl.Series:
        return text.str.replace_many(list(_ASCII), list(_ASCII.values()))
