"""Classes of punctuation as the bodies of regex character classes."""

# Characters that make a word a mere symbol where it has no others; the list of datatrove.
SYMBOLS = (
    r"!/—”:％１〈&(、━\\【#%「」，】；+\^\]~“《„';’{|∶´\[=\-`*．（–？！：$～«〉,><》)?）。…@_.\"}►»"
    r"\x00-\x1f\x7f-\x9f\p{Sentence_Terminal}"
)
# What ends a sentence in any script: Unicode's list, full-width marks, what datatrove's list has
# besides (Khmer), the question mark of Greek and the marks of Armenian.
SENTENCE_ENDS = r"\p{Sentence_Terminal}．｡\x{17d6}\x{17d9}\x{17da}\x{37e}\x{55c}\x{55e}"
CLOSING_QUOTES = r"\x22'\p{Pf}\x{201c}＂＇」』"
CLOSERS = rf"{CLOSING_QUOTES}[\p{{Pe}}--[)\]}}]]"
"""Quotes and brackets that may stand behind the end of a sentence; of ASCII, as in C4, quotes."""

ENDED = rf"(?:[{SENTENCE_ENDS}]|\p{{Greek}};)[{CLOSERS}]{{0,8}}$"
"""Matches a line that ends a sentence, with quotes and brackets closed behind it."""
