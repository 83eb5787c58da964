from __future__ import annotations

import gzip
import json

import polars as pl
import pytest

from datachef.core import turns_column
from datachef.core.run.signals import decide, measure
from datachef.core.text.conversations import with_text
from datachef.operators.filters.conversations.conversation_filter import ConversationFilter
from datachef.operators.filters.conversations.refusal_filter import RefusalFilter


def rows(*conversations):
    """Conversations written as pairs of role initial and content; a string is a plain row."""
    roles = {"s": "system", "u": "user", "a": "assistant", "t": "tool"}
    turns = [
        None if isinstance(talk, str) else
        [{"role": roles[role], "content": content, **more} for role, content, *rest in talk
         for more in [rest[0] if rest else {}]]
        for talk in conversations
    ]  # fmt: skip
    texts = [talk if isinstance(talk, str) else "" for talk in conversations]
    return with_text(pl.DataFrame({"text": texts}).with_columns(turns_column(turns)))


def reasons_of(operator, batch):
    return decide(operator, batch.hstack(measure(operator, batch))).to_list()


HELLO = [("u", "hello"), ("a", "hi")]
CALL = {"tool_calls": [{"type": "function", "function": {"name": "f", "arguments": {}}}]}


@pytest.mark.parametrize(
    ("talk", "reason"),
    [
        (HELLO, None),
        ([("s", "be kind"), *HELLO, *HELLO], None),
        ("plain text", "no_conversation"),
        ([], "too_few_turns"),
        ([("s", "be kind"), ("u", "hello")], "too_few_turns"),
        ([("u", "hello"), ("a", " \n")], "empty_turn"),
        ([("a", "hi"), *HELLO], "user_not_first"),
        ([*HELLO, ("u", "bye")], "no_answer_at_the_end"),
        ([("u", "hello"), ("u", "hello?"), ("a", "hi")], "not_alternating"),
        ([*HELLO, ("s", "be rude"), *HELLO], "not_alternating"),
        ([("u", "?"), ("a", None, CALL), ("t", "1"), ("t", "2"), ("a", "12")], None),
        (HELLO * 6, "too_many_turns"),
    ],
)
def test_structure(talk, reason):
    assert reasons_of(ConversationFilter(max_turns=10), rows(talk, HELLO)) == [reason, None]


def test_what_is_not_asked_for_does_not_matter():
    lax = ConversationFilter(
        min_turns=0,
        user_first=False,
        alternating=False,
        ends_with_assistant=False,
        drop_empty_turns=False,
    )
    assert reasons_of(lax, rows([("a", ""), ("a", "hi"), ("u", "")], [])) == [None, None]


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ("As an AI language model, I have no opinions.", "As an AI"),
        ("I’m sorry, but I can’t help with that.", "I'm sorry, but"),
        ("Unfortunately I cannot provide\nmedical advice.", "I cannot provide"),
        ("Sorry, I won't.", "Sorry, I"),
        ("I am not able to browse the web.", "I am not able to browse"),
        ("It is illegal to park here.", ""),
        ("He said he was sorry, but late.", ""),
        ("I can't stand it, she cried.", ""),
        ("The film is about racism and what is illegal.", ""),
        ("x " * 150 + "As an AI language model, I end.", ""),
    ],
)
def test_refusals(answer, words):
    question = [("u", "I'm sorry, but I cannot help myself?"), ("a", "Go on.")]
    batch = rows(answer, [*question, ("u", "?"), ("a", answer)], question)
    operator = RefusalFilter()
    reason = "refusal" if words else None
    assert reasons_of(operator, batch) == [reason, reason, None]
    assert operator.details(batch).to_list() == [words, words, ""]


def test_refusals_among_real_answers(shared_data):
    with gzip.open(shared_data / "pool" / "alpaca_5000.jsonl.gz", "rt", encoding="utf-8") as lines:
        answers = [json.loads(line)["output"] for line in lines]
    batch = pl.DataFrame({"text": answers})
    found = measure(RefusalFilter(), batch)["refusals"] > 0
    refused = batch.filter(found)["text"].to_list()
    assert 3 <= len(refused) <= 60
    assert not any(text.startswith("Sorry for") for text in refused)
