"""LLM backend for any server that speaks the OpenAI protocol (vLLM, llama.cpp, hosted APIs).

Where it is and how to be let in come from the environment: DATACHEF_LLM_BASE_URL and, where the
server wants one, DATACHEF_LLM_API_KEY. There is no default address: nothing is sent anywhere that
was not named.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from datachef.core import Completion, DatachefError, LLMBackend, LLMError, Request, hookimpl
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
        self._dialects: dict[tuple[str, str], Dialect] = {}

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
        """The answer. Where the server refuses how something is said, it is said in another way,
        and at once so for the same model and schema from then on. A refusal costs nothing."""
        key = request.model, json.dumps(request.response_schema, sort_keys=True)
        dialect = self._dialects.get(key, Dialect())
        while True:
            try:
                answer = self._client.complete(dialect.arguments(request))
            except LLMError as error:
                other = dialect.without_what_is_refused(error, request)
                if other is None:
                    raise
                dialect = other
            else:
                self._dialects[key] = dialect
                return answer


@dataclass(frozen=True)
class Dialect:
    """How a server wants a request to be said: the name of the limit on tokens, and how an answer
    is bound to a schema: by the schema, to any JSON object, or by words in the prompt alone."""

    limit: Literal["max_tokens", "max_completion_tokens"] = "max_tokens"
    schema: Literal["json_schema", "json_object", "words"] = "json_schema"

    def arguments(self, request: Request) -> dict[str, Any]:
        messages = [{"role": role, "content": content} for role, content in request.messages]
        arguments: dict[str, Any] = {
            "model": request.model,
            "messages": messages,
            self.limit: request.max_tokens,
            "temperature": request.temperature,
        }
        if request.seed is not None:
            arguments["seed"] = request.seed
        if request.response_schema is None:
            return arguments
        if self.schema == "json_schema":
            schema = {"name": "answer", "schema": dict(request.response_schema), "strict": True}
            arguments["response_format"] = {"type": "json_schema", "json_schema": schema}
            return arguments
        if self.schema == "json_object":
            arguments["response_format"] = {"type": "json_object"}
        wanted = json.dumps(request.response_schema, ensure_ascii=False)
        words = f"Answer with JSON that obeys this JSON Schema, and with nothing else:\n{wanted}"
        messages[-1]["content"] = f"{messages[-1]['content']}\n\n{words}"
        return arguments

    def without_what_is_refused(self, error: LLMError, request: Request) -> Dialect | None:
        """Another way to say what the server refused; None where it refused something else."""
        if error.status not in _REFUSED:
            return None
        said = error.message.lower()
        if self.limit == "max_tokens" and "max_completion_tokens" in said:
            return replace(self, limit="max_completion_tokens")
        if request.response_schema is None or not any(word in said for word in _OF_SCHEMAS):
            return None
        if self.schema == "json_schema":
            return replace(self, schema="json_object")
        return replace(self, schema="words") if self.schema == "json_object" else None


# How servers refuse a request for what it says, and the words by which they name what binds an
# answer to a schema.
_REFUSED = frozenset((400, 422))
_OF_SCHEMAS = ("response_format", "json_schema", "json_object", "json schema", "structured output")


def _timeout() -> float:
    named = os.environ.get(SECONDS) or str(TIMEOUT)
    try:
        seconds = float(named)
    except ValueError:
        seconds = 0
    if not (math.isfinite(seconds) and seconds > 0):
        raise DatachefError(f"{SECONDS} is {named!r}, no number of seconds", "set it to 600")
    return seconds


@hookimpl
def datachef_llm_backends() -> Mapping[str, Callable[[], LLMBackend]]:
    return {"openai": OpenAIBackend.from_environment}
