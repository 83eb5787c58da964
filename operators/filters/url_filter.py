"""Addresses of pages: lists of hosts and of whole addresses, and words in them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray
from pydantic import Field

from datachef.core import CheckContext, Filter, input_file, path_identity, threshold
from datachef.operators.text.word_lists import entries, list_problem, read_list

if TYPE_CHECKING:
    from datachef.core import Signal

LISTS = ("hosts", "urls", "banned_words", "soft_words", "banned_parts")
_HOST = r"^(?:(?:[a-z][a-z0-9+.-]*:)?//)?(?:[^/?#@]*@)?([^/?#:]*)"
_MOST_LABELS = 20
Hashes = NDArray[np.uint64]


class UrlFilter(Filter):
    """Drops rows by their web address: listed hosts, listed addresses, or words in the address.

    Source: RefinedWeb (Penedo et al. 2023, https://arxiv.org/abs/2306.01116, appendix G.1) and
    FineWeb (https://arxiv.org/abs/2406.17557), which take the lists of hosts and addresses of
    https://dsi.ut-capitole.fr/blacklists/ and lists of words: one of the banned words drops an
    address, so do several soft ones, and a banned part also within a word. All lists are files of
    one entry a line; https://github.com/huggingface/datatrove has those of FineWeb. A listed host
    stands for all hosts below it, too: in place of a list of public suffixes, `example.com` is
    looked for as the host, and as its end after a dot. Case does not count. Rows without an address
    are kept.
    """

    not_for_policies: ClassVar[str] = "Its lists are files, and recipes of a policy name none."

    op: Literal["url_filter"] = "url_filter"

    column: str = Field("url", min_length=1, max_length=256, description="Column of the address.")
    hosts: str | None = input_file(max_length=4096, description="Path of a list of hosts to drop.")
    urls: str | None = input_file(
        max_length=4096, description="Path of a list of whole addresses to drop."
    )
    banned_words: str | None = input_file(
        max_length=4096, description="Path of a list of words of which none may be in an address."
    )
    soft_words: str | None = input_file(
        max_length=4096, description="Path of a list of words of which few may be in an address."
    )
    banned_parts: str | None = input_file(
        max_length=4096,
        description="Path of a list of what may not be in an address even within a word.",
    )
    max_soft_words: int = threshold(
        1, ge=0, le=100, description="Greatest number of different soft words in an address."
    )

    def reads(self) -> set[str]:
        return {self.column}

    def check(self, context: CheckContext) -> Iterator[tuple[str, str, str]]:
        paths = {name: getattr(self, name) for name in LISTS}
        if not any(paths.values()):
            yield "", "there is no list to drop by", f"name a file as {', '.join(LISTS)}"
        for name, path in paths.items():
            if path is not None:
                yield from list_problem(name, path)

    def signals(self) -> Mapping[str, Signal]:
        found: dict[str, Signal] = {}
        if self.hosts is not None:
            found["url_listed_host"] = self._host_is_listed
        if self.urls is not None:
            found["url_listed"] = self._url_is_listed
        for name in ("banned_words", "soft_words"):
            if (path := getattr(self, name)) is not None:
                words = self._address.str.extract_all("[a-z0-9]+").list.unique()
                found[f"url_{name}"] = _listed_in(words, path)
        if self.banned_parts is not None:
            letters = self._address.str.replace_all("[^a-z0-9]+", "")
            parts = pl.lit(_plain(self.banned_parts)).implode()
            found["url_banned_part"] = letters.str.contains_any(parts)
        return found

    def reasons(self) -> tuple[str, ...]:
        return ("listed_host", "listed_url", "banned_word", "too_many_soft_words", "banned_part")

    def rules(self) -> Mapping[str, pl.Expr]:
        soft = pl.col("url_soft_words")
        rules = {
            "hosts": ("listed_host", pl.col("url_listed_host")),
            "urls": ("listed_url", pl.col("url_listed")),
            "banned_words": ("banned_word", pl.col("url_banned_words") > 0),
            "soft_words": ("too_many_soft_words", soft > self.max_soft_words),
            "banned_parts": ("banned_part", pl.col("url_banned_part")),
        }
        return dict(rule for name, rule in rules.items() if getattr(self, name) is not None)

    @property
    def _address(self) -> pl.Expr:
        return pl.col(self.column).cast(pl.String).fill_null("").str.to_lowercase()

    def _host_is_listed(self, batch: pl.DataFrame) -> pl.Series:
        listed = _hashes(str(self.hosts), str(path_identity(str(self.hosts))))
        host = batch.select(self._address.str.extract(_HOST).fill_null(""))[self.column]
        host = host.str.strip_chars(".")
        found = np.zeros(len(host), np.bool_)
        for _ in range(_MOST_LABELS):
            found |= _is_in(host, listed)
            host = host.str.replace(r"^[^.]*\.?", "")  # the host above
            if (host.str.len_bytes() == 0).all():
                break
        return pl.Series(found)

    def _url_is_listed(self, batch: pl.DataFrame) -> pl.Series:
        listed = _hashes(str(self.urls), str(path_identity(str(self.urls))))
        return pl.Series(_is_in(batch.select(self._address)[self.column], listed))


def _listed_in(words: pl.Expr, path: str) -> pl.Expr:
    """How many of the words of each row are on a list."""
    return words.list.set_intersection(pl.lit(_plain(path)).implode()).list.len().cast(pl.Int64)


def _plain(path: str) -> pl.Series:
    """The entries of a list as they are found in an address: letters and digits of ASCII."""
    plain = read_list(path).str.replace_all("[^a-z0-9]+", "")
    return plain.filter(plain != "").unique(maintain_order=True)


@lru_cache(maxsize=4)
def _hashes(path: str, content: str) -> Hashes:
    """The hashes of a list, in order: of millions of entries they take a tenth of the memory. They
    stay until the `content` of the file is another."""
    return np.sort(entries(path).hash().to_numpy())


def _is_in(values: pl.Series, listed: Hashes) -> NDArray[np.bool_]:
    hashes = values.hash().to_numpy()
    found: NDArray[np.bool_] = np.zeros(len(hashes), np.bool_)
    if len(listed):
        places = np.searchsorted(listed, hashes).clip(max=len(listed) - 1)
        found = (listed[places] == hashes) & (values.str.len_bytes() > 0).to_numpy()
    return found
