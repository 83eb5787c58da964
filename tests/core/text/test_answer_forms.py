"""What form an answer has, on answers as benchmarks and training sets write them."""

from __future__ import annotations

import pytest

from datachef.core import answer_form, plain_kind


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        ("B", "letter"),
        ("(b)", "letter"),
        ("C.", "letter"),
        ("Yes", "yes_no"),
        ("false.", "yes_no"),
        ("yes it is", "text"),
        ("-3.5", "number"),
        ("$1,200", "number"),
        ("5 apples", "number"),
        ("2 of 3", "text"),
        ("Berlin", "text"),
        ("", "text"),
    ],
)
def test_the_kind_of_an_answer_that_stands_alone(answer: str, kind: str) -> None:
    assert plain_kind(answer) == kind


SOLUTION = "She sells 16 - 3 - 4 = 9 eggs a day. " * 3 + "She makes 9 * 2 = 18 dollars."


@pytest.mark.parametrize(
    ("answer", "form"),
    [
        ("C", "letter"),
        ("no", "yes_no"),
        ("18", "number"),
        ("not at all", "words"),
        ("the correct answer is answer2", "sentence with announced text"),
        ("The answer is (B).", "sentence with announced letter"),
        ("The cat sat on the mat.", "sentence"),
        (SOLUTION, "prose"),
        (f"{SOLUTION}\n#### 18", "prose with announced number"),
        (f"{SOLUTION} So \\boxed{{18}}.", "prose with boxed number"),
        ("```python\nx = 1\n```", "code"),
        ("def add(a, b):\n    return a + b", "code"),
        ("SELECT name FROM city", "code"),
        ("", "words"),
    ],
)
def test_the_form_of_an_answer(answer: str, form: str) -> None:
    assert answer_form(answer) == form
