"""What vLLM samples under our grammar is replayed by it, token for token."""

from __future__ import annotations

import json
from http.client import HTTPConnection
from typing import Any
from urllib.parse import urlsplit

import pytest

from datachef.core.language_models.checkpoint import load_tokenizer
from datachef.policy.decoding.local import text_of
from datachef.policy.grammar import lark_grammar
from datachef.policy.prompt.writer import Prompt
from datachef.policy.training.grammar_trainer import GrammarCache


def rollouts(server: Any, prompt: Prompt, count: int) -> list[tuple[list[int], list[int]]]:
    """Tokens of the prompt and of the recipe, repeated."""
    address = urlsplit(server.url)
    found = []
    for seed in range(count):
        connection = HTTPConnection(address.hostname or "", address.port, timeout=300)
        body = {
            "model": server.model, "messages": list(prompt.messages), "seed": seed,
            "max_tokens": 2048, "temperature": 1.0, "return_token_ids": True,
            "structured_outputs": {"grammar": lark_grammar(prompt.space.schema())},
            "chat_template_kwargs": {"enable_thinking": False},
        }  # fmt: skip
        connection.request(
            "POST", address.path + "/chat/completions", json.dumps(body),
            {"Content-Type": "application/json"},
        )  # fmt: skip
        answer = json.loads(connection.getresponse().read())
        found.append((answer["prompt_token_ids"], answer["choices"][0]["token_ids"]))
        connection.close()
    return found


@pytest.mark.slow
def test_rollouts_of_vllm_are_replayed_by_the_grammar(
    vllm_server: Any, vllm_installation: Any, prompts: list[Prompt]
) -> None:
    import torch

    tokenizer = load_tokenizer(vllm_installation.model)
    grammars = GrammarCache(tokenizer, fast_forward=False)
    assert grammars.add(prompts[0])
    sampled = rollouts(vllm_server, prompts[0], 8)
    assert len({tuple(text) for _, text in sampled}) > 1
    for prompt, text in sampled:
        assert prompts[0].space.root.contains(json.loads(text_of(text, tokenizer)))
        ids = torch.tensor([[*prompt, *text]])
        # A token that our masks forbid raises here.
        decided = grammars.decisions(ids, torch.ones_like(ids), len(prompt))
        assert 0 < len(decided.allowed) <= len(text)
