"""Drafts from a vLLM engine of this process."""

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
    Answer,
    AskingDecoder,
    Question,
)
from datachef.policy.decoding.local import count_tokens
from datachef.policy.prompt.writer import Messages


class InProcessDecoder(AskingDecoder):
    """Gives all briefs to the engine at once. A script that makes one guards its main module by
    `if __name__ == "__main__"`, since vLLM starts processes of its own."""

    def __init__(
        self,
        model: str,
        *,
        max_tokens: int = MAX_TOKENS,
        attempts: int = ATTEMPTS,
        options: Mapping[str, Any] | None = None,
    ) -> None:
        """`model` is a folder or a name on the hub; `options` are keywords of `vllm.LLM`.

        Raises `MissingPackageError` without the package `vllm`, and `DatachefError` where the
        engine does not start.
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

    def ask(self, questions: Sequence[Question], temperature: float) -> list[Answer]:
        try:
            outputs = self._engine.chat(
                [list(question.brief.messages) for question in questions],
                [self._parameters(question, temperature) for question in questions],
                use_tqdm=False,
                # Models that could think aloud before they answer are told not to.
                chat_template_kwargs={"enable_thinking": False},
            )
        except Exception as error:  # of many kinds, which change with its versions
            raise DatachefError(
                f"vLLM gives no answer: {error}",
                hint="check that the prompt fits the model's context, max_model_len of the engine",
            ) from error
        answers = [output.outputs[0] for output in outputs]
        return [Answer(answer.text, answer.finish_reason == "length") for answer in answers]

    def _parameters(self, question: Question, temperature: float) -> Any:
        from vllm import SamplingParams
        from vllm.sampling_params import StructuredOutputsParams

        return SamplingParams(
            max_tokens=self._max_tokens,
            temperature=temperature,
            seed=question.seed,
            structured_outputs=StructuredOutputsParams(json=question.brief.space.schema()),
        )


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
        an empty mapping for a server that refuses vLLM's `chat_template_kwargs`.
        """
        super().__init__(model, max_tokens=max_tokens, attempts=attempts)
        self._at_once = at_once
        self._extra = dict(extra)
        self._client = OpenAIClient(base_url, api_key, timeout=timeout)
        self._persistence = Persistence(retries + 1, first_wait=0.5, longest_wait=8.0)

    def ask(self, questions: Sequence[Question], temperature: float) -> list[Answer]:
        stop = Event()
        with ThreadPoolExecutor(self._at_once) as pool:
            futures = [
                pool.submit(self._answer, question, temperature, stop) for question in questions
            ]
            try:
                return [future.result() for future in futures]
            except BaseException:
                stop.set()
                pool.shutdown(wait=False, cancel_futures=True)
                raise

    def _answer(self, question: Question, temperature: float, stop: Event) -> Answer:
        arguments = {**self._arguments(question), "temperature": temperature, **self._extra}
        spread = question.seed % 100 / 100
        try:
            answer = self._persistence.ask(lambda: self._client.complete(arguments), spread, stop)
        except LLMError as error:
            raise DatachefError(error.message, self._hint(error.status)) from error
        return Answer(answer.text, answer.truncated)

    def _arguments(self, question: Question) -> dict[str, Any]:
        schema = {"name": "draft", "schema": question.brief.space.schema(), "strict": True}
        return {
            "model": self._name,
            "messages": list(question.brief.messages),
            "max_tokens": self._max_tokens,
            "seed": question.seed,
            "response_format": {"type": "json_schema", "json_schema": schema},
        }

    def _hint(self, status: int | None) -> str:
        """What to do where the server answered with this status, or not at all."""
        if status is None:
            return "start the server, for example by `vllm serve`, and check its address"
        if 200 <= status < 300:
            return "check the address: it ends with /v1"
        if status < 500:
            return (
                f"check that the prompt and max_tokens={self._max_tokens} fit the model's context, "
                "and that the server knows a response_format of json_schema"
            )
        return "the server's log tells why"
