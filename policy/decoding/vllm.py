"""Decoding with vLLM: an engine in this process, or a server with the OpenAI protocol."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from threading import Event
from typing import Any

from datachef.core.distribution import extra
from datachef.core.errors import DatachefError, MissingPackageError
from datachef.core.language_models.client import LLMError, Persistence
from datachef.core.language_models.openai import TIMEOUT, OpenAIClient
from datachef.policy.decoding.base import (
    ATTEMPTS,
    MAX_TOKENS,
    STRUCTURED_OUTPUTS,
    DraftRequest,
    DraftResponse,
    EngineDecoder,
)
from datachef.policy.decoding.local import count_tokens
from datachef.policy.prompt.writer import Messages


class VLLMDecoder(EngineDecoder):
    """Gives all prompts to a vLLM engine in this process at once.

    A script that uses it needs `if __name__ == "__main__"`, since vLLM starts other processes.
    """

    def __init__(
        self,
        model: str,
        *,
        max_tokens: int = MAX_TOKENS,
        attempts: int = ATTEMPTS,
        options: Mapping[str, Any] | None = None,
    ) -> None:
        """`model` is a folder or a model id on the Hugging Face Hub; `options` are arguments of
        `vllm.LLM`.

        Raises `MissingPackageError` without the package `vllm`, and `DatachefError` if the engine
        does not start.
        """
        super().__init__(model, max_tokens=max_tokens, attempts=attempts)
        try:
            import vllm
        except ImportError as error:
            raise MissingPackageError("vllm", extra("vllm"), "a policy on vLLM") from error
        options = {"structured_outputs_config": STRUCTURED_OUTPUTS, **(options or {})}
        try:
            self._engine = vllm.LLM(model=model, **options)
        except Exception as error:  # of many kinds, which change with its versions
            raise DatachefError(
                f"vLLM cannot start with the model {model}: {error}",
                hint="check the model's name, the options of the engine and the free memory",
            ) from error

    def count_tokens(self, messages: Messages) -> int:
        return count_tokens(messages, self._engine.get_tokenizer())

    def generate(self, requests: Sequence[DraftRequest], temperature: float) -> list[DraftResponse]:
        try:
            outputs = self._engine.chat(
                [list(request.prompt.messages) for request in requests],
                [self._parameters(request, temperature) for request in requests],
                use_tqdm=False,
                # Thinking is turned off in models that have it.
                chat_template_kwargs={"enable_thinking": False},
            )
        except Exception as error:  # of many kinds, which change with its versions
            raise DatachefError(
                f"vLLM gives no answer: {error}",
                hint="check that the prompt fits the model's context, max_model_len of the engine",
            ) from error
        generated = [output.outputs[0] for output in outputs]
        return [
            DraftResponse(answer.text, answer.finish_reason == "length") for answer in generated
        ]

    def _parameters(self, request: DraftRequest, temperature: float) -> Any:
        from vllm import SamplingParams
        from vllm.sampling_params import StructuredOutputsParams

        return SamplingParams(
            max_tokens=self._max_tokens,
            temperature=temperature,
            seed=request.seed,
            structured_outputs=StructuredOutputsParams(json=request.prompt.space.schema()),
        )


# Thinking is turned off in models that have it, as in the other decoders.
EXTRA: Mapping[str, Any] = {"chat_template_kwargs": {"enable_thinking": False}}


class ServerDecoder(EngineDecoder):
    """Sends requests to a server, many at once, so that it can fill its batches."""

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
        """`base_url` ends with /v1, and `model` is the name of the model at the server.

        A request that fails for a temporary reason, or has no response after `timeout` seconds, is
        repeated up to `retries` times. `extra` is what requests contain beyond the protocol; give
        an empty mapping for a server that rejects vLLM's `chat_template_kwargs`.
        """
        super().__init__(model, max_tokens=max_tokens, attempts=attempts)
        self._at_once = at_once
        self._extra = dict(extra)
        self._client = OpenAIClient(base_url, api_key, timeout=timeout)
        self._persistence = Persistence(retries + 1, first_wait=0.5, longest_wait=8.0)

    def generate(self, requests: Sequence[DraftRequest], temperature: float) -> list[DraftResponse]:
        stop = Event()
        with ThreadPoolExecutor(self._at_once) as pool:
            futures = [
                pool.submit(self._respond, request, temperature, stop) for request in requests
            ]
            try:
                return [future.result() for future in futures]
            except BaseException:
                stop.set()
                pool.shutdown(wait=False, cancel_futures=True)
                raise

    def _respond(self, request: DraftRequest, temperature: float, stop: Event) -> DraftResponse:
        arguments = {**self._arguments(request), "temperature": temperature, **self._extra}
        spread = request.seed % 100 / 100
        try:
            answer = self._persistence.ask(lambda: self._client.complete(arguments), spread, stop)
        except LLMError as error:
            raise DatachefError(error.message, self._hint(error.status)) from error
        return DraftResponse(answer.text, answer.truncated)

    def _arguments(self, request: DraftRequest) -> dict[str, Any]:
        schema = {"name": "draft", "schema": request.prompt.space.schema(), "strict": True}
        return {
            "model": self._name,
            "messages": list(request.prompt.messages),
            "max_tokens": self._max_tokens,
            "seed": request.seed,
            "response_format": {"type": "json_schema", "json_schema": schema},
        }

    def _hint(self, status: int | None) -> str:
        """What to do if the server responds with this status, or not at all."""
        if status is None:
            return "start the server, for example by `vllm serve`, and check its address"
        if 200 <= status < 300:
            return "check the address: it ends with /v1"
        if status < 500:
            return (
                f"check that the prompt and max_tokens={self._max_tokens} fit the model's context, "
                "and that the server knows a response_format of json_schema"
            )
        return "see the log of the server"
