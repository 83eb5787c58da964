from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, strategies as st

from datachef.core import (
    BenchmarkFile,
    CheckContext,
    Host,
    Task,
    options_in_prompt,
    read_benchmark,
)
from datachef.operators.adaptation.answer_form import AnswerForm
from datachef.operators.adaptation.answers import split_answer, the_number, wording_of

INLINE = (
    "What do bees make?\n\nAnswer1: silk Answer2: honey Answer3: wool\n\nAnswer format: answer1"
)
LISTED = "What do bees make?\n(a) silk\n(b) honey\n(c) wool"
BULLETS = "What do bees make?\\nOptions:\\n- silk\\n- honey\\n- wool Let's think first."
NUMBERS = "What do bees make?\n1. silk\n2. honey\n3. wool"
BARE = "What do bees make?"


@pytest.mark.parametrize(
    "answer",
    [
        "answer2", "the correct answer is answer2", "B", "(b)", "(B) honey", "Option 2.",
        "honey", "So, the answer is honey.", "Bees collect nectar.\n#### B", r"\boxed{\text{B}}",
        "Bees are insects. Therefore, the correct answer is (B).", "The answer is **B**.",
    ],
)  # fmt: skip
@pytest.mark.parametrize("prompt", [INLINE, LISTED, BULLETS, NUMBERS])
def test_an_option_named_in_any_way_is_its_letter_or_its_text(
    prompt: str, answer: str, adapt: Any, exchange: Any
) -> None:
    chat = [exchange(prompt, answer)]
    assert adapt(AnswerForm(form="letter"), chat).answers() == {"0": "B"}
    assert adapt(AnswerForm(form="letter_in_parentheses"), chat).answers() == {"0": "(B)"}
    assert adapt(AnswerForm(form="option"), chat).answers() == {"0": "honey"}


FIELDS = [
    {"choices": json.dumps(["silk", "honey", "wool"])},
    {"choices": json.dumps({"text": ["silk", "honey", "wool"], "label": ["1", "2", "3"]})},
    {"options": json.dumps({"A": "silk", "B": "honey", "C": "wool"})},
    {"options": json.dumps(["A) silk", "B) honey", "C) wool"])},
    {"question": json.dumps({"stem": "?", "choices": [{"label": "A", "text": "silk"},
        {"label": "B", "text": "honey"}, {"label": "C", "text": "wool"}]})},
    {"choice1": "silk", "choice2": "honey"},
    {"ending0": "silk", "ending1": "honey"},
    {"optionA": "silk", "optionB": "honey"},
    {"A": "silk", "B": "honey", "C": "wool"},
]  # fmt: skip


@pytest.mark.parametrize("fields", FIELDS)
def test_options_are_found_in_fields(fields: dict[str, str], adapt: Any, exchange: Any) -> None:
    columns = {name: [value] * 3 for name, value in fields.items()}
    chats = [exchange(BARE, answer) for answer in ("honey", "B", "2")]
    assert set(adapt(AnswerForm(form="option"), chats, columns).answers().values()) == {"honey"}


def test_a_bare_number_counts_from_where_it_is_said_to(adapt: Any, exchange: Any) -> None:
    columns = {"choice1": ["silk"] * 2, "choice2": ["honey"] * 2}
    chats = [exchange(BARE, answer) for answer in ("1", "2")]
    assert adapt(AnswerForm(form="letter"), chats, columns).answers() == {"0": "A", "1": "B"}
    found = adapt(AnswerForm(form="letter", numbered_from=0), chats, columns)
    assert found.answers() == {"0": "B"}
    assert found.dropped == {"1": "names_no_single_option"}


def test_what_names_no_option_is_dropped_with_a_reason(adapt: Any, exchange: Any) -> None:
    columns = {"choices": [json.dumps(["silk", "honey", "honey"])] * 4 + [None]}
    answers = ["wax", "silk or honey", "D", "honey", "honey"]
    found = adapt(AnswerForm(form="letter"), [exchange(BARE, a) for a in answers], columns)
    assert found.dropped == {
        "0": "names_no_single_option",
        "1": "names_no_single_option",
        "2": "names_no_single_option",
        "3": "names_no_single_option",  # two options have this text
        "4": "no_options",
    }
    silent = adapt(AnswerForm(form="letter"), [[{"role": "user", "content": "?"}]])
    assert silent.dropped == {"0": "no_answer"}


@pytest.mark.parametrize(
    ("answer", "number"),
    [
        ("He has 3 + 4 = 7.\n#### 1,007", "1007"),
        ("The answer is $15,400.00.", "15400"),
        (r"Thus $x = \boxed{\frac{3}{4}}$.", "0.75"),
        ("The answer is 3 1/2 hours.", "3.5"),
        ("The answer is 25%.", "25"),
        ("It takes 120/24 = 5 hours to read 120 pages.", "5"),
        ("-2", "-2"),
        ("the answer is 2 + 3 = 5", "5"),
        ("The answer is 4.0", "4"),
        ("The answer is 1/3.", None),
        ("The answer is 86 glasses and 42 plates.", None),
        ("The answer is unknown.", None),
        ("There is no number here.", None),
    ],
)
def test_a_number_is_plain_digits(answer: str, number: str | None) -> None:
    assert the_number(split_answer(answer)) == number


@given(st.integers(-(10**12), 10**12), st.sampled_from(["{:,}", "{}", "${:,}", "{} apples"]))
def test_every_whole_number_is_found_again(number: int, written: str) -> None:
    text = written.format(number).replace("$-", "-$")
    assert the_number(split_answer(f"They add up.\nThe answer is {text}.")) == str(number)


SOLUTION = "She sold 48/2 = 24 clips.\n\nSo, the answer is 72."


@pytest.mark.parametrize(
    ("wording", "line"),
    [
        ("bare", "72"),
        ("answer_is", "The answer is 72."),
        ("correct_answer_is", "the correct answer is 72"),
        ("answer_colon", "Answer: 72"),
        ("final_answer_colon", "Final answer: 72"),
        ("hashes", "#### 72"),
        ("boxed", r"\boxed{72}"),
    ],
)
def test_a_solution_goes_or_ends_in_the_words_of_the_benchmark(
    wording: Any, line: str, adapt: Any, exchange: Any
) -> None:
    chat = [exchange("How many?", SOLUTION)]
    kept = AnswerForm(form="number", solution="keep", wording=wording)
    assert adapt(kept, chat).answers() == {"0": f"She sold 48/2 = 24 clips.\n{line}"}
    assert adapt(AnswerForm(form="number", wording=wording), chat).answers() == {"0": line}
    assert adapt(kept, [exchange("?", line)]).answers() == {"0": line}


@pytest.mark.parametrize(
    ("answer", "solution"),
    [
        ("1120 The final answer: (C).", "1120\nC"),
        ("Yes. Bees make it.", "C"),
        ("x = y\n#### C", "x = y\nC"),
        ("Let x. Thus, the answer is (C).\nI hope it helps.", "Let x.\nI hope it helps.\nC"),
    ],
)
def test_only_the_final_statement_is_replaced(
    answer: str, solution: str, adapt: Any, exchange: Any
) -> None:
    operator = AnswerForm(form="letter", solution="keep")
    columns = {"choices": [json.dumps(["silk", "wax", "Yes. Bees make it."])]}
    assert adapt(operator, [exchange(BARE, answer)], columns).answers() == {"0": solution}


def test_line_breaks_that_are_written_out_are_made(adapt: Any, exchange: Any) -> None:
    operator = AnswerForm(form="number", solution="keep", wording="answer_is")
    chats = [
        exchange("?", r"2 * 3 = 6\n6 + 1 = 7 So, the answer is 7."),
        exchange("?", r"x \neq 0, so \frac{14}{2}\nis it. The answer is 7."),
    ]
    assert adapt(operator, chats).answers() == {
        "0": "2 * 3 = 6\n6 + 1 = 7\nThe answer is 7.",
        "1": "x \\neq 0, so \\frac{14}{2}\\nis it.\nThe answer is 7.",
    }


def test_yes_and_no(adapt: Any, exchange: Any) -> None:
    chats = [
        exchange(BARE, answer)
        for answer in (
            "True", "the correct answer is false", "Yes. Bees do.", "1", "0", "Perhaps.", "10",
        )
    ]  # fmt: skip
    found = adapt(AnswerForm(form="yes_no", solution="keep"), chats)
    assert found.answers() == {"0": "yes", "1": "no", "2": "Bees do.\nyes", "3": "yes", "4": "no"}
    assert found.dropped == {"5": "neither_yes_nor_no", "6": "neither_yes_nor_no"}
    upper = adapt(AnswerForm(form="true_false", capitalize=True), chats)
    assert upper.answers() == {"0": "True", "1": "False", "2": "True", "3": "True", "4": "False"}


def test_labels_texts_and_code(adapt: Any, exchange: Any) -> None:
    label = AnswerForm(form="label", labels=("positive", "negative"))
    chats = [exchange("?", a) for a in ("The sentiment is Positive.", "positive, not negative")]
    found = adapt(label, chats)
    assert found.answers() == {"0": "positive"}
    assert found.dropped == {"1": "no_single_label"}
    text = [exchange("?", a) for a in ("So the answer is x + 1.", "Many words.\nAnd more of them.")]
    found = adapt(AnswerForm(form="text"), text)
    assert found.answers() == {"0": "x + 1"}
    assert found.dropped == {"1": "no_final_answer"}
    code = exchange("?", "Here it is:\n```python\ndef f():\n    return 1\n```\nDone.")
    found = adapt(AnswerForm(form="code"), [code])
    assert found.answers() == {"0": "def f():\n    return 1"}


def test_rows_whose_answer_is_wrong_are_dropped_by_their_gold_field(
    adapt: Any, exchange: Any
) -> None:
    operator = AnswerForm(form="number", gold="answer")
    chats = [exchange("?", "The answer is 98."), exchange("?", "The answer is 70.")]
    found = adapt(operator, chats, {"answer": ["70.0", "70.0"]})
    assert found.answers() == {"1": "70"}
    assert found.dropped == {"0": "differs_from_gold"}
    assert {"answer", "messages"} <= operator.reads()
    without_gold = AnswerForm(form="number", gold="")
    assert adapt(without_gold, chats, {"answer": ["70.0", "70.0"]}).answers() == {
        "0": "98", "1": "70",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("form", "column", "value", "kept"),
    [
        ("number", "answer", "70.0", False),
        ("number", "answer", "98", True),
        ("number", "answer", "see above", True),  # which is no answer in the form
        ("number", "grade", "70", True),
        ("letter", "answerKey", "B", False),
        ("letter", "answer", "1", True),  # from 0 or from 1: who knows
        ("text", "answer", "another", True),
    ],
)
def test_a_gold_field_of_the_usual_name_is_found(
    form: str, column: str, value: str, kept: bool, adapt: Any, exchange: Any
) -> None:
    said = {"number": "The answer is 98.", "letter": "The answer is (A).", "text": "Answer: 3"}[
        form
    ]
    prompt = "Which?\nA) one\nB) two"
    found = adapt(AnswerForm(form=form), [exchange(prompt, said)], {column: [value]})
    assert bool(found.answers()) is kept
    assert kept or found.dropped == {"0": "differs_from_gold"}


def test_thoughts_stay_with_the_solution(adapt: Any, exchange: Any) -> None:
    chat = [exchange("?", "<think>The answer is 3? No.</think>\nThe answer is 4.")]
    assert adapt(AnswerForm(form="number"), chat).answers() == {"0": "4"}
    kept = adapt(AnswerForm(form="number", solution="keep"), chat).answers()
    assert kept == {"0": "<think>The answer is 3? No.</think>\n4"}


TASKS = {
    "math_gsm8k": ("number_match", "number"),
    "math_mc_aqua": ("multiple_choice", "letter"),
    "science_arc": ("multiple_choice", "letter"),
    "commonsense_csqa": ("multiple_choice", "letter"),
    "commonsense_strategyqa": ("yes_no", "yes_no"),
    "reasoning_logical_deduction": ("multiple_choice", "letter"),
    "finance_sentiment": ("label", "label"),
    "physics_scibench": ("number_tolerance", "number"),
    "language_cola": ("yes_no", "yes_no"),
    "multilingual_xcopa": ("multiple_choice", "letter"),
    "code_mbpp": ("unit_tests", "code"),
}


@pytest.mark.parametrize("name", TASKS)
@pytest.mark.parametrize("with_metric", [True, False])
def test_the_task_says_which_form(name: str, with_metric: bool, shared_data: Path) -> None:
    metric, form = TASKS[name]
    entry = next(
        t for t in json.loads((shared_data / "tasks.json").read_text()) if t["name"] == name
    )
    choices = "choices" if metric in ("multiple_choice", "label") else None
    benchmark = BenchmarkFile(path=str(shared_data / entry["test"]), choices=choices)
    task = Task(name=name, metric=metric, benchmark=benchmark)
    if with_metric:
        task = task.scored_by(Host().vocabulary.metrics[metric])
    elif metric in ("unit_tests", "label"):
        return
    filled = AnswerForm().for_task(task)
    assert filled.form == form
    assert filled.labels == (("negative", "neutral", "positive") if form == "label" else ())
    assert AnswerForm(form="text").for_task(task).form == "text"


def test_the_examples_say_in_which_words(shared_data: Path) -> None:
    task = Host().vocabulary.task(
        {
            "name": "gsm8k",
            "metric": "number_match",
            "benchmark": {"path": str(shared_data / "bench/gsm8k.test.jsonl.gz")},
            "examples": {
                "path": str(shared_data / "pool/gsm8k_train.jsonl.gz"), "prompt": "question",
            },
        }
    )  # fmt: skip
    filled = AnswerForm().for_task(task)
    assert (filled.form, filled.wording, filled.solution) == ("number", "hashes", "keep")


def test_of_a_chosen_answer_the_benchmark_says_in_which_words(shared_data: Path) -> None:
    """Of `the correct answer is answer2` in the examples the benchmark wants `B`."""
    task = Host().vocabulary.task(
        {
            "name": "arc",
            "metric": "multiple_choice",
            "benchmark": {
                "path": str(shared_data / "bench/arc_challenge.test.jsonl.gz"),
                "choices": "choices",
            },
            "examples": {
                "path": str(shared_data / "pool/arc_challenge_train.jsonl.gz"),
                "prompt": "instruction",
                "answer": "output",
            },
        }
    )
    assert wording_of(read_benchmark(task.examples)[0].answer) == "correct_answer_is"
    filled = AnswerForm().for_task(task)
    assert (filled.form, filled.wording, filled.solution) == ("letter", None, "drop")


def test_without_a_form_it_says_what_to_do() -> None:
    context = CheckContext(frozenset({"messages"}), {})
    [(parameter, message, hint)] = AnswerForm().check(context)
    assert parameter == ""
    assert "no task says" in message
    assert "form" in hint
    assert not list(AnswerForm(form="letter").check(context))


def test_options_end_where_the_question_goes_on() -> None:
    found = options_in_prompt("Q\nA) one two\nB) three\n\nThink hard.")
    assert found is not None
    assert found.texts == ("one two", "three")
    assert options_in_prompt("Plan A. Then, in A) we see. Nothing else.") is None
