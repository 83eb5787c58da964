"""An answer that follows from its instruction has a score below 1, another one above."""

from __future__ import annotations

import polars as pl
import pytest

from datachef.core import turns_column
from datachef.operators.filters.ifd_filter import IFDFilter

pytestmark = pytest.mark.usefixtures("smollm2")


def conversations(*turns):
    rows = [
        [{"role": role, "content": content} for role, content in zip(roles, said, strict=True)]
        for roles, said in turns
    ]
    return turns_column(rows)


PAIR = ("user", "assistant")
QUESTION = "What is the capital of France?"


@pytest.fixture
def batch():
    messages = conversations(
        (PAIR, (QUESTION, "The capital of France is Paris.")),
        (PAIR, (QUESTION, "Bananas are rich in potassium.")),
        (("user",), (QUESTION,)),
        (PAIR, (QUESTION, "")),
        (("user", "assistant", *PAIR), ("Hello!", "Hi.", QUESTION, "It is Paris.")),
    )
    return pl.DataFrame({"text": ["t"] * 5, "messages": messages})


def test_scores_and_reasons(batch):
    operator = IFDFilter(min=0.05)
    scores = operator.signals()["ifd"](batch)
    found = scores.to_list()
    assert found[0] == pytest.approx(0.149, abs=0.01)
    assert found[1] == pytest.approx(1.247, abs=0.05)
    assert found[2:4] == [None, None]
    assert found[4] < 0.5
    rules = operator.rules()
    table = scores.to_frame().select(**rules)
    fired = [next((name for name in rules if row[name]), None) for row in table.to_dicts()]
    assert fired == [
        None, "answer_not_from_instruction", "no_answer_to_score", "no_answer_to_score", None
    ]  # fmt: skip


def test_the_answer_and_the_end_of_the_instruction_are_read(batch):
    """What is cut is the same in both losses: the score is of the tokens that are read."""
    long = "Think of Europe. " * 200 + QUESTION
    answer = "The capital of France is Paris."
    rows = conversations((PAIR, (long, answer)), (PAIR, (QUESTION, answer * 50)))
    found = IFDFilter(max_tokens=64).signals()["ifd"](pl.DataFrame({"messages": rows}))
    assert found[0] < 0.5
    assert 0 < found[1] < 1
