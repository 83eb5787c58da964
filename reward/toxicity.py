"""Whether a text is toxic: obscene beyond a stray word, or contemptuous of its reader or a group.

A lexicon with a little grammar, for English. Word lists alone would not do: of the labelled
templates of Dixon et al. 2018, four published ones find 6% to 28%, and they flag 11% to 23% of web
pages, which speak of medicine and poultry. A word that is obscene in every sense counts alone,
where there is at least one in `WORDS_PER_OBSCENITY` words; a word of contempt counts only where the
grammar says of whom it is said: of `you`, or of a group of people (Borkan et al. 2019 call that
insult and identity attack). Quotations and reports of insults cannot be told from insults, irony
and threats without such words are not found, and other languages hardly at all.
"""

from __future__ import annotations

from functools import cache

import polars as pl

WORDS_PER_OBSCENITY = 100

# The words of toxic English: regular expressions for whole words, in lower case.
# Obscene or a slur in every sense the word has today; words with a harmless sense are left out.
OBSCENE = (
    "(?:mother)?fuck[a-z]*", "shit(?:s|ty|tier|tiest|head|heads|hole|holes|show)?",
    "bullshit[a-z]*", "cunts?", "cocksuck[a-z]*", "(?:ass|arse)holes?", "bitch(?:es|y)?",
    "whores?", "sluts?", "dickheads?", "wank(?:er|ers|ing)", "twats?", "jackass(?:es)?",
    "dumbass(?:es)?", "douchebags?", "blowjobs?", "cumshots?", "gangbang[a-z]*", "niggers?",
    "niggas?", "faggots?", "kikes?", "gooks?", "wetbacks?", "trann(?:y|ies)", "towelheads?",
    "ragheads?", "pakis", "beaners?", "shemales?",
)  # fmt: skip

# Contempt when said of a person; harmless of weather or of films.
CONTEMPTUOUS = (
    "abhorrent", "abominable", "appalling", "awful", "barbaric", "brain-?dead", "contemptible",
    "crappy", "degenerate", "deplorable", "depraved", "despicable", "dirty", "disgraceful",
    "disgusting", "dumb", "evil", "filthy", "foul", "fucked", "fucking", "ghastly", "gross",
    "hideous", "horrendous", "horrible", "horrid", "idiotic", "imbecilic", "inferior",
    "insufferable", "loathsome", "lousy", "moronic", "nasty", "nauseating", "obnoxious", "odious",
    "pathetic", "repellent", "repugnant", "repulsive", "retarded", "revolting", "rotten", "shitty",
    "sickening", "sleazy", "stinking", "stupid", "subhuman", "terrible", "ugly", "useless", "vile",
    "worthless", "wretched",
)  # fmt: skip

# Insults that can only be persons, and things to which persons are likened.
INSULTS = (
    "idiots?", "morons?", "imbeciles?", "cretins?", "scumbags?", "retards?", "dimwits?",
    "halfwits?", "nitwits?", "losers?", "perverts?", "degenerates?", "lowlifes?", "freaks?",
)  # fmt: skip
LIKENED = (
    "scum", "vermin", "trash", "garbage", "filth", "parasites?", "cockroach(?:es)?", "rats?",
    "pigs?", "savages?", "subhumans?", "a disease", "a plague", "a cancer",
)  # fmt: skip

# Groups of people, as one calls a member or the whole: by faith, origin, sex, age, disability.
GROUPS = (
    "muslim", "jew", "jewish", "christian", "catholic", "protestant", "evangelical", "mormon",
    "hindu", "buddhist", "sikh", "taoist", "atheist", "african", "african[ -]american", "american",
    "asian", "arab", "middle[ -]eastern", "european", "mexican", "latin[oax]", "hispanic",
    "chinese", "japanese", "korean", "vietnamese", "filipino", "indian", "pakistani", "turk",
    "turkish", "iranian", "russian", "ukrainian", "polish", "german", "french", "italian", "irish",
    "english", "british", "canadian", "israeli", "palestinian", "nigerian", "romanian",
    "gyps(?:y|ies)", "immigrant", "migrant", "refugee", "foreigner", "indigenous", "aboriginal",
    "gay", "lesbian", "bisexual", "homosexual", "heterosexual", "straight", "queer", "lgbt[a-z]*",
    "trans", "transgender(?:ed)?", "transsexual", "non-?binary", "female", "male", "woman",
    "women", "man", "men", "feminist", "black", "white", "brown", "old", "older", "elderly",
    "young", "younger", "teenage", "teenager", "middle[ -]aged", "millenn?ial", "boomer", "blind",
    "deaf", "disabled", "handicapped", "paraly[sz]ed", "autistic",
)  # fmt: skip
# What may follow a member's name so that it is still the person who is meant.
PERSONS = (
    "people", "persons?", "man", "woman", "men", "women", "guys?", "girls?", "boys?", "kids?",
    "folks?", "community", "race", "immigrants?", "bastards?", "scum", "trash", "vermin", "pigs?",
)  # fmt: skip

DEGREES = (
    "an?", "the", "all", "such", "so", "very", "really", "just", "nothing but", "truly", "totally",
    "utterly", "most", "fucking", "goddamn", "always", "too",
)  # fmt: skip
# What one calls for, or owns up to, against a group.
HARMS = (
    "hate", "despise", "loathe", "detest", "kill", "murder", "exterminate", "eradicate", "destroy",
    "lynch", "gas", "death to",
)  # fmt: skip

_WORD = r"[\pL\pN]+"
# Boundaries and gaps of ASCII alone keep Rust on its fast automaton: 20 to 65 times as fast.
_EDGE = r"(?-u:\b)"
_GAP = r"[ \t\r\n]+"


def _any_of(words: tuple[str, ...]) -> str:
    return f"(?:{'|'.join(words)})"


_OBSCENE = f"(?i){_EDGE}{_any_of(OBSCENE)}{_EDGE}"


@cache
def _contempt() -> str:
    """All forms of contempt for somebody, in one pattern."""
    contemptuous, insult = _any_of(CONTEMPTUOUS), _any_of(INSULTS)
    group, person = _any_of(GROUPS), _any_of(PERSONS)
    predicate = f"{_any_of(CONTEMPTUOUS + INSULTS + LIKENED)}{_EDGE}"
    degree = f"(?:{_any_of(DEGREES)}{_GAP}){{0,4}}"
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
        f"{wishing}{strongly}{_any_of(HARMS)}{_GAP}{whom}{member}",
    )
    return "(?im)" + "|".join(forms)


def toxic(text: pl.Series) -> pl.Series:
    """Whether each text is toxic, as far as this method can tell; false where the text is null."""
    content = pl.col("text").fill_null("")
    obscenities = content.str.count_matches(_OBSCENE)
    words = content.str.count_matches(_WORD)
    obscene = (obscenities > 0) & (obscenities * WORDS_PER_OBSCENITY >= words)
    found = obscene | content.str.contains(_contempt())
    return text.to_frame("text").select(found.alias("toxic"))["toxic"]
