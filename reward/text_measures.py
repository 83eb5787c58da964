"""Measures of single texts, each taken once: signals, language, toxicity and other guardrails."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Generic, TypeVar

import numpy as np
import polars as pl
from numpy.typing import NDArray

from datachef.core.text.language_identification import LanguageIdentifier, identify_languages
from datachef.core.text.languages import UNDETERMINED_LANGUAGE
from datachef.core.text.personal_data import holds_personal_data

T = TypeVar("T")

Indices = NDArray[np.int64]

QUANTILES = (0.1, 0.5, 0.9)
# More text hardly changes the language that is found, and finding it costs most of all measures.
LANGUAGE_CHARACTERS = 300


class TextCache(Generic[T]):
    """Measures each text once, so that a recipe costs only the texts that are new in it.

    `measure` is called with the new texts; its results are the `chunks`. Texts are told apart by a
    64-bit hash of their content.
    """

    def __init__(self, measure: Callable[[pl.DataFrame], T]) -> None:
        self._measure = measure
        self._indices: dict[int, int] = {}
        self._starts: list[int] = []
        self.chunks: list[T] = []

    def indices(self, texts: pl.DataFrame) -> Indices:
        """The index of each row's measurement in all chunks together. All columns count."""
        hashes = texts.hash_rows(seed=0).to_list()
        known = self._indices
        fresh = [index for index, value in enumerate(hashes) if value not in known]
        if fresh:
            first: dict[int, int] = {}
            for index in fresh:
                first.setdefault(hashes[index], index)
            start = len(known)
            known.update({value: start + n for n, value in enumerate(first)})
            self._starts.append(start)
            self.chunks.append(self._measure(texts[list(first.values())]))
        return np.fromiter((known[value] for value in hashes), np.int64, len(hashes))

    def chunk_weights(
        self, indices: Indices, weights: NDArray[np.float64]
    ) -> list[NDArray[np.float64]]:
        """The weights of the texts of each chunk, added up where a text occurs several times."""
        total = np.bincount(indices, weights, minlength=len(self._indices))
        return np.split(total, self._starts[1:])


_ANSWER = pl.col("answer")
_LENGTH = _ANSWER.str.len_chars().cast(pl.Float64)
_WORDS = _ANSWER.str.count_matches(r"\S+").cast(pl.Float64)


def _share(pattern: str) -> pl.Expr:
    return _ANSWER.str.count_matches(pattern) / pl.max_horizontal(_LENGTH, pl.lit(1.0))


SIGNALS: dict[str, tuple[str, pl.Expr]] = {
    "answer_log_chars": ("natural logarithm of the answer's characters plus 1", _LENGTH.log1p()),
    "question_log_chars": (
        "natural logarithm of the question's characters plus 1",
        pl.col("question").str.len_chars().cast(pl.Float64).log1p(),
    ),
    "word_chars": (
        "characters per word of the answer",
        _LENGTH / pl.max_horizontal(_WORDS, pl.lit(1.0)),
    ),
    "digit_share": ("share of the answer's characters that are digits", _share(r"\p{Nd}")),
    "symbol_share": (
        "share of the answer's characters that are neither letters, digits nor space",
        _share(r"[^\p{L}\p{N}\s]"),
    ),
    "capital_share": ("share of the answer's characters that are capitals", _share(r"\p{Lu}")),
    "line_share": ("line breaks per character of the answer", _share(r"\n")),
    "foreign_share": (
        "share of the answer's characters that are letters of no Latin script",
        _share(r"[\p{L}--\p{Latin}]"),
    ),
    "unique_word_share": (
        "different words of the answer per word of it",
        _ANSWER.str.extract_all(r"\S+").list.n_unique() / pl.max_horizontal(_WORDS, pl.lit(1.0)),
    ),
}


def measure_signals(texts: pl.DataFrame) -> NDArray[np.float64]:
    """One row of numbers per question and answer, in the order of `SIGNALS`."""
    table = texts.select(expression.alias(name) for name, (_, expression) in SIGNALS.items())
    return table.to_numpy().astype(np.float64)


def weighted_quantiles(
    values: NDArray[np.float64], weights: NDArray[np.float64]
) -> NDArray[np.float64]:
    """The quantiles `QUANTILES` of each column: shape (columns, quantiles)."""
    order = np.argsort(values, axis=0, kind="stable")
    cumulated = np.cumsum(weights[order], axis=0)
    result = np.empty((values.shape[1], len(QUANTILES)))
    for column in range(values.shape[1]):
        total = cumulated[-1, column]
        at = np.searchsorted(cumulated[:, column], np.array(QUANTILES) * total)
        result[column] = values[order[np.minimum(at, len(values) - 1), column], column]
    return result


def languages_of(texts: pl.Series) -> list[str]:
    """The ISO 639 code of each text's most likely language; `und` where there are no letters."""
    found = identify_languages(pl.col("text"), LANGUAGE_CHARACTERS, LanguageIdentifier)
    language = found.struct.field("language").fill_null(UNDETERMINED_LANGUAGE)
    return texts.to_frame("text").select(language)["language"].to_list()


TEXT_MEASURES = ("toxic", "personal_data", "language")


def text_measures(text: pl.Series) -> pl.DataFrame:
    """`toxic`, `personal_data` and `language` of each text; of null, nothing is known to be bad.

    See `toxic`, `holds_personal_data` of core, and `languages_of`.
    """
    language = pl.Series("language", languages_of(text), pl.String)
    return pl.DataFrame([toxic(text), holds_personal_data(text), language])


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
