"""Lines and paragraphs that occur in several documents."""

from __future__ import annotations

from typing import ClassVar, Literal

import polars as pl
from pydantic import Field

from datachef.operators.dedup.text_cutter import TextCutter
from datachef.operators.dedup.text_forms import Form, normalized
from datachef.operators.text.lines import LINES, PARAGRAPHS
from datachef.operators.text.words import lists_of, offsets_of


class PieceDedup(TextCutter):
    """Removes lines or the like that the corpus has before, compared in one of several forms."""

    normalize: Form = Field(
        "letters",
        description="What does not make them different: nothing; the amount of white space; that, "
        "case and Unicode form; or all but letters and digits.",
    )
    digits: Literal["alike", "different"] = Field(
        "alike", description="Whether those that differ in digits alone are alike."
    )
    min_chars: int = Field(
        1,
        ge=1,
        le=10_000,
        examples=[1, 10, 20, 50],
        description="What has fewer letters and digits stays, however often it occurs.",
    )

    def hashes(self, documents: pl.DataFrame) -> pl.Series:
        pieces = documents.select(self.pieces()).to_series()
        flat = pieces.explode()
        text = normalized(flat, self.normalize)
        if self.digits == "alike":
            text = text.str.replace_all(r"\p{Nd}", "0")
        few = flat.str.count_matches(r"[\p{L}\p{N}]") < self.min_chars
        return lists_of(text.hash().set(few, None), offsets_of(pieces.list.len()))


class LineDedup(PieceDedup):
    """Removes a line that the corpus has before, and drops documents of which nothing is left.

    As in CCNet (Wenzek et al. 2020, https://arxiv.org/abs/1911.00359), which compares lines in
    lower case, with 0 for digits and without punctuation, by 64 bits of a hash; unlike there,
    accents count. Lines without letters and digits are left alone, and so are conversations.
    """

    op: Literal["line_dedup"] = "line_dedup"

    unit: ClassVar[str] = "lines"
    tokens_per_hash: ClassVar[float] = 12.0

    def pieces(self) -> pl.Expr:
        return LINES


class ParagraphDedup(PieceDedup):
    """Removes a paragraph that the corpus has before, and drops documents of which nothing is left.

    Paragraphs are what stands between blank lines; they are compared as `line_dedup` compares
    lines. Conversations are left alone.
    """

    op: Literal["paragraph_dedup"] = "paragraph_dedup"

    separator: ClassVar[str] = "\n\n"
    unit: ClassVar[str] = "paragraphs"
    tokens_per_hash: ClassVar[float] = 60.0

    def pieces(self) -> pl.Expr:
        return PARAGRAPHS
