"""Instructions for texts that were written by people."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from pydantic import Field

from datachef.core import DroppedRowError, PromptTemplate, unfenced
from datachef.operators.synthesis.exchange import Exchange, ExchangeSynthesis, exchange_of

_FORMS = {
    "instruction": "an instruction",
    "question": "a question",
    "chat_message": "a message, as a person would type it into a chat,",
}
_PROMPT = """\
Below is a text that somebody wrote in answer to a request. Write {{ form }} to which this text \
is a complete and fitting answer. Say what the text is to be about and what it is to look like, \
but give nothing of its content away. Answer with the request alone.

Text:
{{ answer }}
"""


class BackTranslate(ExchangeSynthesis):
    """Makes for each document the instruction to which it is the answer.

    Instruction back-translation (Humpback, Li et al. 2023, arXiv 2308.06259), whose first model is
    fine-tuned to write instructions; here a model is asked for them. Of a conversation the last
    question is replaced. An instruction that is the text itself, or a piece of it, is dropped as
    `copied_answer`. Humpback then keeps the rows that a model scores 5:
    `judge_score`, and `column_filter` with `where: judge_score >= 5`. Templates may name `answer`
    and `form`, what is asked for.
    """

    op: Literal["back_translate"] = "back_translate"

    max_rows: ClassVar[int | None] = 1

    prompt: PromptTemplate = Field(_PROMPT, description="Template of the user message.")
    form: Literal["instruction", "question", "chat_message"] = Field(
        "instruction", description="What is written for the text."
    )

    def reasons(self) -> tuple[str, ...]:
        return (*super().reasons(), "unanswered_question", "copied_answer")

    def variables(self) -> Mapping[str, Any]:
        return {"form": _FORMS[self.form]}

    def shown(self, exchange: Exchange, row: Mapping[str, Any]) -> Mapping[str, Any]:
        return {"question": "", "answer": _text(exchange, row)}

    def parse(self, answer: str, row: dict[str, Any]) -> list[dict[str, Any]]:
        exchange = exchange_of(row)
        text, instruction = _text(exchange, row), unfenced(answer)
        if instruction in text:
            raise DroppedRowError("copied_answer", instruction[:200])
        return [exchange.answered(text, instruction)]


def _text(exchange: Exchange, row: Mapping[str, Any]) -> str:
    """The document, or the answer of a conversation."""
    text = exchange.question if row.get("messages") is None else exchange.answer
    if not text:
        raise DroppedRowError("unanswered_question")
    return text
