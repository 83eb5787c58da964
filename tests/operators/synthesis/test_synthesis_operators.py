import json

import polars as pl
import pytest
from pydantic import ValidationError

from datachef.core import Context, Services, turns_of
from datachef.core.text.conversations import MESSAGES
from datachef.operators.synthesis.generate_question_answer_pairs import GenerateQuestionAnswerPairs
from datachef.operators.synthesis.rephrase_text import RephraseText
from datachef.plugins.openai_backend import OpenAIBackend

NOTHING = pl.DataFrame(schema={"id": pl.String, "reason": pl.String})
ASK = "{{ text }}"


def batch(*texts):
    return pl.DataFrame({"id": [f"r{i}" for i in range(len(texts))], "source": "s", "text": texts})


@pytest.fixture
def services(llm_server, tmp_path):
    return Services({"openai": lambda: OpenAIBackend(llm_server.url)}, tmp_path)


def pairs(*questions):
    return json.dumps({"pairs": [{"question": q, "answer": f"A{q}"} for q in questions]})


def test_pairs_become_conversations(llm_server, services):
    llm_server.answer = lambda prompt: pairs(f"{prompt}1", f"{prompt}2")
    operator = GenerateQuestionAnswerPairs(model="tiny", prompt=ASK, pairs=2).connect(services)
    outcome = operator.apply(batch("x", "y"), NOTHING)
    assert outcome.rows["id"].to_list() == ["r0.0", "r0.1", "r1.0", "r1.1"]
    assert outcome.rows["text"].to_list() == ["x1\n\nAx1", "x2\n\nAx2", "y1\n\nAy1", "y2\n\nAy2"]
    assert outcome.rows.schema["messages"] == MESSAGES
    assert turns_of(outcome.rows["messages"][0]) == [
        {"role": "user", "content": "x1"},
        {"role": "assistant", "content": "Ax1"},
    ]
    assert outcome.created == 2
    assert set(outcome.rows["synthesized_by"]) == {"tiny"}


def test_schema_and_prompt_are_sent(llm_server, services):
    llm_server.answer = lambda prompt: pairs("q")
    operator = GenerateQuestionAnswerPairs(model="tiny", pairs=7).connect(services)
    operator.apply(batch("The sky is blue."), NOTHING)
    (sent,) = llm_server.calls
    assert "write 7 different" in sent["messages"][0]["content"]
    assert "The sky is blue." in sent["messages"][0]["content"]
    schema = sent["response_format"]["json_schema"]["schema"]
    assert schema["properties"]["pairs"]["maxItems"] == 7


ANSWERS = {
    "good": pairs("q"),
    "fenced": f"```json\n{pairs('q')}\n```",
    "amid words": f"<think>Three?</think>Sure!\n\n{pairs('q')}\n\nAnything else?",
    "bare list": json.dumps(json.loads(pairs("q"))["pairs"]),
    "trailing comma": pairs("q").replace("]}", ",],}"),
    "too many": pairs("1", "2", "3"),
    "prose": "Sure! Here are your questions.",
    "cut": pairs("q")[:-5],
    "no pairs": pairs(),
    "other keys": '{"questions": []}',
    "empty question": pairs(" "),
    "numbers": '{"pairs": [{"question": 1, "answer": 2}]}',
    "list": "[]",
}


def test_answers_that_do_not_parse_are_failures(llm_server, services, refusal):
    def answer(prompt):
        if prompt == "refused":
            raise refusal(400)
        return ANSWERS[prompt]

    llm_server.answer = answer
    operator = GenerateQuestionAnswerPairs(model="tiny", prompt=ASK, pairs=2).connect(services)
    outcome = operator.apply(batch(*ANSWERS, "refused"), NOTHING)
    assert outcome.rows["id"].to_list() == ["r0", "r1", "r2", "r3", "r4", "r5.0", "r5.1"]
    assert dict(outcome.failed.select("text", "reason").iter_rows()) == {
        **dict.fromkeys(list(ANSWERS)[6:], "unparsable_answer"),
        "refused": "llm_error",
    }
    assert outcome.dropped is None


def test_order_survives_errors_and_concurrency(llm_server, services):
    texts = [f"t{i}" for i in range(30)]
    llm_server.script.extend([429, 500, 429])
    llm_server.delays = dict.fromkeys(texts[::4], 0.03)
    llm_server.answer = lambda prompt: prompt.upper()
    operator = RephraseText(model="tiny", prompt=ASK, max_concurrency=6).connect(services)
    outcome = operator.apply(batch(*texts), NOTHING)
    assert outcome.rows["text"].to_list() == [t.upper() for t in texts]
    assert len(llm_server.calls) == 33


def test_second_run_asks_nothing(llm_server, services, tmp_path):
    rows = batch("a", "b", "c")
    first = RephraseText(model="tiny").connect(services).apply(rows, NOTHING)
    assert len(llm_server.calls) == 3
    fresh = Services({"openai": OpenAIBackend.from_environment}, tmp_path)
    again = RephraseText(model="tiny", max_concurrency=1).connect(fresh).apply(rows, NOTHING)
    assert again.rows.equals(first.rows)
    assert len(llm_server.calls) == 3


def test_budget_bounds_the_calls(llm_server, services):
    operator = RephraseText(model="tiny", prompt=ASK, budget_tokens=25, max_tokens=10)
    rows = batch("aaaa", "bbbb", "cccc")
    decision = operator.resolve(operator.summarize(rows).lazy(), Context(seed=0))
    outcome = operator.connect(services).apply(rows, decision)
    assert llm_server.prompts() in (["aaaa", "bbbb"], ["bbbb", "aaaa"])
    assert outcome.dropped.select("id", "reason").rows() == [("r2", "over_budget")]


def test_longer_answers_than_allowed_fail(llm_server, services):
    llm_server.finish_reason = "length"
    outcome = RephraseText(model="tiny").connect(services).apply(batch("a"), NOTHING)
    assert outcome.failed["reason"].to_list() == ["truncated_answer"]


def test_answers_that_are_none_fail_with_a_reason(llm_server, services):
    said = {
        "empty": "\n",
        "reasoning": "<think>Only this.</think>",
        "endless": "<think>Only this.",
        "refused": "I'm sorry, but I can't help with that.",
        "good": "<think>Say it otherwise.</think>\n\nSaid otherwise.",
        "fenced": "```\nSaid otherwise.\n```",
    }
    llm_server.answer = said.__getitem__
    operator = RephraseText(model="tiny", prompt=ASK).connect(services)
    outcome = operator.apply(batch(*said), NOTHING)
    assert outcome.rows["text"].to_list() == ["Said otherwise."] * 2
    assert dict(outcome.failed.select("text", "reason").iter_rows()) == {
        "empty": "empty_answer",
        "reasoning": "empty_answer",
        "endless": "unparsable_answer",
        "refused": "refused_answer",
    }


def test_reasoning_in_the_strings_of_pairs_goes(llm_server, services):
    said = {
        "closed": {"question": "q", "answer": "<think>2 + 2</think> 4"},
        "open": {"question": "q", "answer": "<think>2 + 2"},
        "alone": {"question": "<think>q</think>", "answer": "4"},
    }
    llm_server.answer = lambda prompt: json.dumps({"pairs": [said[prompt]]})
    operator = GenerateQuestionAnswerPairs(model="tiny", prompt=ASK).connect(services)
    outcome = operator.apply(batch(*said), NOTHING)
    assert outcome.rows["text"].to_list() == ["q\n\n4"]
    assert outcome.failed["reason"].to_list() == ["unparsable_answer"] * 2


def test_what_a_filter_cut_off_is_not_kept(llm_server, services):
    llm_server.finish_reason = "content_filter"
    for operator in (RephraseText(model="tiny"), GenerateQuestionAnswerPairs(model="tiny")):
        outcome = operator.connect(services).apply(batch("a", "b"), NOTHING)
        assert outcome.rows.height == 0
        assert outcome.failed["reason"].to_list() == ["filtered_answer"] * 2


def test_half_a_surrogate_pair_costs_one_row(llm_server, services):
    llm_server.answer = lambda prompt: "half \ud83d" if prompt == "a" else "whole"
    operator = RephraseText(model="tiny", prompt=ASK).connect(services)
    outcome = operator.apply(batch("a", "b"), NOTHING)
    assert outcome.rows["text"].to_list() == ["whole"]
    assert outcome.failed.select("text", "reason").rows() == [("a", "llm_error")]


def test_styles_reach_the_prompt(llm_server, services):
    RephraseText(model="tiny", style="easy").connect(services).apply(batch("a"), NOTHING)
    assert "small child" in llm_server.prompts()[0]


@pytest.mark.parametrize("operator", [RephraseText, GenerateQuestionAnswerPairs])
@pytest.mark.parametrize("prompt", ["{{ ''.__class__.__mro__ }}", "{{ text", "{% include 'a' %}"])
def test_prompts_that_are_not_allowed(operator, prompt):
    with pytest.raises(ValidationError) as caught:
        operator(model="tiny", prompt=prompt)
    assert caught.value.errors()[0]["loc"] == ("prompt",)


@pytest.mark.parametrize("operator", [RephraseText, GenerateQuestionAnswerPairs])
def test_default_prompts_are_allowed_and_read_text_alone(operator):
    default = operator.model_fields["prompt"].default
    assert operator(model="tiny", prompt=default).reads() == {"text"}
