from __future__ import annotations

import contextlib

import pytest
from hypothesis import given, strategies as st

from datachef.core import (
    Completion,
    LLMError,
    UnparsableAnswerError,
    json_answer,
    unfenced,
    without_reasoning,
)
from datachef.core.language_models.answers import AnswerFailure, answer_text


@pytest.mark.parametrize(
    "answer",
    [
        "The answer.",
        " The answer.\n",
        "<think>Let me see.</think>The answer.",
        "<think>\nLet me\nsee.\n</think>\n\nThe answer.",
        "<THINK>x</Think> The answer.",
        "<thinking>x</thinking>The answer.",
        "<reasoning effort='high'>x</reasoning>The answer.",
        "<think>a<think>b</think>c</think>The answer.",
        "<think>a</think>The <thought>b</thought>answer.",
        "So the user wants this.</think>The answer.",
        "<think></think>The answer.",
        "[THINK]x[/THINK]The answer.",
        "◁think▷x◁/think▷The answer.",
        "<seed:think>x</seed:think>The answer.",
        "<|begin_of_thought|>x<|end_of_thought|>The answer.",
        "<|channel|>analysis<|message|>x<|end|><|start|>assistant<|channel|>final<|message|>"
        "The answer.<|return|>",
        "analysisThe user wants one.assistantfinalThe answer.",
        "<|START_THINKING|>x<|END_THINKING|>The answer.",
        "The answer.<|im_end|>",
        "<think>x</think>The answer.<|eot_id|>\n<|endoftext|>",
        "The answer.</s>",
    ],
)
def test_reasoning_is_no_part_of_an_answer(answer):
    assert without_reasoning(answer) == "The answer."
    assert answer_text(Completion(answer)) == "The answer."


@pytest.mark.parametrize(
    "answer",
    [
        "<think>I was cut off",
        "The answer.<think>and more",
        "<think>a<think>b</think>The answer?",
        "<|channel|>analysis<|message|>I was cut off",
    ],
)
def test_reasoning_that_does_not_end_leaves_no_answer(answer):
    with pytest.raises(UnparsableAnswerError, match="does not end"):
        without_reasoning(answer)
    found = answer_text(Completion(answer))
    assert isinstance(found, AnswerFailure)
    assert found.reason == "unparsable_answer"


@pytest.mark.parametrize(
    "text",
    [
        "I think so.",
        "a < think > b?",
        "thinking> is",
        "<b>x</b>",
        "Write `<think>` before `</think>`.",
        "an <s>old</s>",
    ],
)
def test_words_about_thinking_stay(text):
    assert without_reasoning(text) == text


@pytest.mark.parametrize(
    ("completion", "reason"),
    [
        (Completion("half of it", truncated=True), "truncated_answer"),
        (Completion("half of it", finish_reason="length"), "truncated_answer"),
        (Completion("half of it", finish_reason="content_filter"), "filtered_answer"),
        (Completion("", refusal="No."), "refused_answer"),
        (Completion("Let me look.", finish_reason="tool_calls"), "unparsable_answer"),
        (Completion(""), "empty_answer"),
        (Completion(" \n"), "empty_answer"),
        (Completion("<think>all of it</think>"), "empty_answer"),
        (Completion("I'm sorry, but I can't assist with that."), "refused_answer"),
        (Completion("I’m sorry, but I cannot help with this request."), "refused_answer"),
        (Completion("I cannot provide that information."), "refused_answer"),
        (Completion("I'm unable to rewrite this text."), "refused_answer"),
        (Completion("As an AI language model, I have no opinions."), "refused_answer"),
        (Completion("抱歉，我无法帮助您完成这个请求。"), "refused_answer"),
        (LLMError("no"), "llm_error"),
    ],
)
def test_what_is_no_answer_has_a_reason(completion, reason):
    found = answer_text(completion)
    assert isinstance(found, AnswerFailure)
    assert found.reason == reason


@pytest.mark.parametrize(
    "text",
    [
        "I cannot help but smile when the sun comes out.",
        "I'm sorry that I could not come to your party.",
        "Unfortunately, the bridge was closed that day.",
        "She said: I can't assist with that.",
        "I can't swim, and I will not learn it.",
        "I'm sorry, but I can't assist with that. " + "And so on it went. " * 50,
    ],
)
def test_what_sounds_like_a_refusal_and_is_none(text):
    assert answer_text(Completion(text)) == text.strip()


def test_a_refusal_that_was_asked_for_is_an_answer():
    text = "I am sorry, but I cannot help with that."
    assert answer_text(Completion(text), asked="Sorry, I can't help with that.") == text


OBJECT = '{"a": [1, {"b": "x, }"}]}'
VALUE = {"a": [1, {"b": "x, }"}]}


@pytest.mark.parametrize(
    "answer",
    [
        OBJECT,
        f" {OBJECT}\n",
        f"```json\n{OBJECT}\n```",
        f"```\n{OBJECT}\n```",
        f"~~~json\n{OBJECT}\n~~~",
        f"````json\n{OBJECT}\n````",
        f"```json\n{OBJECT}",
        f"```json {OBJECT} ```",
        f"Sure! Here it is:\n```json\n{OBJECT}\n```\nHope this helps :)",
        f"Here it is: {OBJECT} as you asked [1].",
        f'<think>Maybe {{"a": 2}}?</think>{OBJECT}',
        f"Write {{name}} like this: {OBJECT}",
        '{"a": [1, {"b": "x, }",},],}',
        'Here: {"a": [1, {"b": "x, }",},],}',
        f"```json\n{OBJECT}\n```\nand again\n```json\n{OBJECT}\n```",
    ],
)
def test_json_amid_words(answer):
    assert json_answer(answer) == VALUE


def test_a_tag_in_a_string_of_json_is_a_word_like_others():
    answer = '{"reasoning": "the row shows a <think> tag", "class": "format"}'
    assert answer_text(Completion(answer)) == answer
    assert json_answer(answer)["class"] == "format"


def test_a_list_is_json_too():
    assert json_answer("Here:\n[1, 2, 3]\nDone.") == [1, 2, 3]


@pytest.mark.parametrize(
    "answer",
    [
        "", "{", "Sure! Here it is", "```", "```json\n{\n```", "12", "null", '"text"',
        OBJECT[:-2],
        f"Here: {OBJECT[:-1]}",
        '{"pairs": [{"a": 1}, {"a"',
        '{"a": 1} or {"a": 2}',
        '```json\n{"a": 1}\n```\n```json\n{"a": 2}\n```',
        '{"a": NaN}',
        '{"a": "\\ud800"}',
        "[" * 5000,
        "<think>" + OBJECT,
    ],
)  # fmt: skip
def test_answers_that_are_no_json(answer):
    with pytest.raises(UnparsableAnswerError):
        json_answer(answer)


@given(st.text(alphabet='<>/think{}[]`~":,1\n ', max_size=60))
def test_any_answer_is_read_or_refused(answer):
    with contextlib.suppress(UnparsableAnswerError):
        assert isinstance(json_answer(answer), dict | list)


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("```\nA text.\n```", "A text."),
        ("~~~markdown\n# A\n\ntext\n~~~", "# A\n\ntext"),
        ("Code:\n```\nx\n```", "Code:\n```\nx\n```"),
        ("```\nx\n```\nand\n```\ny\n```", "```\nx\n```\nand\n```\ny\n```"),
    ],
)
def test_a_fence_around_the_whole_goes(text, plain):
    assert unfenced(text) == plain


@pytest.mark.parametrize(
    ("finish", "reason"),
    [
        ("prohibited_content", "filtered_answer"),
        ("content-filter", "filtered_answer"),
        ("sensitive", "filtered_answer"),
        ("model_context_window_exceeded", "truncated_answer"),
        ("refusal", "refused_answer"),
        ("insufficient_system_resource", "unparsable_answer"),
        ("end_turn", None),
        ("eos", None),
    ],
)
def test_how_an_answer_ends_decides_whether_it_is_one(finish, reason):
    found = answer_text(Completion("The answer.", finish_reason=finish))
    assert (found.reason if isinstance(found, AnswerFailure) else None) == reason


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("\u200b\u200b", "empty_answer"),
        ("<|im_end|>", "empty_answer"),
        ('<think>x</think><tool_call>{"name": "f"}</tool_call>', "unparsable_answer"),
        ('[TOOL_CALLS][{"name": "f"}]', "unparsable_answer"),
        ("Je suis désolé, mais je ne peux pas vous aider.", "refused_answer"),
        ("Lo siento, pero no puedo ayudarte con eso.", "refused_answer"),
        ("Es tut mir leid, aber dabei kann ich nicht helfen.", "refused_answer"),
        ("申し訳ありませんが、お手伝いできません。", "refused_answer"),
    ],
)
def test_text_that_is_no_answer(text, reason):
    found = answer_text(Completion(text), asked="Some text.")
    assert isinstance(found, AnswerFailure)
    assert found.reason == reason


def test_lines_may_end_within_strings_of_json():
    assert json_answer('{"code": "a\nb\tc"}') == {"code": "a\nb\tc"}
