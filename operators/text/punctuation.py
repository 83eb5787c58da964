"""Classes of punctuation as the bodies of regex character classes."""

# Characters that make a word a mere symbol where it has no others; the list of datatrove.
SYMBOLS = (
    r"!/—”:％１〈&(、━\\【#%「」，】；+\^\]~“《„';’{|∶´\[=\-`*．（–？！：$～«〉,><》)?）。…@_.\"}►»"
    r"\x00-\x1f\x7f-\x9f\p{Sentence_Terminal}"
)
SENTENCE_ENDS = r"\p{Sentence_Terminal}．｡"
