"""Options are scored by how probable the right one is among them, in whatever form."""

from __future__ import annotations

from typing import Any, cast

import numpy as np
import pytest

from datachef.core import BenchmarkItem
from datachef.reward.evaluation.choices import (
    LABEL_FORM,
    LETTER_FORM,
    TEXT_FORM,
    OptionQuestion,
    choice_chance,
    choice_scores,
    example_questions,
    question_forms,
)
from datachef.reward.evaluation.likelihoods import AnswerBits, AnswerModel
from datachef.reward.metrics import make_metric

LISTED = "Question: Where is milk kept?\nA. shop\nB. fridge\nC. car\nAnswer:"


class Fixed:
    """A model that needs a fixed number of bits for an answer, whatever was asked."""

    def __init__(self, **bits: float) -> None:
        self._bits = bits

    def answer_bits(self, pairs: list[tuple[str, str]]) -> AnswerBits:
        found = [self._bits[answer] for _, answer in pairs]
        sizes = [len(answer.encode()) for _, answer in pairs]
        return AnswerBits(np.array(found), np.array(sizes, dtype=float))


def scores(model: Fixed, questions: list[OptionQuestion]) -> dict[str, float]:
    return choice_scores(cast(AnswerModel, model), questions)


def test_listed_options_have_a_letter_form_and_a_text_form() -> None:
    metric = make_metric("multiple_choice")
    item = BenchmarkItem(LISTED, "B", ("shop", "fridge", "car"))
    forms = question_forms([item], type(metric).choices([item]), metric)
    assert forms == {
        LETTER_FORM: [OptionQuestion(LISTED, ("A", "B", "C"), (1,))],
        TEXT_FORM: [
            OptionQuestion(
                "Question: Where is milk kept?\nAnswer:", ("shop", "fridge", "car"), (1,), True
            )
        ],
    }


def test_a_probability_is_that_among_the_options() -> None:
    letters = [OptionQuestion("?", ("A", "B", "C"), (1,))]
    found = scores(Fixed(A=3, B=2, C=3), letters)
    assert found["choice_probability"] == pytest.approx(0.5)
    assert found["choice_bits"] == pytest.approx(1)
    assert found["choice_accuracy"] == 1
    texts = [OptionQuestion("?", ("ox", "goat"), (0,), by_byte=True)]
    assert scores(Fixed(ox=6, goat=8), texts)["choice_probability"] == pytest.approx(1 / 3)
    assert choice_chance(letters) == pytest.approx(1 / 3)


def test_who_always_says_the_same_is_at_chance() -> None:
    questions = [OptionQuestion("?", ("yes", "no"), (int(n < 3),)) for n in range(10)]
    for model in (Fixed(yes=0, no=60), Fixed(yes=60, no=0), Fixed(yes=5, no=5)):
        assert scores(model, questions)["choice_probability"] == pytest.approx(0.5)
    assert choice_chance(questions) == pytest.approx(0.5)
    # Where options differ from question to question, there is nothing that could be always said.
    mixed = [*questions, OptionQuestion("?", ("yes", "no", "who"), (2,))]
    assert choice_chance(mixed) == pytest.approx((10 / 2 + 1 / 3) / 11)


@pytest.mark.parametrize(
    ("metric", "answers", "form"),
    [
        ("yes_no", ["no", "yes", "yes"], LABEL_FORM),
        ("label", ["good", "bad", "good"], LABEL_FORM),
        ("exact_match", ["six", "two", "one"], None),
    ],
)
def test_labels_are_what_the_benchmark_says(
    metric: str, answers: list[str], form: str | None
) -> None:
    made = make_metric(metric)
    items = [BenchmarkItem("?", answer) for answer in answers]
    choices = type(made).choices(items)
    if form is None:
        assert choices == [None] * 3
        return
    (questions,) = question_forms(items, cast(Any, choices), made).values()
    assert [q.options[q.right[0]] for q in questions] == answers


def test_examples_are_questions_of_the_form_whatever_their_words() -> None:
    raw = "Which is true? Answer1: Ice is hot. Answer2: Ice is cold.\n\nAnswer format: answer1/2"
    examples = [
        BenchmarkItem(raw, "the correct answer is answer2"),
        BenchmarkItem("Which?", "nobody knows"),
    ]
    metric = make_metric("multiple_choice")
    assert example_questions(examples, LETTER_FORM, (), metric) == [
        OptionQuestion(raw, ("A", "B"), (1,))
    ]
    (text,) = example_questions(examples, TEXT_FORM, (), metric)
    assert (text.options, text.right, text.by_byte) == (("Ice is hot.", "Ice is cold."), (1,), True)
    assert "Answer1" not in text.prompt
    said = [BenchmarkItem("?", "True"), BenchmarkItem("?", "0")]
    found = example_questions(said, LABEL_FORM, ("yes", "no"), make_metric("yes_no"))
    assert [question.right for question in found] == [(0,), (1,)]
