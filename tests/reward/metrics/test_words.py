from __future__ import annotations

import pytest

from datachef.core import BenchmarkItem, DatachefError
from datachef.core.text.final_answers import (
    announced_answer,
    boxed_answer,
    mentioned,
    normalised_answer,
)
from datachef.reward.metrics import make_metric


def verdicts(metric: str, item: BenchmarkItem, responses: list[str]) -> list[bool]:
    judge = make_metric(metric)
    return [judge.score(response, item) for response in responses]


EXACT = BenchmarkItem("?", "New York\nNYC")
CHOICE = BenchmarkItem("?", "B", ("sand", "snow", "sandstone", "Rr", "rr"))
LABEL = BenchmarkItem("?", "neutral", ("positive", "negative", "neutral"))
OPEN_LABEL = BenchmarkItem("?", "neutral")
RIGHT = [
    ("exact_match", EXACT, ["new  york.", '"NYC"', "**New York**", "The answer is New York.",
                            r"\boxed{NYC}", "ＮＹＣ", "New York\nNYC"]),
    ("multiple_choice", CHOICE, ["B", "b", "(b)", "B) snow", "Snow.", "It must be snow",
                                 "Answer: B because sand is yellow", "B\n\nSand is yellow",
                                 "A and C are out, so option B", "\n**B**\n"]),
    ("label", LABEL, ["Neutral", "neutral, since nothing happens", "The tone is neutral.",
                      "Not positive.\nAnswer: neutral"]),
    ("label", OPEN_LABEL, ["Neutral.", "neutral - it states facts", "The answer is neutral"]),
    ("yes_no", BenchmarkItem("?", "true"), ["Yes", "yes, no doubt", "True.", "I say yes",
                                            "No wait.\nThe answer is: yes"]),
    ("yes_no", BenchmarkItem("?", "N"), ["no", "False", "No, yes is wrong", "That is false."]),
]  # fmt: skip
WRONG = [
    ("exact_match", EXACT, ["York", "New York City", "", "I think New York", "New-York"]),
    ("exact_match", BenchmarkItem("?", "-5"), ["5", "+5", "-5.0"]),
    ("exact_match", BenchmarkItem("?", "C++"), ["C", "C#"]),
    ("multiple_choice", CHOICE, ["A", "", "sandstone", "A) sand\nB) snow", "snow or sand", "F",
                                 "Before", "A. snow", "(A) or (B)", "A or B", "blizzard"]),
    ("label", LABEL, ["positive", "", "neutral-ish? negative", "neither positive nor neutral",
                      "neutralised"]),
    ("label", OPEN_LABEL, ["It is not neutral", "", "neutrality"]),
    ("yes_no", BenchmarkItem("?", "true"), ["No", "", "Perhaps yes or no", "nothing", "eyes"]),
]  # fmt: skip


@pytest.mark.parametrize(("metric", "item", "responses"), RIGHT)
def test_what_is_right(metric: str, item: BenchmarkItem, responses: list[str]) -> None:
    assert dict(zip(responses, verdicts(metric, item, responses), strict=True)) == dict.fromkeys(
        responses, True
    )


@pytest.mark.parametrize(("metric", "item", "responses"), WRONG)
def test_what_is_wrong(metric: str, item: BenchmarkItem, responses: list[str]) -> None:
    assert dict(zip(responses, verdicts(metric, item, responses), strict=True)) == dict.fromkeys(
        responses, False
    )


def test_gold_options_are_letters_or_texts() -> None:
    options = ("A) 15", "B) 5", "C) 6")
    for gold in ("B", "b", "(B)", "B.", "5", "5."):
        item = BenchmarkItem("?", gold, options)
        assert verdicts("multiple_choice", item, ["B", "5", "B) 5", "A", "15"]) == [
            True, True, True, False, False,
        ]  # fmt: skip
    for gold in ("1", "D", ""):
        with pytest.raises(DatachefError, match="no letter and no option"):
            make_metric("multiple_choice").score("A", BenchmarkItem("?", gold, options))


def test_case_tells_options_apart_that_nothing_else_does() -> None:
    item = BenchmarkItem("?", "D", CHOICE.choices)
    assert verdicts("multiple_choice", item, ["Rr", "rr"]) == [True, False]


def test_an_option_that_stands_twice_is_right_twice() -> None:
    item = BenchmarkItem("?", "C", ("6", "7", "6"))
    assert verdicts("multiple_choice", item, ["A", "B", "C", "6"]) == [True, False, True, True]


def test_letters_count_without_options() -> None:
    item = BenchmarkItem("Pick.\nA. x\nB. y", "B")
    assert verdicts("multiple_choice", item, ["B", "The answer is B", "A", "y"]) == [
        True, True, False, False,
    ]  # fmt: skip


def test_a_gold_answer_that_is_neither_yes_nor_no_is_an_error() -> None:
    with pytest.raises(DatachefError, match="neither yes nor no"):
        make_metric("yes_no").score("yes", BenchmarkItem("?", "maybe"))


@pytest.mark.parametrize(
    ("text", "content"),
    [(r"\boxed{5}", "5"), (r"\boxed{\frac{1}{2}} and \boxed{3", r"\frac{1}{2}"), ("5", None),
     (r"\boxed{1} \boxed{ 2 }", "2"), (r"\boxed{a\}b}", r"a\}b"), (r"{\boxed{5}", "5")],
)  # fmt: skip
def test_the_last_box_counts_whole(text: str, content: str | None) -> None:
    assert boxed_answer(text) == content


@pytest.mark.parametrize(
    ("text", "line"),
    [("The answer is 5. It is.", "5. It is."), ("**Answer:** B\nbecause", "B"), ("5", None),
     ("x\n#### 5", "5"), ("Answer:\n\n  yes", "yes"), ("answer is A. The answer is B", "B"),
     ("the answer", None), ("The final answer, then, would be: no", "no")],
)  # fmt: skip
def test_announcements(text: str, line: str | None) -> None:
    assert announced_answer(text) == line


def test_normalisation_keeps_what_makes_a_difference() -> None:
    assert normalised_answer("  The\tEnd. ") == "the end"
    assert normalised_answer("−5") == "-5" != normalised_answer("5")
    assert normalised_answer(".5") == ".5"
    assert normalised_answer("...") == "..."


def test_the_longest_option_is_the_one_that_is_mentioned() -> None:
    options = ("sand", "wet sand", "snow")
    assert mentioned("It is WET SAND!", options) == 1
    assert mentioned("sand", options) == 0
    assert mentioned("sandy", options) is None
    assert mentioned("wet sand on sand", options) is None
    assert mentioned("", options) is None
