"""Licences at the head of source code."""

from __future__ import annotations

from typing import Literal

import polars as pl
from pydantic import Field

from datachef.core import TextTransform

# Lines that a machine reads: the interpreter, the encoding, the mode of an editor, `<?php`.
_PREAMBLE = (
    r"\A\x{feff}?(?:(?:#![^\n]*|(?:#|//|;+)[^\n]*-\*-[^\n]*|#[^\n]*coding[:=][^\n]*"
    r"|<\?[^\n]*)\n)*"
)
_BLOCK = (
    r"[ \t]*(?:/\*[^*]*\*+(?:[^/*][^*]*\*+)*/|\(\*[^*]*\*+(?:[^)*][^*]*\*+)*\)"
    r"|\{-[^-]*-+(?:[^}-][^-]*-+)*\}|<!--[^-]*-+(?:[^>-][^-]*-+)*>)[^\S\n]*\n?"
)
# `#` before a letter, a bracket or `!` begins no comment in C, Rust and shell scripts.
_LINES = r"(?:[ \t]*(?:(?://|--|;|%)[^\n]*|#(?:[^!\[a-z\n][^\n]*)?)(?:\n|\z))+"
_COMMENT = rf"\s*?(?:{_BLOCK}|{_LINES})"
_HEAD = rf"({_PREAMBLE})((?:{_COMMENT})*)"
_LICENCE = r"(?i)copyright|\blicen[sc]ed?\b|SPDX-|all rights reserved|©|\(c\) (?:19|20)\d\d"


class CleanCopyright(TextTransform):
    """Removes comments about copyright and licence at the head of source code.

    As RedPajama, whose rules Data-Juicer's `clean_copyright_mapper` has, but more careful: those
    remove all comments that begin a line at the head, `#include` and shebangs among them, and the
    first block comment wherever it stands. Here a comment goes if it is at the head and speaks of a
    licence, or with `comments: all` whatever it says; lines for the interpreter and editors stay.
    """

    op: Literal["clean_copyright"] = "clean_copyright"
    comments: Literal["licence", "all"] = Field(
        "licence", description="Which comments at the head go: those about a licence, or all."
    )

    def rewrite(self, text: pl.Series) -> pl.Series:
        code, comment = pl.col("text"), pl.element()
        stays = pl.lit(value=False) if self.comments == "all" else ~comment.str.contains(_LICENCE)
        rows = text.to_frame("text").select(
            code,
            code.str.extract(_HEAD, 1).alias("preamble"),
            code.str.extract(_HEAD, 2).alias("head"),
        )
        comments = pl.col("head").str.extract_all(_COMMENT).list.eval(comment.filter(stays))
        begin = pl.col("preamble").str.len_chars() + pl.col("head").str.len_chars()
        kept = comments.list.join("")
        rest = code.str.slice(begin)
        rewritten = pl.col("preamble") + (kept + rest).str.strip_chars_start("\r\n")
        return rows.select(
            pl.when(kept == pl.col("head")).then(code).otherwise(rewritten)
        ).to_series()
