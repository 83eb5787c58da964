"""Questions with an answer, made into questions with options."""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import blake2b
from typing import Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from datachef.core import (
    DroppedRowError,
    PromptTemplate,
    UnparsableAnswerError,
    final_answer,
    json_answer,
    normalised_answer,
    without_reasoning,
)
from datachef.operators.synthesis.exchange import Exchange, ExchangeSynthesis, exchange_of

_LETTERS = "ABCDEFGH"
_PROMPT = """\
Below are a question and its right answer. Write {{ distractors }} wrong answers to the question.

- Each is wrong beyond doubt, but looks right to somebody who does not know the subject well.
- Each is as long as the right answer and written in the same form.
- They differ from the right answer and from one another in what they say.

Answer with JSON: {"distractors": ["...", "..."]}

Question: {{ question }}
Right answer: {{ answer }}
"""


class _Distractors(BaseModel):
    model_config = ConfigDict(str_strip_whitespace=True, strict=True, defer_build=True)

    distractors: list[Annotated[str, AfterValidator(without_reasoning), Field(min_length=1)]]


class ToMultipleChoice(ExchangeSynthesis):
    """Turns questions with a short answer into multiple choice, with wrong options by a model.

    The right option is what the answer marks as final, or else the whole answer; its place is drawn
    for each row by its id. Rows whose answer is longer than `max_answer_chars` are dropped as
    `long_answer` before any call, those with too few different wrong options as
    `poor_distractors`. That the options are wrong is for the model to know; `judge_score` says what
    another one thinks of them. Templates may name `question`, `answer` and
    `distractors`, how many are asked for.
    """

    op: Literal["to_multiple_choice"] = "to_multiple_choice"

    max_rows: ClassVar[int | None] = 1
    needs_answer: ClassVar[bool] = True

    prompt: PromptTemplate = Field(_PROMPT, description="Template of the user message.")
    options: int = Field(4, ge=2, le=8, description="Options of a question, the right one too.")
    answer: Literal["letter", "text", "letter_and_text"] = Field(
        "letter", description="What the assistant answers."
    )
    max_answer_chars: int = Field(
        200, ge=1, le=10_000, description="Longest answer that can be an option."
    )

    def reasons(self) -> tuple[str, ...]:
        return (*super().reasons(), "long_answer", "poor_distractors")

    def variables(self) -> Mapping[str, Any]:
        return {"distractors": self.options - 1}

    def shown(self, exchange: Exchange, row: Mapping[str, Any]) -> Mapping[str, Any]:
        return {**super().shown(exchange, row), "answer": self._right(exchange)}

    def _right(self, exchange: Exchange) -> str:
        said = (exchange.answer or "").strip()
        right = final_answer(said) or said
        if len(right) > self.max_answer_chars:
            raise DroppedRowError("long_answer", right[:200])
        return right

    def response_schema(self) -> Mapping[str, Any]:
        count = self.options - 1
        texts = {
            "type": "array",
            "items": {"type": "string"},
            "minItems": count,
            "maxItems": count,
        }
        return {
            "type": "object",
            "properties": {"distractors": texts},
            "required": ["distractors"],
            "additionalProperties": False,
        }

    def parse(self, answer: str, row: dict[str, Any]) -> list[dict[str, Any]]:
        said = json_answer(answer)
        try:
            found = _Distractors.model_validate(
                {"distractors": said} if isinstance(said, list) else said
            )
        except ValidationError as error:
            raise UnparsableAnswerError(str(error)) from error
        exchange = exchange_of(row)
        right = self._right(exchange)
        different = {normalised_answer(text): text for text in reversed(found.distractors)}
        different.pop(normalised_answer(right), None)
        wrong = list(different.values())[::-1][: self.options - 1]
        if len(wrong) < self.options - 1:
            raise DroppedRowError("poor_distractors", "; ".join(found.distractors))
        key = blake2b(f"{self.seed} {row['id']}".encode(), digest_size=8).digest()
        place = int.from_bytes(key) % self.options
        options = [*wrong[:place], right, *wrong[place:]]
        letter = _LETTERS[place]
        listed = "\n".join(f"{name}. {text}" for name, text in zip(_LETTERS, options, strict=False))
        answers = {"letter": letter, "text": right, "letter_and_text": f"{letter}. {right}"}
        return [exchange.answered(answers[self.answer], f"{exchange.question.rstrip()}\n{listed}")]
