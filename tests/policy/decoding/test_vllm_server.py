"""Drafts from servers, scripted ones and vLLM's."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from datachef.core import DatachefError, Problem
from datachef.policy.decoding.vllm import ServerDecoder
from datachef.policy.prompt.writer import Prompt
from datachef.policy.space import RandomChooser, RecipeSpace


@pytest.fixture
def draft_of(served_space: RecipeSpace, llm_server: Any) -> Callable[[str], dict[str, Any]]:
    """The draft that the scripted server answers with, one for each prompt."""

    def draft(prompt: str) -> dict[str, Any]:
        return served_space.draw(RandomChooser(prompt))

    llm_server.answer = lambda prompt: json.dumps(draft(prompt))
    return draft


def test_a_draft_for_each_prompt_in_their_order(
    llm_server: Any, prompts: list[Prompt], draft_of: Callable[[str], dict[str, Any]]
) -> None:
    llm_server.delays = {"Write recipe 0.": 0.2}
    decoder = ServerDecoder(llm_server.url, "tiny", "key", max_tokens=77, at_once=4)
    drafts = decoder.sample(prompts, temperature=0.5, seed=3)
    assert drafts == [draft_of(prompt.messages[-1]["content"]) for prompt in prompts]
    assert 1 < llm_server.most_at_once <= 4
    call = next(c for c in llm_server.calls if c["messages"] == list(prompts[5].messages))
    assert call["response_format"]["json_schema"]["schema"] == prompts[5].space.schema()
    assert call["response_format"]["json_schema"]["strict"] is True
    assert (call["model"], call["temperature"], call["max_tokens"]) == ("tiny", 0.5, 77)
    assert call["chat_template_kwargs"] == {"enable_thinking": False}
    assert llm_server.seen_headers[0]["authorization"] == "Bearer key"
    assert decoder.sample([]) == []


def test_seeds_differ_by_prompt_and_are_the_same_again(
    llm_server: Any, prompts: list[Prompt], draft_of: Callable[[str], dict[str, Any]]
) -> None:
    decoder = ServerDecoder(llm_server.url, "tiny")
    # The same prompt several times over is a group of a reinforcement learner.
    for seed in (1, 1, 2):
        decoder.sample([prompts[0]] * 8, seed=seed)
    seeds = [call["seed"] for call in llm_server.calls]
    first, again, other = (set(seeds[start : start + 8]) for start in (0, 8, 16))
    assert first == again
    assert len(first | other) == 16


@pytest.mark.parametrize("wrong", ["Sure! Here is one.", "{}", '{"sources": ', "null", ""])
def test_an_answer_that_is_no_draft_is_asked_again_with_another_seed(
    llm_server: Any,
    prompts: list[Prompt],
    draft_of: Callable[[str], dict[str, Any]],
    wrong: str,
) -> None:
    llm_server.script.append(llm_server.completion(wrong))
    drafts = ServerDecoder(llm_server.url, "tiny", at_once=1).sample(prompts[:3])
    assert drafts == [draft_of(prompt.messages[-1]["content"]) for prompt in prompts[:3]]
    assert llm_server.prompts() == [f"Write recipe {number}." for number in (0, 1, 2, 0)]
    assert llm_server.calls[0]["seed"] != llm_server.calls[3]["seed"]


def test_a_model_that_writes_no_drafts_is_told_of(
    llm_server: Any, prompts: list[Prompt], draft_of: Callable[[str], dict[str, Any]]
) -> None:
    answer = llm_server.answer
    llm_server.answer = lambda prompt: "I would rather not." if "7" in prompt else answer(prompt)
    decoder = ServerDecoder(llm_server.url, "tiny", attempts=2, max_tokens=99)
    with pytest.raises(DatachefError) as caught:
        decoder.sample(prompts)
    said = "asked 2 times, wrote no draft for 1 of 16 prompts; the last answer is no JSON: 'I would"
    assert said in caught.value.message
    assert "--structured-outputs-config" in caught.value.hint
    assert "max_tokens=99" in caught.value.hint
    assert len(llm_server.calls) == 17
    # The likeliest answer would be the same again.
    with pytest.raises(DatachefError, match="asked once"):
        decoder.sample(prompts[7:8], temperature=0)
    assert len(llm_server.calls) == 18


def test_an_answer_that_is_cut_off_says_so(llm_server: Any, prompts: list[Prompt]) -> None:
    llm_server.answer = lambda prompt: '{"sources": ' + " " * 1000
    llm_server.finish_reason = "length"
    with pytest.raises(DatachefError, match=r"was cut off: '\{.{,400}$"):
        ServerDecoder(llm_server.url, "tiny").sample(prompts[:1])


def test_failures_that_pass_are_repeated(
    llm_server: Any, prompts: list[Prompt], draft_of: Callable[[str], dict[str, Any]]
) -> None:
    llm_server.script.extend([429, 503])
    assert ServerDecoder(llm_server.url, "tiny").sample(prompts[:1]) == [
        draft_of("Write recipe 0.")
    ]
    assert len(llm_server.calls) == 3


@pytest.mark.parametrize(
    ("scripted", "message", "hint"),
    [
        (401, "answered 401", "the key"),
        (404, "answered 404", "name of the model"),
        (400, "answered 400", "json_schema"),
        (500, "answered 500", "log"),
        (b"<html>hello</html>", "no chat completion", "/v1"),
        (b'{"object": "list"}', "no chat completion", "/v1"),
        (b'{"choices": [null]}', "no chat completion", "/v1"),
    ],
)
def test_what_a_server_refuses_ends_it_all(
    llm_server: Any, prompts: list[Prompt], scripted: int | bytes, message: str, hint: str
) -> None:
    llm_server.script.extend([scripted] * len(prompts))
    with pytest.raises(DatachefError, match=message) as caught:
        ServerDecoder(llm_server.url, "tiny", retries=0).sample(prompts)
    assert hint in caught.value.hint


def test_a_server_that_is_down_is_told_of(prompts: list[Prompt]) -> None:
    with pytest.raises(DatachefError, match="no answer from http://127") as caught:
        ServerDecoder("http://127.0.0.1:9/v1", "tiny", retries=0).sample(prompts)
    assert "vllm serve" in caught.value.hint


@pytest.mark.slow
def test_a_real_server_writes_nothing_but_recipes(
    vllm_server: Any,
    prompts: list[Prompt],
    problems: Callable[[RecipeSpace, dict[str, Any]], list[Problem]],
) -> None:
    decoder = ServerDecoder(vllm_server.url, vllm_server.model, max_tokens=2000)
    drafts = decoder.sample(prompts, seed=1)
    assert [problems(prompts[0].space, draft) for draft in drafts] == [[]] * 16
    assert decoder.sample(prompts, seed=1) == drafts
    others = decoder.sample(prompts, seed=2)
    assert others != drafts
    assert len({json.dumps(draft) for draft in drafts + others}) > 16
    # Its own words where the prompt does not fit.
    long = Prompt(prompts[0].space, ({"role": "user", "content": "Write. " * 10_000},))
    with pytest.raises(DatachefError, match="answered 400") as caught:
        decoder.sample([long])
    assert "context" in caught.value.hint
