"""Drafts from a vLLM engine of this process."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from datachef.core.distribution import extra
from datachef.core.errors import DatachefError, MissingPackageError
from datachef.policy.brief import Messages
from datachef.policy.decoding.asking import (
    ATTEMPTS,
    MAX_TOKENS,
    STRUCTURED_OUTPUTS,
    Answer,
    AskingDecoder,
    Question,
)
from datachef.policy.decoding.local import count_tokens


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
