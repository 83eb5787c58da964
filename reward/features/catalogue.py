"""What each feature means; the table of the documentation, and the names in explanations."""

from __future__ import annotations

from datachef.reward.features.signals import SIGNALS

MEANINGS = {
    "log_rows": "natural logarithm of the rows of the corpus plus 1",
    "log_tokens": "natural logarithm of the tokens of the corpus plus 1",
    "log_unique_tokens": "the same, every row counted once however often it is repeated",
    "budget_share": "tokens per token of the task's budget",
    "sources": "number of sources that are left in the corpus",
    "source_entropy": "entropy of the sources' shares of tokens, in bits",
    "epochs": "how often a row is taken, on average over tokens",
    "max_epochs": "how often a row of the most repeated source is taken",
    "synthetic_share": "share of rows that a language model made",
    "chat_share": "share of rows that are written as conversations",
    "duplicate_share": "share of rows whose text an earlier row of the sample has",
    "template_share": "the same, leaving aside digits, punctuation and case",
    "gram_entropy": "entropy of the hashed word unigrams and bigrams, in bits",
    "language_entropy": "entropy of the languages of rows, in bits",
    "contaminated_share": "share of rows that hold items of the benchmark",
    "target.bits_per_byte": "bits per byte of the examples' answers under the corpus's own n-grams",
    "target.coverage": "share of the longest n-grams of the examples' answers that occur",
    "target.cosine": "cosine of the hashed word n-grams of the corpus and of the examples",
    "target.divergence": "divergence of the examples' hashed word n-grams from the corpus's, bits",
    "target.language_share": "share of rows in the language of most examples",
    "target.shape_overlap": "overlap of the outlines of answers with those of the examples",
    "target.length_gap": "distance of the median log length of answers from the examples'",
    "verifier.value": "what the judges think of sampled rows, 0 to 1",
    "verifier.standard_error": "standard error of what the judges think",
}


def describe(name: str) -> str:
    """What a feature means; empty for a name that is none."""
    if name.startswith("share."):
        return f"share of the corpus's tokens that are of the source {name.removeprefix('share.')}"
    if ".q" in name:
        signal, quantile = name.rsplit(".q", 1)
        if signal in SIGNALS:
            return f"{int(quantile)} % quantile of: {SIGNALS[signal][0]}"
    return MEANINGS.get(name, "")
