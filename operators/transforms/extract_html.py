"""The text of a web page."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from functools import partial
from typing import Literal

import polars as pl
from pydantic import Field

from datachef.core import TextTransform, extra

_MARKUP = r"(?i)<(?:!doctype|!--|/?[a-z][a-z0-9]*[\s/>])"


class ExtractHTML(TextTransform):
    """Takes the text of the main content out of HTML, and drops pages of which nothing is left.

    Extractors: trafilatura (Barbaresi 2021, https://aclanthology.org/2021.acl-demo.15), as FineWeb
    takes it, and resiliparse (Bevendorff et al. 2018), as DCLM does, which is many times faster and
    leaves more of the page. Text without a tag stays as it is. trafilatura's own deduplication,
    which FineWeb turns on, is off: it removes what stood on pages before, so that a page would
    depend on its neighbours.

    The libraries take a page at a time. A page beyond `max_bytes` is dropped unread, and one that
    is built to take minutes fails as `time_limit`.
    """

    op: Literal["extract_html"] = "extract_html"
    extractor: Literal["trafilatura", "resiliparse"] = Field(
        "trafilatura", description="The library that reads the page."
    )
    favor: Literal["precision", "balanced", "recall"] = Field(
        "precision",
        description="precision: less text, without what may be boilerplate; recall: more of it. "
        "resiliparse leaves boilerplate out except with recall.",
    )
    comments: bool = Field(False, description="Also take the comments below an article.")
    max_bytes: int = Field(
        10_000_000, ge=1_000, le=100_000_000, description="A longer page is dropped."
    )

    def requires(self) -> Mapping[str, str]:
        # Without the second, trafilatura cannot be imported.
        needed = {"trafilatura": ("trafilatura", "lxml_html_clean")}
        return dict.fromkeys(needed.get(self.extractor, (self.extractor,)), extra("html"))

    def rules(self) -> Mapping[str, pl.Expr]:
        return {
            "page_too_long": pl.col("text").str.len_bytes() > self.max_bytes,
            "nothing_extracted": pl.col("rewritten").is_null(),
        }

    def reasons(self) -> tuple[str, ...]:
        return tuple(self.rules())

    def rewrite(self, text: pl.Series) -> pl.Series:
        short = text.str.len_bytes() <= self.max_bytes
        pages = (short & text.str.contains(_MARKUP)).fill_null(value=False).arg_true()
        if pages.is_empty():
            return text
        extract = self._trafilatura() if self.extractor == "trafilatura" else self._resiliparse()
        extracted = [extract(page) or "" for page in text.gather(pages)]
        return text.clone().scatter(pages, pl.Series(extracted, dtype=pl.String))

    def _trafilatura(self) -> Callable[[str], str | None]:
        import trafilatura

        # It logs an error for every page without content, which is counted here.
        logging.getLogger("trafilatura").addHandler(logging.NullHandler())
        return partial(
            trafilatura.extract,
            favor_precision=self.favor == "precision",
            favor_recall=self.favor == "recall",
            include_comments=self.comments,
            deduplicate=False,
        )

    def _resiliparse(self) -> Callable[[str], str | None]:
        from resiliparse.extract.html2text import extract_plain_text

        return partial(
            extract_plain_text,
            main_content=self.favor != "recall",
            alt_texts=False,
            comments=self.comments,
        )
