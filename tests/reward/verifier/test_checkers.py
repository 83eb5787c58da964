"""What the exact checkers say, and where they leave it to the judge."""

from __future__ import annotations

import gzip
import json
import random
import re
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given, strategies as st

from datachef.core import BenchmarkItem, Task
from datachef.reward.verifier import SampledRow
from datachef.reward.verifier.checkers import (
    ArithmeticChecker,
    ConversationChecker,
    PythonChecker,
    ReadableChecker,
    equations,
    exact_checkers,
    gold_checker,
    holds,
)


def document(text: str) -> SampledRow:
    return SampledRow("id", "s", text)


def chat(*turns: tuple[str, str]) -> SampledRow:
    return SampledRow("id", "s", "\n\n".join(content for _, content in turns), turns)


def answering(answer: str, question: str = "q") -> SampledRow:
    return chat(("user", question), ("assistant", answer))


def grade(checker: Any, row: SampledRow) -> str | None:
    verdict = checker.check(row)
    assert verdict is None or verdict.reason
    return verdict and str(verdict.grade)


def read_rows(path: Path) -> list[dict[str, Any]]:
    raw = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    return [json.loads(line) for line in raw.splitlines() if line.strip()]


@pytest.mark.parametrize(
    "text",
    ["", " \n\t", "?!... --- !!!", "\ufffd\ufffd a", "ÐŸÑ€Ð¸Ð²ÐµÑ‚ Ð¼Ð¸Ñ€", "a\x00\x01\x02"],
)
def test_unreadable_rows_are_invalid(text: str) -> None:
    assert grade(ReadableChecker(), document(text)) == "invalid"


@pytest.mark.parametrize(
    "text",
    ["a", "42", "1 + 1 = 2", "Привет", "你好", "مرحبا", "if x:\n\treturn", "x" * 99 + "\ufffd"],
)
def test_readable_rows_are_left_to_the_judge(text: str) -> None:
    assert grade(ReadableChecker(), document(text)) is None


def test_text_in_a_wrong_encoding_is_told_from_the_right_one(shared_data: Path) -> None:
    texts = [
        row["text"][:600]
        for row in read_rows(shared_data / "multilingual" / "udhr.jsonl.gz")
        if sum(not letter.isascii() for letter in row["text"][:600]) > 120
    ][:150]
    garbled = [text.encode().decode("latin-1") for text in texts]
    assert len(texts) > 50
    assert [t for t in texts if grade(ReadableChecker(), document(t))] == []
    assert [t for t in garbled if not grade(ReadableChecker(), document(t))] == []


@pytest.mark.parametrize(
    "roles",
    ["", "u", "a", "s", "uau", "uua", "uaa", "sa", "uasua", "aua", "ssua"],
)
def test_turns_that_do_not_alternate_are_malformed(roles: str) -> None:
    names = {"u": "user", "a": "assistant", "s": "system"}
    row = SampledRow("id", "s", "x", tuple((names[role], "x") for role in roles))
    assert grade(ConversationChecker(), row) == "format"


@pytest.mark.parametrize("roles", ["ua", "sua", "uaua", "suaua"])
def test_conversations_as_they_should_be(roles: str) -> None:
    names = {"u": "user", "a": "assistant", "s": "system"}
    turns = [(names[role], f"turn {n}") for n, role in enumerate(roles)]
    assert grade(ConversationChecker(), chat(*turns)) is None
    for place, (role, _) in enumerate(turns):
        emptied = [*turns[:place], (role, " \n"), *turns[place + 1 :]]
        expected = None if role == "system" else "format"
        assert grade(ConversationChecker(), chat(*emptied)) == expected


def test_tools_and_documents_are_left_to_the_judge() -> None:
    turns = [("user", "x"), ("assistant", ""), ("tool", "y"), ("assistant", "z")]
    assert grade(ConversationChecker(), chat(*turns)) is None
    assert grade(ConversationChecker(), chat(*turns[:3])) == "format"
    assert grade(ConversationChecker(), chat(*turns[:3], ("assistant", " "))) == "format"
    assert grade(ConversationChecker(), document("x")) is None


def test_rows_as_they_come_from_a_frame() -> None:
    data = {"id": "a", "source": "s", "text": None, "messages": [{"role": "user", "content": None}]}
    assert SampledRow.of(data) == SampledRow("a", "s", "", (("user", ""),))
    assert SampledRow.of(data | {"messages": None}).turns is None
    assert SampledRow.of({"id": "a", "source": "s", "text": "t"}) == SampledRow("a", "s", "t")
    turns = (("user", "q"), ("assistant", "one"), ("user", "r"), ("assistant", "two"))
    assert chat(*turns).answer == "one\n\ntwo"


FALSE = [
    "He eats <<16-3-4=8>>8 eggs.",
    "So 16 - 3 - 4 = 8.",
    "3 + 4 = 8",
    "It is (3 + 4) * 2 = 15 in all",
    "total = 3 * 4 = 13",
    "$5 * 3 = $16",
    "1,200 + 300 = 1,600",
    "3 × 4 = 13",
    "3 x 4 = 13",
    "10 ÷ 4 = 3.5",
    r"3 \times 4 = 13",
    "10 / 3 = 3.35",
    "20% * 50 = 11",
    "<<50*10%=6>>",
    "0.1 + 0.2 = 0.31",
    "2 − 5 = 3",
    "总共3+4=8。",
]


@pytest.mark.parametrize("answer", FALSE)
def test_false_equations_are_incorrect(answer: str) -> None:
    assert grade(ArithmeticChecker(), answering(answer)) == "incorrect"


LEFT = [
    "He eats <<16-3-4=9>>9 eggs.",
    "16 - 3 - 4 = 9",
    "0.1 + 0.2 = 0.3",
    "10 / 3 = 3.33",
    "20 / 3 = 6.67",
    "20 / 3 = 6.66",
    "7 / 2 = 3 remainder 1",
    "20% * 50 = 10",
    "15 / 60 = 25%",
    "The percentage is 28/35 = 80",
    "100 - 20% = 80",
    "2000 / 2/3 = 3000",
    "12 / 2*3 = 2",
    "3 + 4 = x",
    "2x + 3 + 4 = 13",
    "x - 3 + 4 = 13",
    "2^3 + 1 = 9",
    "half of 10 + 4 = 9",
    "twice 5 + 3 = 13",
    "f(2 + 3) = 25",
    "3 + 4 = 6 + 1",
    "3 + 4 = 7.5.2",
    "3 + 4 == 8",
    "3 + 4 != 8",
    "1 1/2 + 2 = 3.5",
    "1/2 + 2 = 2 1/2",
    "2 * 1.5 = 3 million",
    "1000 * 2000 = 2 million",
    "7:30 - 2 = 5:30",
    "3 + 4 = 7kg",
    "1 / 0 = 5",
    "2 ** 3 = 8",
    "10! = 10 * ... * 2 * 1 = 3628800",
    "<<some words=5>> and <<3+4>>",
    "12,516 + 1 = 12,517",
    "speed = ½ (11-7) = 2",
    "√3/4 * 4 * 4 = 4√3",
]


@pytest.mark.parametrize("answer", LEFT)
def test_true_and_unclear_equations_are_left_to_the_judge(answer: str) -> None:
    assert grade(ArithmeticChecker(), answering(answer)) is None


def test_only_answers_are_read() -> None:
    assert grade(ArithmeticChecker(), answering("No.", question="Is 2 + 2 = 5?")) is None
    assert grade(ArithmeticChecker(), document("We know that 2 + 2 = 5.")) == "incorrect"


@given(
    st.lists(st.integers(0, 900), min_size=2, max_size=5),
    st.lists(st.sampled_from("+-*"), min_size=4, max_size=4),
    st.integers(-(10**6), 10**6).filter(bool),
)
def test_exact_equations(numbers: list[int], signs: list[str], error: int) -> None:
    left = str(numbers[0]) + "".join(
        f" {sign} {number}" for sign, number in zip(signs, numbers[1:], strict=False)
    )
    value = eval(left)  # noqa: S307 - digits and + - * alone
    assert list(equations(f"So {left} = {value}."))
    assert holds(left, str(value)) is True
    assert holds(left, str(value + error)) is False


@given(st.integers(1, 10**4), st.integers(1, 10**4), st.integers(0, 6))
def test_rounded_quotients(above: int, below: int, places: int) -> None:
    exact = Fraction(above, below)
    assert holds(f"{above}/{below}", f"{float(round(exact, places)):.{places}f}")
    off = exact + Fraction(3, 10**places)
    if not 0 < exact < 1:
        assert holds(f"{above}/{below}", f"{float(off):.{places}f}") is False


@pytest.mark.parametrize("text", ["1+1+", "((((1+", "<<1", "1 ", "1+1=2 ", "1%", "1,000,", "(1+1)"])
def test_long_texts_come_to_an_end(text: str) -> None:
    assert grade(ArithmeticChecker(), document(text * 10_000)) is None
    assert grade(ArithmeticChecker(), document(text * 10_000 + "=")) is None


def test_worked_answers_of_gsm8k(shared_data: Path) -> None:
    rows = read_rows(shared_data / "pool" / "gsm8k_train.jsonl.gz")
    checker = ArithmeticChecker()
    rows = rows[:3000]
    wrong = [row for row in rows if grade(checker, answering(row["answer"]))]
    assert len(wrong) < 0.004 * len(rows)  # they were looked at: all are false
    rng = random.Random(0)
    missed = 0
    marked = [row["answer"] for row in rows[:1000] if re.search(r"=\d{1,9}>>", row["answer"])]
    for answer in marked:
        spoiled = re.sub(
            r"=(\d{1,9})>>", lambda m: f"={int(m[1]) + rng.randint(2, 9)}>>", answer, count=1
        )
        missed += grade(checker, answering(spoiled)) is None
    assert missed < 0.02 * len(marked)


@pytest.mark.parametrize(
    "answer",
    [
        "```python\ndef f(:\n    pass\n```",
        "Here it is:\n\n```py\nprint 'x'\n```\nDone.",
        "```python\nx = 1\n```\nand\n```Python\nfor i in x\n    pass\n```",
        "def f(x):\nreturn x",
        "import os\n\ndef f(x):\n    return (x\n",
        "```python3 title=a\n\x00\n```",
        "```python\n" + "(" * 5000 + ")" * 5000 + "\n```",
    ],
)
def test_code_that_does_not_parse_is_malformed(answer: str) -> None:
    assert grade(PythonChecker(), answering(answer)) == "format"


@pytest.mark.parametrize(
    "answer",
    [
        "```python\ndef f():\n    pass\n```",
        "```python\n    return x + 1\n```",
        "```\nsome output {\n```",
        "```js\nlet x = {;\n```",
        "```python\n>>> 1 +\n```",
        "def f(x):\n    return x",
        "def sort(list)\n  list.sort\nend",
        "import Foundation\nfunc f() {}",
        "from the start: this is prose (",
        "define a function (",
        "```python\nre.match('\\d', x)\n```",
        "```python\n" + "-" * 90_000 + "1\n```",
        "```python\n" + "x = (" * 50_000 + "\n```",
    ],
)
def test_other_code_is_left_to_the_judge(answer: str) -> None:
    assert grade(PythonChecker(), answering(answer)) is None


def test_published_programs_parse(shared_data: Path) -> None:
    rows = read_rows(shared_data / "pool" / "mbpp_train.jsonl")
    assert [row["id"] for row in rows if grade(PythonChecker(), answering(row["code"]))] == []


def task(metric: str, **fields: Any) -> Task:
    benchmark = {"path": "unread.jsonl"} | fields
    return Task.model_validate({"name": "t", "benchmark": benchmark, "metric": metric})


def test_answers_to_known_questions_are_compared() -> None:
    items = [
        BenchmarkItem("What is\n 2 + 2?", "It is\n#### 4"),
        BenchmarkItem("Twice?", "1"),
        BenchmarkItem("Twice?", "2"),
        BenchmarkItem("No number?", "none"),
    ]
    checker = gold_checker(task("number_match"), items)
    assert grade(checker, answering("So it is 4.0", "What is 2 + 2? ")) == "pass"
    assert grade(checker, answering("4, no, 5", "What is 2 + 2?")) == "incorrect"
    assert grade(checker, answering("2", "Twice?")) == "pass"
    assert grade(checker, answering("3", "Twice?")) == "incorrect"
    assert grade(checker, answering("4", "What is 2 + 3?")) is None
    assert grade(checker, answering("4", "No number?")) is None
    known = ("user", "Twice?")
    assert grade(checker, chat(("system", "s"), known, ("assistant", "2"))) == "pass"
    for turns in ([known], [known, ("assistant", "2")] * 2, [known, known, ("assistant", "2")]):
        assert grade(checker, chat(*turns)) is None
    assert grade(checker, document("Twice?\n\n2")) is None
    assert gold_checker(task("number_match"), []) is None


def test_code_is_run_only_where_it_is_allowed() -> None:
    tests = "assert f(2) == 4"
    items = [BenchmarkItem("Double.", "def f(x): return 2 * x", (), {"tests": tests})]
    assert gold_checker(task("unit_tests"), items) is None
    checker = gold_checker(task("unit_tests"), items, allow_code=True)
    assert grade(checker, answering("def f(x):\n    return x + x", "Double.")) == "pass"
    assert grade(checker, answering("def f(x):\n    return x * x * x", "Double.")) == "incorrect"
    untested = gold_checker(task("unit_tests"), [BenchmarkItem("Double.", "x")], allow_code=True)
    assert grade(untested, answering("def f(x): ...", "Double.")) is None
    lm_eval = Task.model_validate(
        {"name": "t", "benchmark": {"lm_eval": "mbpp"}, "metric": "unit_tests"}
    )
    assert gold_checker(lm_eval, items, allow_code=True) is None


@pytest.mark.parametrize(
    ("metric", "row", "expected"),
    [
        ("number_match", answering("2 + 2 = 5"), "incorrect"),
        ("label", answering("2 + 2 = 5"), None),
        ("unit_tests", answering("```python\n(\n```"), "format"),
        ("number_match", answering("```python\n(\n```"), None),
        ("label", document(""), "invalid"),
        ("label", chat(("user", "x")), "format"),
    ],
)
def test_the_checkers_fit_the_metric(metric: str, row: SampledRow, expected: str | None) -> None:
    verdicts = [checker.check(row) for checker in exact_checkers(task(metric), [])]
    assert [verdict.grade for verdict in verdicts if verdict] == ([expected] if expected else [])


def test_the_first_checker_that_can_tell_decides(
    llm_server: Any, make_verifier: Callable[..., Any], tmp_path: Path
) -> None:
    file = tmp_path / "train.jsonl"
    file.write_text(json.dumps({"prompt": "2 + 2?", "answer": "4"}))
    known = Task.model_validate(
        task("number_match").model_dump() | {"examples": {"path": str(file)}}
    )
    answers = ["4", "5", "2 + 1 = 4", ""]
    rows = pl.DataFrame(
        [
            {
                "id": str(n),
                "source": "s",
                "text": f"2 + 2?\n\n{answer}",
                "messages": [
                    {"role": "user", "content": "2 + 2?"},
                    {"role": "assistant", "content": answer},
                ],
                "weight": 1.0,
            }
            for n, answer in enumerate(answers)
        ]
    )
    result = make_verifier(task=known, checkers=None).verify(rows)
    assert llm_server.calls == []
    assert {row.id: row.verdicts[0].grade for row in result.rows} == {
        "0": "pass", "1": "incorrect", "2": "incorrect", "3": "format",
    }  # fmt: skip
    assert all(row.exact for row in result.rows)
