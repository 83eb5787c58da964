"""LLM backends of plugins that give what is no answer, or raise."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from model_server import kept, rephrased

from datachef.core import Completion, LLMBackend, PluginError, Request, Services
from datachef.core.language_models.client import LLMClient, Persistence


class Given(LLMBackend):
    """A backend of somebody else, which gives or raises what it is told."""

    def __init__(self, answer: Any) -> None:
        self.answer = answer
        self.calls = 0

    def complete(self, request: Request) -> Completion:
        self.calls += 1
        if isinstance(self.answer, BaseException):
            raise self.answer
        return self.answer  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    "answer",
    [
        Completion(None),  # type: ignore[arg-type]
        Completion(3),  # type: ignore[arg-type]
        Completion(["a"]),  # type: ignore[arg-type]
        Completion("a", prompt_tokens="7"),  # type: ignore[arg-type]
        Completion("a", completion_tokens=-1),
        Completion("a", completion_tokens=2**80),
        Completion("a", truncated="no"),  # type: ignore[arg-type]
        Completion("a", finish_reason=None),  # type: ignore[arg-type]
        Completion("a", refusal=b"no"),  # type: ignore[arg-type]
        Completion("half \ud800"),
        Completion("a", finish_reason="\udfff"),
    ],
)
def test_answers_of_another_type_fail_their_rows_once(tmp_path: Path, answer: Any) -> None:
    backend = Given(answer)
    services = Services({"openai": lambda: backend}, tmp_path)
    outcome = rephrased(services, "a", "b", "c", "d")
    assert outcome.failed["reason"].to_list() == ["llm_error"] * 4
    assert backend.calls == 4
    assert kept(tmp_path) == []


def test_what_another_backend_tells_was_broken_off_is_asked_again(tmp_path: Path) -> None:
    backend = Given(Completion("half", finish_reason="Aborted"))
    services = Services({"openai": lambda: backend}, tmp_path)
    services.llm("openai").persistence = Persistence(2, 0.0, 0.0)
    assert rephrased(services, "a").failed["reason"].to_list() == ["no_answer"]
    assert backend.calls == 2
    assert kept(tmp_path) == []


@pytest.mark.parametrize(
    "answer", [None, "text", {"text": "a"}, KeyError("choices"), ZeroDivisionError()]
)
def test_mistakes_of_a_backend_are_its_authors(tmp_path: Path, answer: Any) -> None:
    backend = Given(answer)
    client = LLMClient("theirs", lambda: backend, tmp_path)
    with pytest.raises(PluginError, match="the LLM backend theirs"):
        client.complete_all([Request("tiny", (("user", str(n)),), 5) for n in range(40)], 1)
    assert backend.calls <= 2
    assert kept(tmp_path) == []
