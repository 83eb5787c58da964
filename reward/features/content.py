"""Rows as the features see them: a question, an answer, and how much they count."""

from __future__ import annotations

import polars as pl

from datachef.core.text.conversations import as_text
from datachef.reward.sample.kitchen import SampledCorpus

# Statistics of content are taken from the beginning of long texts.
CHARACTERS = 2000


def questions_and_answers(corpus: SampledCorpus) -> pl.DataFrame:
    """`question` and `answer` of each row: the last turn of a conversation and what comes before
    it, or nothing and the text of a document. Both are cut, the question at its beginning.

    Conversations that are written as text, as beside documents, teach no answers: they count as
    the documents that they become.
    """
    rows = corpus.rows
    answer = pl.col("text")
    question = pl.lit("")
    if written_as_chat(corpus):
        turns = pl.col("messages").list
        before = rows.select(turns.head(turns.len() - 1))["messages"]
        chat = pl.col("messages").is_not_null()
        answer = pl.when(chat).then(as_text(rows["messages"].list.tail(1))).otherwise(answer)
        question = pl.when(chat).then(as_text(before)).otherwise(question)
    return rows.select(
        question.fill_null("").str.tail(CHARACTERS).alias("question"),
        answer.fill_null("").str.head(CHARACTERS).alias("answer"),
    )


def written_as_chat(corpus: SampledCorpus) -> bool:
    """Whether the corpus is written as conversations."""
    return corpus.schema != "text" and "messages" in corpus.rows.columns


def unique_weight(corpus: SampledCorpus) -> pl.Series:
    """How many different rows of the whole corpus each row of the sample stands for."""
    epochs = {name: max(source.epochs, 1.0) for name, source in corpus.sources.items()}
    repeated = pl.col("source").replace_strict(epochs, return_dtype=pl.Float64)
    return corpus.rows.select(pl.col("weight") / repeated)["weight"]
