"""One judge: how it is reached, what is sent to it and how its answers are read."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from datachef.core.answers import (
    AnswerFailure,
    UnparsableAnswerError,
    answer_text,
    json_answer,
)
from datachef.core.errors import RunError
from datachef.core.llm import Completion, LLMClient, LLMError, Request, TransientLLMError
from datachef.reward.verifier.verdict import KLASSES, Failure, Klass, Verdict

# Of the questions to a judge, the share that may be left without an answer for a reason that may
# pass, and for any reason: the value of the others would say nothing of all.
MOST_PASSING = 0.1
MOST_UNANSWERED = 0.5

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

        An answer that is refused, cut off, no JSON or of no known class is a `Failure`, and so is a
        question that got no answer. Raises `RunError` where too many got none (`MOST_PASSING`,
        `MOST_UNANSWERED`), and what the client raises when no request can succeed.
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
        verdicts: dict[int, Verdict | Failure] = {}
        passing = unanswered = 0
        with closing(client.complete_each(requests, self.max_concurrency)) as answers:
            for place, answer in answers:
                verdicts[place] = read(answer)
                if not isinstance(answer, LLMError):
                    continue
                unanswered += 1
                passing += isinstance(answer, TransientLLMError)
                if passing > MOST_PASSING * len(requests) or unanswered > MOST_UNANSWERED * len(
                    requests
                ):
                    raise RunError(
                        f"the judge {self.model} left {unanswered:,} of {len(requests):,} "
                        f"questions unanswered, the last with: {answer.message}",
                        answer.hint or "try again when it answers; what was answered is kept",
                    )
        return [verdicts[place] for place in range(len(requests))]


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
