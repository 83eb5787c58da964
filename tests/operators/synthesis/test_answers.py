"""Answers, sampled answers and options: what is asked, what is kept, and why the rest is not."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from datachef.core import (
    Context,
    Outcome,
    Services,
    Task,
    installed_metric,
    turns_column,
    turns_of,
    with_text,
)
from datachef.core.system.confinement import missing_layers
from datachef.operators.synthesis import answer_checks
from datachef.operators.synthesis.answer_question import AnswerQuestion
from datachef.operators.synthesis.back_translate import BackTranslate
from datachef.operators.synthesis.generate_question import GenerateQuestion
from datachef.operators.synthesis.rejection_sampling import RejectionSampling
from datachef.operators.synthesis.to_multiple_choice import ToMultipleChoice
from datachef.plugins.openai_backend import OpenAIBackend

NOTHING = pl.DataFrame(schema={"id": pl.String, "reason": pl.String})


@pytest.fixture
def services(llm_server: Any, tmp_path: Path) -> Services:
    return Services({"openai": lambda: OpenAIBackend(llm_server.url)}, tmp_path)


def talk(*said: str, system: str = "") -> list[dict[str, Any]]:
    roles = ["user", "assistant"] * len(said)
    turns = [{"role": r, "content": c} for r, c in zip(roles, said, strict=False)]
    return [{"role": "system", "content": system}, *turns] if system else turns


def batch(*rows: str | list[dict[str, Any]], **columns: list[Any]) -> pl.DataFrame:
    frame = pl.DataFrame({"id": [f"r{i}" for i in range(len(rows))], "source": "s", **columns})
    texts = pl.Series("text", [row if isinstance(row, str) else None for row in rows], pl.String)
    turns = turns_column([None if isinstance(row, str) else row for row in rows])
    return with_text(frame.with_columns(texts, turns))


def said(outcome: Outcome) -> list[list[tuple[str, str]]]:
    return [
        [(turn["role"], turn["content"]) for turn in turns_of(row)]
        for row in outcome.rows["messages"]
    ]


def gone(frame: pl.DataFrame | None) -> dict[str, str]:
    return {} if frame is None else dict(frame.select("id", "reason").iter_rows())


def test_a_question_is_answered_in_a_style_that_the_row_does_not_keep(
    llm_server: Any, services: Services
) -> None:
    llm_server.answer = lambda prompt: "4 eggs, 2 each.\nThe answer is 2."
    operator = AnswerQuestion(model="tiny", style="step_by_step", final_line="sentence")
    rows = batch(
        "How many eggs each?",
        talk("Hi", "Hello!", "How many?", "Old answer", system="Be kind."),
        talk(system="Nobody asks."),
    )
    outcome = operator.connect(services).apply(rows, NOTHING)
    answer = ("assistant", "4 eggs, 2 each.\nThe answer is 2.")
    assert said(outcome) == [
        [("user", "How many eggs each?"), answer],
        [
            ("system", "Be kind."),
            ("user", "Hi"),
            ("assistant", "Hello!"),
            ("user", "How many?"),
            answer,
        ],
    ]
    assert gone(outcome.dropped) == {"r2": "no_question"}
    sent = sorted(llm_server.calls, key=lambda call: len(call["messages"]))
    assert [len(call["messages"]) for call in sent] == [1, 4]
    for call in sent:
        assert "step by step" in call["messages"][-1]["content"]
        assert '"The answer is"' in call["messages"][-1]["content"]


@pytest.mark.parametrize(
    ("final_line", "good", "bad"),
    [
        ("sentence", "So the answer is 5.", "It is 5."),
        ("boxed", r"So \boxed{5}.", "The answer is 5."),
        ("hashes", "2 + 3\n#### 5", "5"),
    ],
)
def test_an_answer_without_its_mark_is_dropped(
    llm_server: Any, services: Services, final_line: Any, good: str, bad: str
) -> None:
    llm_server.answer = lambda prompt: good if prompt.startswith("good") else bad
    operator = AnswerQuestion(model="tiny", final_line=final_line).connect(services)
    outcome = operator.apply(batch("good", "bad"), NOTHING)
    assert outcome.rows["id"].to_list() == ["r0"]
    assert outcome.dropped is not None
    assert outcome.dropped.select("reason", "detail").rows() == [("no_final_answer", bad)]


def test_a_question_from_a_document_is_answered_from_it(
    llm_server: Any, services: Services
) -> None:
    document = "The Seine flows through Paris. It is 777 km long."
    llm_server.answer = lambda prompt: "How long is the Seine?"
    asked = GenerateQuestion(model="tiny", kind="factual").connect(services)
    questions = asked.apply(batch(document), NOTHING).rows
    assert questions["document"].to_list() == [document]
    assert said(Outcome(questions)) == [[("user", "How long is the Seine?")]]
    llm_server.answer = lambda prompt: "777 km." if document in prompt else "I see no document."
    operator = AnswerQuestion(model="tiny", document="document", style="direct")
    assert operator.reads() == {"text", "document"}
    outcome = operator.connect(services).apply(questions, NOTHING)
    assert said(outcome) == [[("user", "How long is the Seine?"), ("assistant", "777 km.")]]


def test_a_question_that_is_copied_is_none(llm_server: Any, services: Services) -> None:
    llm_server.answer = lambda prompt: "It is 777 km long."
    operator = GenerateQuestion(model="tiny").connect(services)
    outcome = operator.apply(batch("The Seine. It is 777 km long."), NOTHING)
    assert gone(outcome.dropped) == {"r0": "copied_document"}


def test_a_text_gets_the_instruction_that_it_answers(llm_server: Any, services: Services) -> None:
    texts = {
        "Boil the eggs for six minutes.": "How do I boil eggs?",
        "Copied.": "Copied.",
    }
    llm_server.answer = lambda prompt: texts[prompt.split("Text:\n")[1].strip()]
    rows = batch(*texts, talk("Old question", next(iter(texts))), talk("No answer"))
    outcome = BackTranslate(model="tiny").connect(services).apply(rows, NOTHING)
    pair = [("user", "How do I boil eggs?"), ("assistant", "Boil the eggs for six minutes.")]
    assert said(outcome) == [pair, pair]
    assert gone(outcome.dropped) == {"r1": "copied_answer", "r3": "unanswered_question"}


def sampled(call: dict[str, Any]) -> str:
    return ["2 + 3 = 6\n#### 6", "3 + 2 = 5\n#### 5", "So 5.\n#### 5", "2 + 3 = 5"][call["seed"]]


@pytest.fixture
def sampling(llm_server: Any, services: Services, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Answers to a question of 2 + 3 that differ by the seed: wrong, right, right, right."""
    reply = llm_server.reply

    def by_seed(request: dict[str, Any]) -> tuple[int, bytes]:
        llm_server.answer = lambda prompt: "no idea" if "7 + 8" in prompt else sampled(request)
        return reply(request)  # type: ignore[no-any-return]

    monkeypatch.setattr(llm_server, "reply", by_seed)
    return services


@pytest.mark.parametrize(
    ("keep", "kept"),
    [
        ("first", ["3 + 2 = 5\n#### 5"]),
        ("shortest", ["2 + 3 = 5"]),
        ("all", ["3 + 2 = 5\n#### 5", "So 5.\n#### 5", "2 + 3 = 5"]),
    ],
)
def test_of_several_answers_the_right_ones_are_kept(
    llm_server: Any, sampling: Services, keep: Any, kept: list[str]
) -> None:
    operator = RejectionSampling(model="tiny", samples=4, keep=keep, max_concurrency=1)
    rows = batch(
        talk("2 + 3?", "Two and three.\nThat makes 5"), talk("7 + 8?", "15"), "No gold here."
    )
    outcome = operator.connect(sampling).apply(rows, NOTHING)
    assert [turns[-1][1] for turns in said(outcome)] == kept
    assert outcome.created == len(kept) - 1
    assert gone(outcome.dropped) == {"r1": "wrong_answer", "r2": "no_gold_answer"}
    figures = {"answers": 8, "prompt_tokens": 8 * 7, "answer_tokens": 8 * 5}
    assert outcome.counted == {"wrong_answer": 5, **figures}
    assert Counter(call["seed"] for call in llm_server.calls) == dict.fromkeys(range(4), 2)
    assert all("five" not in call["messages"][-1]["content"] for call in llm_server.calls)


def test_gold_answers_of_a_column_and_options(llm_server: Any, services: Services) -> None:
    llm_server.answer = lambda prompt: "B) sand" if "desert" in prompt else "A"
    operator = RejectionSampling(
        model="tiny", samples=1, checker="multiple_choice", gold="key", final_line="free"
    )
    rows = batch(
        "What is in a desert?\nA) water\nB) sand", "What is wet?\nA) sand\nB) rain", key=["B", "B"]
    )
    outcome = operator.connect(services).apply(rows, NOTHING)
    assert outcome.rows["id"].to_list() == ["r0"]
    assert gone(outcome.dropped) == {"r1": "wrong_answer"}


def test_the_checker_is_that_of_the_task_unless_it_is_named() -> None:
    task = Task.model_validate(
        {"name": "t", "benchmark": {"path": "unread"}, "metric": "exact_match"}
    )
    assert RejectionSampling(model="m").for_task(task).checker == "exact_match"
    named = RejectionSampling(model="m", checker="yes_no").for_task(task)
    assert named.checker == "yes_no"
    code = task.model_copy(update={"metric": "unit_tests"})
    assert RejectionSampling(model="m").for_task(code).checker == "unit_tests"


def test_the_code_of_the_checker_is_part_of_what_a_result_depends_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Edited(installed_metric("exact_match")):  # type: ignore[misc]  # a base found at run time
        pass

    operator = RejectionSampling(model="m", checker="exact_match")
    before = operator.identity()
    assert RejectionSampling(model="m", checker="exact_match").identity() == before
    monkeypatch.setattr(answer_checks, "installed_metric", lambda name: Edited)
    assert operator.identity() != before


def test_an_answer_that_did_not_come_fails_its_row(
    llm_server: Any, services: Services, refusal: Callable[[int], Exception]
) -> None:
    llm_server.answer = lambda prompt: "5"
    llm_server.script.extend([400])
    rows = batch(talk("2 + 3?", "5"))
    operator = RejectionSampling(model="tiny", samples=3, max_concurrency=1, keep="all")
    outcome = operator.connect(services).apply(rows, NOTHING)
    assert outcome.rows.height == 1, "two of three answers are enough"
    figures = {"answers": 2, "prompt_tokens": 14, "answer_tokens": 10}
    assert outcome.counted == {"llm_error": 1, **figures}


def test_all_calls_of_a_row_count_for_the_budget() -> None:
    rows = batch(talk("aaaa", "5"), talk("bbbb", "5"))
    operator = RejectionSampling(
        model="tiny", prompt="{{ question }}", samples=3, max_tokens=9, budget_tokens=59
    )
    summary = operator.summarize(rows)
    assert summary["tokens"].to_list() == [30, 30]
    decision = operator.resolve(summary.lazy(), Context(seed=0))
    assert decision.rows() == [("r1", "over_budget")]


def test_options_are_the_right_answer_among_wrong_ones(llm_server: Any, services: Services) -> None:
    llm_server.answer = lambda prompt: json.dumps(
        {"distractors": ["Lyon", "paris." if "poor" in prompt else "Nice", "Lille"]}
    )
    rows = batch(
        *[talk(f"Capital {i}?", "It is known.\nThe answer is Paris.") for i in range(8)],
        talk("A poor question?", "Paris"),
        talk("Long?", "word " * 50),
        "No answer?",
    )
    operator = ToMultipleChoice(model="tiny", answer="letter_and_text").connect(services)
    outcome = operator.apply(rows, NOTHING)
    places = set()
    for (_, question), (_, answer) in said(outcome):
        letter = answer.removesuffix(". Paris.")
        assert f"\n{answer}" in question
        assert sorted(line[3:] for line in question.splitlines()[1:]) == [
            "Lille", "Lyon", "Nice", "Paris.",
        ]  # fmt: skip
        places.add(letter)
    assert len(places) > 2, "the right option stands at many places"
    assert gone(outcome.dropped) == {
        "r8": "poor_distractors", "r9": "long_answer", "r10": "unanswered_question",
    }  # fmt: skip
    again = operator.apply(rows, NOTHING)
    assert said(again) == said(outcome)


def test_sampled_programs_that_pass_their_tests(
    services: Services, llm_server: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    if missing := missing_layers():
        pytest.skip(f"code cannot be confined here: no layer around {missing}")
    monkeypatch.setenv("DATACHEF_ALLOW_CODE", "1")
    llm_server.answer = lambda prompt: f"```python\ndef f(x):\n    return x {prompt[-1]} 2\n```"
    rows = batch("Times: *", "Plus: +", "Over: /", tests=["assert f(3) == 6"] * 2 + [""])
    operator = RejectionSampling(
        model="m", checker="unit_tests", samples=1, prompt="{{ question }}"
    )
    assert operator.runs_code() and "tests" in operator.reads()
    outcome = operator.connect(services).apply(rows, NOTHING)
    assert outcome.rows["id"].to_list() == ["r0"]
    assert outcome.dropped["reason"].to_list() == ["wrong_answer", "cannot_be_checked"]
