"""LLM backend for any server that speaks the OpenAI protocol (vLLM, llama.cpp, hosted APIs).

Where it is and how to be let in come from the environment: DATACHEF_LLM_BASE_URL and, where the
server wants one, DATACHEF_LLM_API_KEY. There is no default address: nothing is sent anywhere that
was not named.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Mapping
from typing import Any

from datachef.core import Completion, DatachefError, LLMBackend, Request, hookimpl
from datachef.core.language_models.openai import API_KEY, TIMEOUT, OpenAIClient

BASE_URL = "DATACHEF_LLM_BASE_URL"
SECONDS = "DATACHEF_LLM_TIMEOUT"
_HINT = f"check {BASE_URL}, {API_KEY} and the name of the model"


class OpenAIBackend(LLMBackend):
    """Chat completions over HTTP."""

    def __init__(self, base_url: str, api_key: str = "", timeout: float = TIMEOUT) -> None:
        """`timeout` is in seconds, for all of an answer. Raises `DatachefError` for what is no
        address or no key."""
        self._client = OpenAIClient(base_url, api_key, timeout=timeout, hint=_HINT)

    @classmethod
    def from_environment(cls) -> OpenAIBackend:
        """The backend that the environment names; a `DatachefError` says what to set."""
        base_url = os.environ.get(BASE_URL, "")
        if not base_url:
            raise DatachefError(
                "the backend openai does not know its server",
                hint=f"set {BASE_URL} (for example http://127.0.0.1:8000/v1) "
                f"and {API_KEY} where the server wants a key",
            )
        return cls(base_url, os.environ.get(API_KEY, ""), _timeout())

    def complete(self, request: Request) -> Completion:
        return self._client.complete(_arguments(request))


def _timeout() -> float:
    named = os.environ.get(SECONDS) or str(TIMEOUT)
    try:
        seconds = float(named)
    except ValueError:
        seconds = 0
    if not (math.isfinite(seconds) and seconds > 0):
        raise DatachefError(f"{SECONDS} is {named!r}, no number of seconds", "set it to 600")
    return seconds


def _arguments(request: Request) -> dict[str, Any]:
    arguments: dict[str, Any] = {
        "model": request.model,
        "messages": [{"role": role, "content": content} for role, content in request.messages],
        "max_tokens": request.max_tokens,
        "temperature": request.temperature,
    }
    if request.seed is not None:
        arguments["seed"] = request.seed
    if request.response_schema is not None:
        schema = {"name": "answer", "schema": dict(request.response_schema), "strict": True}
        arguments["response_format"] = {"type": "json_schema", "json_schema": schema}
    return arguments


@hookimpl
def datachef_llm_backends() -> Mapping[str, Callable[[], LLMBackend]]:
    return {"openai": OpenAIBackend.from_environment}
