"""Questions about a document with their answers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from datachef.core import (
    PromptTemplate,
    Synthesis,
    UnparsableAnswerError,
    json_answer,
    without_reasoning,
)

_PROMPT = """\
Read the document and write {{ pairs }} different question and answer pairs about it.

- The document answers every question; add nothing that it does not say.
- Each question can be understood without the document.
- Each answer is complete, correct and explains itself where reasoning is needed.

Answer with JSON: {"pairs": [{"question": "...", "answer": "..."}]}

Document:
{{ text }}
"""


# Bound to write JSON, a model may think in its strings.
_Said = Annotated[str, AfterValidator(without_reasoning), Field(min_length=1)]


class _Pair(BaseModel):
    model_config = ConfigDict(str_strip_whitespace=True, strict=True, defer_build=True)

    question: _Said
    answer: _Said


class _Answer(BaseModel):
    model_config = ConfigDict(strict=True, defer_build=True)

    pairs: list[_Pair] = Field(min_length=1)


class GenerateQuestionAnswerPairs(Synthesis):
    """Makes chat rows, each a question about the document and its answer.

    Templates may name `pairs`. An answer with more pairs than asked for is cut, one with fewer is
    taken as it is.
    """

    op: Literal["generate_question_answer_pairs"] = "generate_question_answer_pairs"

    version: ClassVar[int] = 2
    max_rows: ClassVar[int | None] = 20

    prompt: PromptTemplate = Field(_PROMPT, description="Template of the user message.")
    pairs: int = Field(3, ge=1, le=20, description="Pairs per document.")

    @property
    def rows_per_row(self) -> int:
        return self.pairs

    def writes(self) -> set[str]:
        return super().writes() | {"messages"}

    def variables(self) -> Mapping[str, Any]:
        return {"pairs": self.pairs}

    def response_schema(self) -> Mapping[str, Any]:
        text = {"type": "string"}
        pair = {
            "type": "object",
            "properties": {"question": text, "answer": text},
            "required": ["question", "answer"],
            "additionalProperties": False,
        }
        pairs = {"type": "array", "items": pair, "minItems": 1, "maxItems": self.pairs}
        return {
            "type": "object",
            "properties": {"pairs": pairs},
            "required": ["pairs"],
            "additionalProperties": False,
        }

    def parse(self, answer: str, row: dict[str, Any]) -> list[dict[str, Any]]:
        said = json_answer(answer)
        try:
            found = _Answer.model_validate({"pairs": said} if isinstance(said, list) else said)
        except ValidationError as error:
            raise UnparsableAnswerError(str(error)) from error
        return [
            {
                "messages": [
                    {"role": "user", "content": pair.question},
                    {"role": "assistant", "content": pair.answer},
                ]
            }
            for pair in found.pairs[: self.pairs]
        ]
