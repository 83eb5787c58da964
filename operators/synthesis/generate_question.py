"""A question that a document answers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from pydantic import Field

from datachef.core import DroppedRowError, PromptTemplate, Synthesis, unfenced

Kind = Literal["factual", "reasoning", "explanation", "application", "exam"]

_KINDS: Mapping[Kind, str] = {
    "factual": "asks for a fact that the document states",
    "reasoning": "can only be answered by putting several statements of the document together",
    "explanation": "asks why or how something in the document is so",
    "application": "describes a new situation in which what the document teaches is needed",
    "exam": "could stand in an exam about the subject of the document, and has one right answer",
}
_PROMPT = """\
Write one question that {{ kind }}.

- The document below is enough to answer it.
- It can be understood without the document and does not mention it.

Answer with the question alone.

Document:
{{ text }}
"""


class GenerateQuestion(Synthesis):
    """Makes of each document a question that it answers, and keeps the document in a column.

    `answer_question` with `document: document` answers from it; `generate_question_answer_pairs`
    makes both in one call. A question that is a piece of the document is dropped as
    `copied_document`. Templates may name `kind`, what the question does.
    """

    op: Literal["generate_question"] = "generate_question"

    max_rows: ClassVar[int | None] = 1

    prompt: PromptTemplate = Field(_PROMPT, description="Template of the user message.")
    kind: Kind = Field("reasoning", description="What the question asks for.")

    def writes(self) -> set[str]:
        return super().writes() | {"messages"}

    def columns(self) -> Mapping[str, type]:
        return {"document": str}

    def reasons(self) -> tuple[str, ...]:
        return (*super().reasons(), "copied_document")

    def variables(self) -> Mapping[str, Any]:
        return {"kind": _KINDS[self.kind]}

    def parse(self, answer: str, row: dict[str, Any]) -> list[dict[str, Any]]:
        question = unfenced(answer)
        if question in row["text"]:
            raise DroppedRowError("copied_document", question[:200])
        turns = [{"role": "user", "content": question}]
        return [{"messages": turns, "document": row["text"]}]
