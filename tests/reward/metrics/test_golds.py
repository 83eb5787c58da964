from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest
from hypothesis import assume, given, strategies as st

from datachef.core import (
    BenchmarkFile,
    BenchmarkItem,
    DatachefError,
    MissingPackageError,
    extra,
    read_benchmark,
)
from datachef.core.contracts.metric import Metric
from datachef.core.distribution import install_command
from datachef.core.text.final_answers import LETTERS
from datachef.reward.metrics import make_metric, our_metrics
from datachef.reward.metrics.matching import gold_place, option_texts
from datachef.reward.metrics.sandbox import SandboxLimits
from datachef.reward.metrics.unit_tests import UnitTests

REAL = {
    "gsm8k.test.jsonl.gz": "number_match",
    "svamp.test.jsonl.gz": "number_match",
    "scibench_physics.test.jsonl": "number_tolerance",
    "aqua.test.jsonl": "multiple_choice",
    "arc_challenge.test.jsonl.gz": "multiple_choice",
    "commonsenseqa.test.jsonl.gz": "multiple_choice",
    "logical_deduction.test.jsonl.gz": "multiple_choice",
    "xcopa.test.jsonl.gz": "multiple_choice",
    "cola.test.jsonl": "yes_no",
    "strategyqa.test.jsonl": "yes_no",
    "fpb.test.jsonl.gz": "label",
}
PROGRAMS = {
    "mbpp.test.jsonl.gz": "{answer}\n{tests}",
    "humaneval.test.jsonl": "{prompt}{answer}\n{tests}",
    "leetcode.test.jsonl.gz": "{tests}",
}


def items_of(folder: Path, name: str, **fields: Any) -> list[BenchmarkItem]:
    return read_benchmark(BenchmarkFile(path=str(folder / "bench" / name), **fields))


@pytest.mark.parametrize("name", REAL)
def test_gold_answers_are_right_and_others_wrong(name: str, shared_data: Path) -> None:
    metric = REAL[name]
    choices = "choices" if metric in {"multiple_choice", "label"} else None
    items = items_of(shared_data, name, choices=choices)
    exact = make_metric("exact_match")
    judge = make_metric(metric)
    golds = sorted({item.answer for item in items})
    for item in items:
        other = next(gold for gold in golds if gold != item.answer)
        assert judge.score(item.answer, item) and exact.score(item.answer, item)
        # A benchmark may list an option twice; then either letter is right.
        twice = len(set(option_texts(item))) < len(option_texts(item))
        assert twice or not judge.score(other, item), (other, item)
        assert not exact.score(other, item), (other, item)


PHRASES = (
    "{letter}", "({letter})", "{letter}. {text}", "**{letter})** {text}", "{text}",
    "The answer is {letter}.", "Answer: {letter}", "The correct answer is {text}.",
    "A is wrong, and so is B.\nTherefore the answer is ({letter}).", r"So \boxed{{{letter}}}.",
    "<think>maybe A, maybe B</think>{letter}", "I choose option {letter}, because it fits.",
    "答案是{letter}",
)  # fmt: skip


@pytest.mark.parametrize("phrase", PHRASES)
@pytest.mark.parametrize("name", [name for name, metric in REAL.items() if "choice" in metric])
def test_the_phrases_around_a_choice_do_not_matter(
    name: str, phrase: str, shared_data: Path
) -> None:
    judge = make_metric("multiple_choice")
    items = random.Random(0).sample(items_of(shared_data, name, choices="choices"), 100)
    for item in items:
        texts = option_texts(item)
        if len(set(texts)) < len(texts):
            continue
        for place, text in enumerate(texts):
            response = phrase.format(letter=LETTERS[place], text=text)
            assert judge.score(response, item) == (place == gold_place(item)), (response, item)


@pytest.mark.parametrize("name", PROGRAMS)
def test_gold_programs_pass_and_others_fail(name: str, shared_data: Path) -> None:
    program = PROGRAMS[name]
    judge = make_metric("unit_tests", allow_code=True, program=program)
    items = items_of(shared_data, name, program=program)
    for place in random.Random(0).sample(range(len(items) - 1), 4):
        item, other = items[place], items[place + 1]
        assert judge.score(item.answer, item), item.row["id"]
        assert judge.score(f"Here it is:\n```python\n{item.answer}\n```\nDone.", item)
        assert not judge.score(other.answer, item), item.row["id"]


@pytest.mark.slow
@pytest.mark.parametrize("name", PROGRAMS)
def test_every_gold_program_passes(name: str, shared_data: Path) -> None:
    program = PROGRAMS[name]
    limits = SandboxLimits(cpu_seconds=120, clock_seconds=600)
    judge = UnitTests(program, allow_code=True, limits=limits)
    items = items_of(shared_data, name, program=program)
    failed = {item.row["id"]: judge.run(item.answer, item).reason for item in items}
    assert not {key: reason for key, reason in failed.items() if reason}


PLAIN = [m.name for m in our_metrics() if m.name not in {"math_match", "unit_tests"}]
ITEMS = {
    "number_match": BenchmarkItem("?", "-12.5"),
    "number_tolerance": BenchmarkItem("?", "3e8"),
    "exact_match": BenchmarkItem("?", "two words\nsecond"),
    "multiple_choice": BenchmarkItem("?", "B", ("sand", "snow", "ice")),
    "label": BenchmarkItem("?", "good", ("good", "bad")),
    "yes_no": BenchmarkItem("?", "no"),
}
WORDS = st.sampled_from(
    ["A", "B", "answer", "is", ":", "yes", "no", "good", "snow", "\\boxed{", "}", "(", "-", "12.5"]
)
TEXTS = st.text() | st.lists(WORDS, max_size=12).map(" ".join)


@pytest.mark.parametrize("metric", PLAIN)
@given(response=TEXTS)
def test_no_response_breaks_a_checker(metric: str, response: str) -> None:
    assert make_metric(metric).score(response, ITEMS[metric]) in {True, False}


@pytest.mark.parametrize("metric", PLAIN)
@given(response=TEXTS)
def test_an_announced_answer_counts_whatever_was_said_before(metric: str, response: str) -> None:
    assume("boxed{" not in response and "<think>" not in response)
    gold = ITEMS[metric].answer.splitlines()[0]
    for cue in ("The answer is", "Answer:", "####"):
        assert make_metric(metric).score(f"{response}\n\n{cue} {gold}", ITEMS[metric])


def test_every_metric_of_a_task_has_a_checker() -> None:
    assert set(ITEMS) == set(PLAIN)
    for metric in PLAIN:
        judge = make_metric(metric)
        assert isinstance(judge, Metric)
        assert judge.score(ITEMS[metric].answer, ITEMS[metric])


def test_an_unknown_metric_is_told_with_a_hint() -> None:
    with pytest.raises(DatachefError, match="no metric 'number_mach'") as error:
        make_metric("number_mach")
    assert "number_match" in error.value.hint


def test_code_needs_permission() -> None:
    with pytest.raises(DatachefError, match="not allowed"):
        make_metric("unit_tests")


def test_mathematics_needs_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(MissingPackageError, match="math_verify") as error:
        make_metric("math_match")
    assert error.value.hint == install_command(extra("evaluate"))


def test_reasoning_does_not_count() -> None:
    item = ITEMS["number_match"]
    judge = make_metric("number_match")
    assert judge.score("<think>perhaps 3</think>It is -12.5", item)
    assert not judge.score("<think>It is -12.5", item)
    assert not judge.score("<think>It is -12.5</think>", item)
