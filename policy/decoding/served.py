"""Drafts from a server that speaks the OpenAI protocol and knows structured outputs, as vLLM's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from datachef.core.errors import DatachefError
from datachef.core.openai_client import TIMEOUT, openai_client
from datachef.policy.decoding.asking import (
    ATTEMPTS,
    MAX_TOKENS,
    Answer,
    AskingDecoder,
    Question,
)

if TYPE_CHECKING:
    import openai

# Models that could think aloud before they answer are told not to, as by the other decoders.
EXTRA: Mapping[str, Any] = {"chat_template_kwargs": {"enable_thinking": False}}


class ServedDecoder(AskingDecoder):
    """Asks a server; the more at once, the better it fills its batches."""

    def __init__(
        self,
        base_url: str,
        model: str,
        api_key: str = "",
        *,
        max_tokens: int = MAX_TOKENS,
        attempts: int = ATTEMPTS,
        at_once: int = 64,
        retries: int = 4,
        timeout: float = TIMEOUT,
        extra: Mapping[str, Any] = EXTRA,
    ) -> None:
        """`base_url` ends with /v1, and `model` is the name that the server knows it by.

        A request that fails for a reason that may pass, or has no answer after `timeout` seconds,
        is repeated up to `retries` times. `extra` is what requests have beyond the protocol; give
        an empty mapping for a server that refuses vLLM's `chat_template_kwargs`. Raises
        `MissingPackageError` without the package `openai`.
        """
        super().__init__(model, max_tokens=max_tokens, attempts=attempts)
        self._url = base_url
        self._at_once = at_once
        self._extra = dict(extra)
        self._client = openai_client(
            base_url, api_key, "a policy behind a server", retries=retries, timeout=timeout
        )

    def ask(self, questions: Sequence[Question], temperature: float) -> list[Answer]:
        with ThreadPoolExecutor(self._at_once) as pool:
            futures = [pool.submit(self._answer, question, temperature) for question in questions]
            try:
                return [future.result() for future in futures]
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise

    def _answer(self, question: Question, temperature: float) -> Answer:
        import openai

        try:
            answer = self._client.chat.completions.create(
                **self._arguments(question), temperature=temperature, extra_body=self._extra
            )
        except openai.APIStatusError as error:
            raise self._by_status(error) from error
        except openai.APIConnectionError as error:  # timeouts too
            raise DatachefError(
                f"no answer from {self._url}: {error}",
                hint="start the server, for example by `vllm serve`, and check its address",
            ) from error
        except (openai.APIError, ValueError) as error:
            raise self._no_completion() from error
        try:
            choice = answer.choices[0]
            content, cut = choice.message.content, choice.finish_reason == "length"
        except (AttributeError, IndexError, KeyError, TypeError):
            raise self._no_completion() from None
        if not isinstance(content, str | None):
            raise self._no_completion()
        return Answer(content or "", cut)

    def _arguments(self, question: Question) -> dict[str, Any]:
        schema = {"name": "draft", "schema": question.brief.space.schema(), "strict": True}
        return {
            "model": self._name,
            "messages": list(question.brief.messages),
            "max_tokens": self._max_tokens,
            "seed": question.seed,
            "response_format": {"type": "json_schema", "json_schema": schema},
        }

    def _no_completion(self) -> DatachefError:
        return DatachefError(
            f"{self._url} answered with something that is no chat completion",
            hint="check the address: it ends with /v1",
        )

    def _by_status(self, error: openai.APIStatusError) -> DatachefError:
        if error.status_code in (401, 403, 404):
            hint = "check the address, which ends with /v1, the key and the name of the model"
        elif error.status_code in (400, 413, 422):
            hint = (
                f"check that the prompt and max_tokens={self._max_tokens} fit the model's context, "
                "and that the server knows a response_format of json_schema"
            )
        else:
            hint = "the server's log tells why"
        message = f"{self._url} answered {error.status_code}: {error.message[:500]}"
        return DatachefError(message, hint)
