"""Whether a text is toxic: obscene beyond a stray word, or contemptuous of its reader or a group.

A lexicon with a little grammar, for English. Lists of words alone would not do: of the labelled
templates of Dixon et al. 2018, four published ones find 6% to 28%, and they flag 11% to 23% of web
pages, which speak of medicine and poultry. A word that is obscene in every sense counts alone,
where there is at least one in `WORDS_PER_OBSCENITY` words; a word of contempt counts only where the
grammar says of whom it is said: of `you`, or of a group of people (Borkan et al. 2019 call that
insult and identity attack). Quotations and reports of insults cannot be told from insults, irony
and threats without such words are not seen, and other languages hardly at all.
"""

from __future__ import annotations

from functools import cache

import polars as pl

from datachef.reward.guardrails import lexicon

WORDS_PER_OBSCENITY = 100

_WORD = r"[\pL\pN]+"
# Boundaries and gaps of ASCII alone keep Rust on its fast automaton: 20 to 65 times as fast.
_EDGE = r"(?-u:\b)"
_GAP = r"[ \t\r\n]+"


def _any_of(words: tuple[str, ...]) -> str:
    return f"(?:{'|'.join(words)})"


_OBSCENE = f"(?i){_EDGE}{_any_of(lexicon.OBSCENE)}{_EDGE}"


@cache
def _contempt() -> str:
    """All forms of contempt for somebody, in one pattern."""
    contemptuous, insult = _any_of(lexicon.CONTEMPTUOUS), _any_of(lexicon.INSULTS)
    group, person = _any_of(lexicon.GROUPS), _any_of(lexicon.PERSONS)
    predicate = f"{_any_of(lexicon.CONTEMPTUOUS + lexicon.INSULTS + lexicon.LIKENED)}{_EDGE}"
    degree = f"(?:{_any_of(lexicon.DEGREES)}{_GAP}){{0,4}}"
    # A member's name is an adjective too ("a terrible American storm"): what follows decides.
    ends = f'(?:[ \\t]*(?:$|[.!?,;:)"”])|{_GAP}(?:and|or|but|who){_EDGE}|{_GAP}{person}{_EDGE})'
    member = f"{group}(?:s{_EDGE}|{ends})"
    members = f"{group}(?:s|{_GAP}{person})"
    is_ = f"(?:{_EDGE}(?:is|are|was|were|am|be|being)|['’](?:s|re|m)){_GAP}"
    you_are = f"{_EDGE}(?:you(?:['’]?re|{_GAP}(?:are|were))|u{_GAP}r|ur){_GAP}"
    wishing = f"(?:^[^a-zA-Z\\n]*|[.!?]{_GAP}|{_EDGE}(?:i|we|should|must|let['’]s|gonna){_GAP})"
    strongly = f"(?:(?:[a-z]+ly|fucking){_GAP})?"
    whom = f"(?:(?:all|every|the|these|those|them|you){_GAP}){{0,3}}(?:{contemptuous}{_GAP})?"
    forms = (
        f"{you_are}{degree}{predicate}",
        f"{_EDGE}you{_GAP}(?:{contemptuous}{_GAP}){{0,2}}{insult}{_EDGE}",
        f"{is_}{degree}{contemptuous}{_GAP}{member}",
        f"{_EDGE}being{_GAP}(?:an?{_GAP})?{group}s?{_GAP}is{_GAP}{degree}{contemptuous}{_EDGE}",
        f"{_EDGE}{members}{_GAP}are{_GAP}{degree}{predicate}",
        f"{wishing}{strongly}{_any_of(lexicon.HARMS)}{_GAP}{whom}{member}",
    )
    return "(?im)" + "|".join(forms)


def toxic(text: pl.Series) -> pl.Series:
    """Whether each text is toxic, as far as this method sees; false where the text is null."""
    content = pl.col("text").fill_null("")
    obscenities = content.str.count_matches(_OBSCENE)
    words = content.str.count_matches(_WORD)
    obscene = (obscenities > 0) & (obscenities * WORDS_PER_OBSCENITY >= words)
    found = obscene | content.str.contains(_contempt())
    return text.to_frame("text").select(found.alias("toxic"))["toxic"]
