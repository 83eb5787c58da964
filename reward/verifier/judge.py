"""One judge: how it is reached, what is sent to it and how its answers are read."""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from datachef.core.answers import (
    AnswerFailure,
    UnparsableAnswerError,
    answer_text,
    json_answer,
)
from datachef.core.llm import Completion, LLMClient, LLMError, Request
from datachef.reward.verifier.verdict import KLASSES, Failure, Klass, Verdict

# The reasoning comes first, so that the class follows from it.
SCHEMA = {
    "type": "object",
    "properties": {
        "reasoning": {"type": "string"},
        "class": {"type": "string", "enum": list(KLASSES)},
    },
    "required": ["reasoning", "class"],
    "additionalProperties": False,
}


class Judge(BaseModel):
    """The settings of a judge."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    backend: str = Field(
        "openai", min_length=1, max_length=100, description="Registered LLM backend."
    )
    model: str = Field(
        min_length=1, max_length=200, description="Name by which the backend knows the model."
    )
    temperature: float = Field(0.0, ge=0, le=2, description="Randomness of the answers.")
    max_tokens: int = Field(
        1024, ge=1, le=1_000_000, description="Longest answer; a longer one is a failure."
    )
    seed: int = Field(0, ge=0, le=2**31 - 1, description="Sent with every request.")
    max_row_chars: int = Field(
        8_000, ge=100, le=10_000_000, description="Of a longer row the middle is not shown."
    )
    max_concurrency: int = Field(8, ge=1, le=1000, description="Requests at a time.")

    def verdicts(self, client: LLMClient, questions: Sequence[str]) -> list[Verdict | Failure]:
        """What the judge says to each question.

        An answer that is refused, cut off, no JSON or of no known class is a `Failure`. Raises what
        the client raises when no request can succeed.
        """
        requests = [
            Request(
                self.model,
                (("user", question),),
                self.max_tokens,
                self.temperature,
                self.seed,
                SCHEMA,
            )
            for question in questions
        ]
        return [read(answer) for answer in client.complete_all(requests, self.max_concurrency)]


class _Answer(BaseModel):
    model_config = ConfigDict(strict=True)

    reasoning: str
    klass: Klass = Field(alias="class")


def read(answer: Completion | LLMError) -> Verdict | Failure:
    """The verdict in an answer, or why there is none."""
    text = answer_text(answer)
    if isinstance(text, AnswerFailure):
        return Failure(f"{text.reason}: {text.detail}")
    try:
        found = _Answer.model_validate(json_answer(text))
    except (UnparsableAnswerError, ValidationError) as error:
        return Failure(f"the answer is not what was asked for: {error}")
    return Verdict(found.klass, found.reasoning)
