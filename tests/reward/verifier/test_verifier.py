"""Judges behind a scripted server: what is asked, how answers count, and what fails."""

from __future__ import annotations

import json
from collections.abc import Callable
from math import sqrt
from typing import Any

import polars as pl
import pytest

from datachef.core import DatachefError, Services, Task
from datachef.reward.verifier import Judge, JudgeFailure, Verdict, Verifier

ROW_GRADES = ("invalid", "format", "incorrect", "task_mismatch", "pass")

Make = Callable[..., Verifier]
Rows = Callable[..., pl.DataFrame]
Grading = Callable[[str], str]


def verdicts(result: Any) -> dict[str, Any]:
    return {row.id: row.verdicts for row in result.rows}


def test_classes_have_their_values(
    llm_server: Any, make_verifier: Make, make_rows: Rows, grading: Grading
) -> None:
    llm_server.answer = grading
    result = make_verifier().verify(make_rows(*ROW_GRADES))
    assert {row.verdicts[0].grade: row.value for row in result.rows} == {
        "invalid": 0, "format": 0, "incorrect": 0, "task_mismatch": 0.4, "pass": 1,
    }  # fmt: skip
    assert result.value == pytest.approx(1.4 / 5)
    assert result.counts == dict.fromkeys(ROW_GRADES, 1)
    assert result.failures == 0
    assert result.standard_error == 0  # every row was judged
    assert (result.agreement, result.kappa) == (None, None)
    assert verdicts(result)["s-4"] == (Verdict("pass", "it says pass"),)


def test_the_request(llm_server: Any, services: Services, make_task: Any, make_rows: Rows) -> None:
    judge = Judge(model="big", temperature=0.5, max_tokens=77, seed=9)
    task = make_task(instruction="Sort fruit.", metric="yes_no")
    Verifier([judge], services, task, checkers=()).verify(make_rows("a row"))
    (call,) = llm_server.calls
    assert (call["model"], call["temperature"], call["max_tokens"], call["seed"]) == (
        "big", 0.5, 77, 9,
    )  # fmt: skip
    schema = call["response_format"]["json_schema"]["schema"]
    assert list(schema["properties"]) == ["reasoning", "class"]
    assert schema["properties"]["class"]["enum"] == list(ROW_GRADES)
    assert schema["required"] == ["reasoning", "class"]
    prompt = call["messages"][-1]["content"]
    assert "Sort fruit." in prompt
    assert "yes or no" in prompt
    assert "a row" in prompt


def test_a_task_without_instruction_goes_by_its_name(
    llm_server: Any, make_verifier: Make, make_task: Any, make_rows: Rows
) -> None:
    make_verifier(task=make_task(name="fruit-sorting")).verify(make_rows("x"))
    assert "The task: fruit-sorting\n" in llm_server.prompts()[0]
    assert "training examples" not in llm_server.prompts()[0]


def test_examples_of_the_task_are_shown(
    llm_server: Any, make_verifier: Make, make_task: Any, make_rows: Rows, tmp_path: Any
) -> None:
    lines = [{"q": f"question {n}", "a": f"answer {n}" * (5000 if n == 0 else 1)} for n in range(9)]
    lines += [{"q": "never answered", "a": " "}]
    file = tmp_path / "train.jsonl"
    file.write_text("\n".join(map(json.dumps, lines)))
    task = make_task(examples={"path": str(file), "prompt": "q", "answer": "a"})
    for seed in range(20):
        make_verifier(task=task, seed=seed).verify(make_rows("row"))
    prompts = llm_server.prompts()
    assert 1 < len(prompts) <= 20  # other seeds may draw the same examples
    assert all(prompt.count("\nQuestion: question") == 2 for prompt in prompts)
    assert not any("never answered" in prompt for prompt in prompts)
    assert max(map(len, prompts)) < 8_000


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ("not JSON", "no JSON"),
        ('{"reasoning": "r"}', "class"),
        ('{"reasoning": "r", "class": "excellent"}', "excellent"),
        ('{"reasoning": 1, "class": "pass"}', "reasoning"),
        ('["pass"]', "list"),
        ("", "empty"),
    ],
)
def test_what_is_no_verdict_is_a_failure(
    llm_server: Any,
    make_verifier: Make,
    make_rows: Rows,
    grading: Grading,
    answer: str,
    reason: str,
) -> None:
    llm_server.answer = lambda prompt: answer if "odd" in prompt else grading(prompt)
    result = make_verifier().verify(make_rows("pass", "odd one", "task_mismatch"))
    assert result.value == pytest.approx(1.4 / 3)
    assert result.failures == 1
    assert sum(result.counts.values()) == 2
    (failure,) = verdicts(result)["s-1"]
    assert isinstance(failure, JudgeFailure)
    assert reason in failure.reason


def test_refused_and_truncated_calls_are_failures(
    llm_server: Any, make_verifier: Make, make_rows: Rows, grading: Grading, refusal: Any
) -> None:
    def answer(prompt: str) -> str:
        if "the row begins\nbad" in prompt:
            raise refusal(400)
        return grading(prompt)

    llm_server.answer = answer
    result = make_verifier().verify(make_rows("pass", "bad", "pass pass"))
    assert (result.value, result.failures) == (pytest.approx(2 / 3), 1)
    assert "400" in verdicts(result)["s-1"][0].reason

    llm_server.finish_reason = "length"
    result = make_verifier("other").verify(make_rows("pass"))
    assert (result.value, result.failures) == (0, 1)
    assert "cut off" in verdicts(result)["s-0"][0].reason


def test_a_code_fence_around_the_answer_is_fine(
    llm_server: Any, make_verifier: Make, make_rows: Rows
) -> None:
    llm_server.answer = lambda _: '```json\n{"reasoning": "r", "class": "pass"}\n```'
    assert make_verifier().verify(make_rows("x")).value == 1


def test_two_judges(llm_server: Any, make_task: Any, services: Services, make_rows: Rows) -> None:
    def answer(prompt: str) -> str:
        mine, theirs = prompt.split(" the row begins\n")[1].split()[:2]
        model = llm_server.calls[-1]["model"]
        return json.dumps({"reasoning": "", "class": mine if model == "one" else theirs})

    llm_server.answer = answer
    judges = [Judge(model=name, max_concurrency=1) for name in ("one", "two")]
    verifier = Verifier(judges, services, make_task(), checkers=())
    rows = ["pass pass a", "pass pass b", "pass task_mismatch c", "invalid invalid d", "pass odd e"]
    result = verifier.verify(make_rows(*rows))
    assert [row.value for row in sorted(result.rows, key=lambda row: row.id)] == pytest.approx(
        [1, 1, 0.7, 0, 0.5]
    )
    assert result.value == pytest.approx(3.2 / 5)
    assert result.failures == 1
    assert result.counts == {
        "invalid": 2, "format": 0, "incorrect": 0, "task_mismatch": 1, "pass": 6,
    }  # fmt: skip
    # Of the four rows that both judged: three alike; by chance 3/4 * 2/4 + 1/4 * 1/4 = 7/16.
    assert result.agreement == 0.75
    assert result.kappa == pytest.approx((0.75 - 7 / 16) / (1 - 7 / 16))


def test_judges_that_never_differ_have_no_kappa(
    llm_server: Any, make_verifier: Make, make_rows: Rows, grading: Grading
) -> None:
    llm_server.answer = grading
    result = make_verifier("one", "two").verify(make_rows("pass a", "pass b"))
    assert (result.value, result.agreement, result.kappa) == (1, 1, None)


def test_answers_are_remembered(
    llm_server: Any, make_verifier: Make, make_rows: Rows, grading: Grading
) -> None:
    llm_server.answer = grading
    rows = make_rows(*ROW_GRADES)
    first = make_verifier().verify(rows)
    assert len(llm_server.calls) == 5
    assert make_verifier().verify(rows) == first
    assert len(llm_server.calls) == 5
    renamed = rows.with_columns("other-" + pl.col("id"), source=pl.lit("elsewhere"))
    assert make_verifier().verify(renamed).value == first.value
    assert len(llm_server.calls) == 5


def test_equal_rows_are_asked_about_once(
    llm_server: Any, make_verifier: Make, make_rows: Rows, grading: Grading
) -> None:
    llm_server.answer = grading
    result = make_verifier().verify(make_rows("pass", "pass", "pass"))
    assert len(llm_server.calls) == 1
    assert result.counts["pass"] == 3


def test_the_order_of_the_rows_does_not_matter(
    llm_server: Any, make_verifier: Make, make_rows: Rows, grading: Grading
) -> None:
    llm_server.answer = grading
    words = [ROW_GRADES[n * n % 5] + f" {n}" for n in range(60)]
    rows = make_rows(a=words[:40], b=words[40:], weights={"a": 2.0, "b": 0.5})
    verifier = make_verifier(rows=20)
    result = verifier.verify(rows)
    assert verifier.verify(rows.reverse()) == result
    assert verifier.verify(rows.sample(fraction=1, shuffle=True, seed=1)) == result
    assert len(result.rows) == 20
    drawn = [{row.id for row in make_verifier(rows=20, seed=n).verify(rows).rows} for n in (0, 1)]
    assert drawn[0] != drawn[1]


def test_mean_and_error_of_a_sample(
    llm_server: Any, make_verifier: Make, make_rows: Rows, grading: Grading
) -> None:
    llm_server.answer = grading
    rows = make_rows(
        a=[f"{'pass' if n % 3 else 'task_mismatch'} {n}" for n in range(30)],
        b=[f"{'pass' if n % 2 else 'invalid'} {n}" for n in range(20)],
        weights={"a": 3.0, "b": 1.0},
    )
    result = make_verifier(rows=22).verify(rows)
    # a weighs 90 of 110, so it gives 18 of 22 rows; b gives 4.
    values = {s: [row.value for row in result.rows if row.source == s] for s in "ab"}
    assert {s: len(v) for s, v in values.items()} == {"a": 18, "b": 4}
    means = {s: sum(v) / len(v) for s, v in values.items()}
    assert result.value == pytest.approx(90 / 110 * means["a"] + 20 / 110 * means["b"])
    parts = [
        share**2 * (1 - len(v) / size) * sum((y - means[s]) ** 2 for y in v) / (len(v) - 1) / len(v)
        for s, v, share, size in [("a", values["a"], 9 / 11, 30), ("b", values["b"], 2 / 11, 20)]
    ]
    assert result.standard_error == pytest.approx(sqrt(sum(parts)))
    assert result.standard_error > 0
    assert result.by_source == {s: (pytest.approx(means[s]), len(values[s])) for s in "ab"}


def test_checkers_go_before_the_judge(
    llm_server: Any, make_verifier: Make, make_rows: Rows, grading: Grading
) -> None:
    class Short:
        def check(self, row: Any) -> Verdict | None:
            return Verdict("invalid", "short") if len(row.text) < 5 else None

    class Passed:
        def check(self, row: Any) -> Verdict | None:
            return Verdict("pass", "known") if "known" in row.text or len(row.text) < 5 else None

    llm_server.answer = grading
    verifier = make_verifier("one", "two", checkers=[Short(), Passed()])
    result = verifier.verify(make_rows("abc", "known row", "task_mismatch"))
    assert {row.id: (row.value, row.exact) for row in result.rows} == {
        "s-0": (0, True), "s-1": (1, True), "s-2": (0.4, False),
    }  # fmt: skip
    assert verdicts(result)["s-0"] == (Verdict("invalid", "short"),) * 2
    assert len(llm_server.calls) == 2  # the third row, by each judge
    assert sum(result.counts.values()) == 6
    assert result.agreement == 1


def test_without_rows_there_is_no_value(
    llm_server: Any, make_verifier: Make, make_rows: Rows
) -> None:
    rows = make_rows("x")
    for nothing in (rows.clear(), rows.with_columns(weight=pl.lit(0.0)), pl.DataFrame()):
        result = make_verifier("one", "two").verify(nothing)
        assert (result.value, result.standard_error, result.rows) == (0, 0, ())
        assert (result.agreement, result.kappa, result.by_source) == (None, None, {})
    assert llm_server.calls == []


def test_judges_that_do_not_fit(services: Services, make_task: Callable[..., Task]) -> None:
    one = Judge(model="one")
    for judges in ([], [one, one], [one, Judge(model="two"), Judge(model="three")]):
        with pytest.raises(DatachefError) as caught:
            Verifier(judges, services, make_task())
        assert caught.value.hint


def test_a_backend_that_is_not_there(
    make_task: Callable[..., Task], tmp_path: Any, monkeypatch: pytest.MonkeyPatch, make_rows: Rows
) -> None:
    from datachef.plugins.openai_backend import OpenAIBackend

    judges = [Judge(model="one", backend="opnai")]
    services = Services({"openai": OpenAIBackend.from_environment}, tmp_path)
    with pytest.raises(DatachefError, match="opnai") as caught:
        Verifier(judges, services, make_task())
    assert "openai" in caught.value.hint
    monkeypatch.delenv("DATACHEF_LLM_BASE_URL", raising=False)
    verifier = Verifier([Judge(model="one")], services, make_task())
    with pytest.raises(DatachefError, match="does not know its server"):
        verifier.verify(make_rows("x"))


def test_a_refused_key_ends_it_and_keeps_what_was_answered(
    llm_server: Any, services: Services, make_task: Any, make_rows: Rows, grading: Any, refusal: Any
) -> None:
    def answer(prompt: str) -> str:
        if len(llm_server.calls) > 3:
            raise refusal(401)
        return grading(prompt)

    verifier = Verifier([Judge(model="one", max_concurrency=1)], services, make_task(), checkers=())
    llm_server.answer = answer
    rows = make_rows(*(f"pass {n}" for n in range(6)))
    with pytest.raises(DatachefError, match="401"):
        verifier.verify(rows)
    llm_server.calls.clear()
    llm_server.answer = grading
    assert verifier.verify(rows).value == 1
    assert len(llm_server.calls) == 3


def test_examples_that_cannot_be_read(services: Services, make_task: Any, tmp_path: Any) -> None:
    task = make_task(examples={"path": str(tmp_path / "absent.jsonl")})
    with pytest.raises(DatachefError, match=r"absent\.jsonl"):
        Verifier([Judge(model="one")], services, task)
