"""The words that tell toxic English: regular expressions for whole words, in lower case.

Whether a word counts alone or only when it is said of somebody is decided in `toxicity`.
"""

from __future__ import annotations

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
