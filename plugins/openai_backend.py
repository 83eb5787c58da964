"""LLM backend for any server that speaks the OpenAI protocol (vLLM, llama.cpp, hosted APIs).

Where it is and how to be let in come from the environment: DATACHEF_LLM_BASE_URL and, where the
server wants one, DATACHEF_LLM_API_KEY. There is no default address: nothing is sent anywhere that
was not named.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from datachef.core.errors import DatachefError, RunError
from datachef.core.hookspecs import hookimpl
from datachef.core.llm import Completion, LLMBackend, LLMError, Request, TransientLLMError
from datachef.core.openai_client import openai_client

if TYPE_CHECKING:
    import openai

BASE_URL = "DATACHEF_LLM_BASE_URL"
API_KEY = "DATACHEF_LLM_API_KEY"


class OpenAIBackend(LLMBackend):
    """Chat completions over HTTP."""

    def __init__(self, base_url: str, api_key: str = "") -> None:
        """Raises `MissingPackageError` without the package `openai`."""
        # Whoever calls repeats what failed, and knows how often.
        self._client = openai_client(base_url, api_key, "the backend openai", retries=0)

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
        return cls(base_url, os.environ.get(API_KEY, ""))

    def complete(self, request: Request) -> Completion:
        import openai

        try:
            return _completion(self._client.chat.completions.create(**_arguments(request)))
        except openai.APIStatusError as error:
            raise _by_status(error) from error
        except openai.APIConnectionError as error:  # timeouts too
            raise TransientLLMError(f"no answer from {self._client.base_url}: {error}") from error
        except (openai.APIError, ValueError) as error:
            raise TransientLLMError(f"an answer that is no chat completion: {error}") from error


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


def _completion(answer: Any) -> Completion:
    """The first choice of an answer. Raises `ValueError` for what is no chat completion."""
    try:
        choice = answer.choices[0]
        message, finish = choice.message, choice.finish_reason or "stop"
        text = _text(message.content)
        if message.tool_calls or message.function_call:
            finish = "tool_calls"
        refusal = str(message.refusal or "")
    except (AttributeError, IndexError, KeyError, TypeError):
        raise ValueError("it has no choice with a message") from None
    if finish in ("abort", "aborted", "error", "cancelled"):
        raise ValueError(f"the server broke it off ({finish})")
    usage = answer.usage
    return Completion(
        text,
        usage.prompt_tokens if usage else 0,
        usage.completion_tokens if usage else 0,
        finish == "length",
        finish,
        refusal,
    )


def _text(content: Any) -> str:
    """The text of a message, which some servers give in parts; nothing is empty text."""
    if isinstance(content, list):
        parts = [part["text"] if isinstance(part, dict) else part.text for part in content]
        return "".join(map(str, parts))
    if content is not None and not isinstance(content, str):
        raise TypeError("content is text")
    return content or ""


def _by_status(error: openai.APIStatusError) -> DatachefError:
    """What the status means to the caller: repeat, give up this request, or stop."""
    status = error.status_code
    message = f"the LLM server answered {status}: {error.message[:500]}"
    if status in (401, 403, 404):
        return RunError(message, hint=f"check {BASE_URL}, {API_KEY} and the name of the model")
    if error.code == "insufficient_quota":
        return RunError(message)
    if status in (408, 409, 425, 429) or status >= 500:
        return TransientLLMError(message, retry_after=_seconds(error))
    return LLMError(message)


def _seconds(error: openai.APIStatusError) -> float | None:
    try:
        return max(0.0, float(error.response.headers["retry-after"]))
    except (KeyError, ValueError):
        return None


@hookimpl
def datachef_llm_backends() -> Mapping[str, Callable[[], LLMBackend]]:
    return {"openai": OpenAIBackend.from_environment}
