"""Answers in which an assistant refuses."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal

import polars as pl
from pydantic import Field

from datachef.core import Filter, threshold
from datachef.operators.text.turns import per_row, turns_table

if TYPE_CHECKING:
    from datachef.core import Signal

_CANNOT = r"(?:cannot|can not|can't|won't|will not)"
_DO = (
    r"(?:assist|help|provide|fulfill|comply|answer|respond|create|generate|write|engage|discuss|"
    r"support|satisfy|complete|do that|offer|access|browse|perform|participate|recommend|condone)"
)
REFUSALS = "|".join(
    [
        r"(?:i'm|i am)(?: really| very| so)? sorry,? (?:but|i|that)\b",
        r"^sorry,? (?:but )?(?:i|as an)\b",
        r"^(?:i apologi[sz]e|my apologies),? (?:but|for|i|as)\b",
        r"\bas an? (?:ai|artificial intelligence|large language model|language model)\b",
        r"\bi(?:'m| am) (?:just |only )?an? (?:ai|language model|large language model)\b",
        rf"\bi {_CANNOT} {_DO}\b",
        rf"\bi(?:'m| am) (?:unable|not able|not programmed) to {_DO}\b",
        r"\bi (?:must|have to) (?:decline|refuse)\b",
        r"\bit (?:is|would be) (?:not appropriate|inappropriate|unethical) for me to\b",
        r"\bagainst my (?:programming|guidelines|ethical guidelines)\b",
        r"\bmy knowledge cut-?off\b",
    ]
)


class RefusalFilter(Filter):
    """Drops rows in which the assistant refuses, or speaks of itself as an AI language model.

    Source: the phrases by which Zou et al. 2023 (https://arxiv.org/abs/2307.15043) tell refusals,
    and those about language models of the lists with which ShareGPT was cleaned
    (https://huggingface.co/datasets/anon8231489123/ShareGPT_Vicuna_unfiltered). Left out are single
    words such as sorry or illegal, which drop whoever speaks of them, and all words for topics. Of
    conversations the turns of the assistant count, of other rows the text. English only. A rejected
    row says by which words.
    """

    op: Literal["refusal_filter"] = "refusal_filter"

    characters: int = Field(
        200, ge=20, le=1_000_000, description="Characters at the beginning of an answer to look at."
    )
    max_refusals: int = threshold(0, ge=0, le=100, description="Greatest number of such turns.")

    def reads(self) -> set[str]:
        return {"text", "source"}  # and the turns where there are some, so not the text alone

    def signals(self) -> Mapping[str, Signal]:
        return {"refusals": self._refusals}

    def rules(self) -> Mapping[str, pl.Expr]:
        return {"refusal": pl.col("refusals") > self.max_refusals}

    def details(self, dropped: pl.DataFrame) -> pl.Series:
        answers = self._answers(dropped)
        found = answers.with_columns(
            words=_plain(pl.col("content")).str.extract(f"(?i)({REFUSALS})")
        )
        first = found.drop_nulls("words").unique("row", keep="first", maintain_order=True)
        rows = pl.DataFrame({"row": pl.int_range(dropped.height, eager=True)})
        joined = rows.join(first, on="row", how="left", maintain_order="left")
        return joined["words"].fill_null("")

    def _refusals(self, batch: pl.DataFrame) -> pl.Series:
        refuses = _plain(pl.col("content")).str.contains(f"(?i){REFUSALS}")
        return per_row(self._answers(batch), batch.height, refusals=refuses.sum())["refusals"]

    def _answers(self, batch: pl.DataFrame) -> pl.DataFrame:
        """The row and the beginning of every answer."""
        texts = pl.DataFrame(
            {"row": pl.int_range(batch.height, eager=True), "content": batch["text"]}
        )
        answers = texts.head(0)
        if "messages" in batch.columns:
            talks = batch["messages"].is_not_null()
            turns = turns_table(batch["messages"])
            answers = turns.filter(pl.col("role") == "assistant").select("row", "content")
            texts = texts.filter(~talks)
        start = pl.col("content").fill_null("").str.strip_chars_start().str.head(self.characters)
        return pl.concat([texts, answers]).sort("row", maintain_order=True).with_columns(start)


def _plain(text: pl.Expr) -> pl.Expr:
    return text.str.replace_all("’", "'", literal=True).str.replace_all(r"\s+", " ")
