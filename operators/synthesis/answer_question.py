"""Answers to the last question of each row."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from pydantic import Field

from datachef.core import (
    DroppedRowError,
    PromptTemplate,
    boxed_answer,
    final_answer,
    render_text,
)
from datachef.operators.synthesis.exchange import Exchange, ExchangeSynthesis, exchange_of

Style = Literal["direct", "concise", "step_by_step", "plan", "decompose", "draft"]
FinalLine = Literal["free", "sentence", "boxed", "hashes"]

_STYLES: Mapping[Style, str] = {
    "direct": "",
    "concise": "Answer briefly and without an explanation.",
    "step_by_step": "Think step by step and show every step before you give the answer.",
    "plan": "First write a short plan of how to solve it, then carry out the plan step by step.",
    "decompose": "First list simpler questions that lead to the answer, then answer them one after "
    "another, the last of them the question itself.",
    "draft": "Think step by step, but write at most five words for each step.",
}
_FINAL_LINES: Mapping[FinalLine, str] = {
    "free": "",
    "sentence": 'End with a line of its own: "The answer is" and the final answer.',
    "boxed": "Put the final answer, and nothing else, in \\boxed{}.",
    "hashes": 'End with a line of its own that has "####" and the final answer alone.',
}
_PROMPT = """\
{% if document %}Use this document to answer the question. Do not mention the document.

{{ document }}

Question: {% endif %}{{ question }}{% if how %}

{{ how }}{% endif %}"""


class AnswerSynthesis(ExchangeSynthesis):
    """Synthesis of answers, thought out and marked in chosen ways."""

    names: ClassVar[frozenset[str]] = frozenset({"question", "answer", "document"})

    prompt: PromptTemplate = Field(_PROMPT, description="Template of the user message.")
    style: Style = Field("step_by_step", description="How the answer is to be thought out.")
    final_line: FinalLine = Field(
        "free", description="How the final answer is marked; an answer without the mark is dropped."
    )
    document: str | None = Field(
        None,
        min_length=1,
        max_length=200,
        description="Column with a text to answer from, such as the `document` of "
        "generate_question.",
    )

    def reads(self) -> set[str]:
        return super().reads() | ({self.document} if self.document else set())

    def reasons(self) -> tuple[str, ...]:
        return (*super().reasons(), "no_final_answer")

    def variables(self) -> Mapping[str, Any]:
        said = (_STYLES[self.style], _FINAL_LINES[self.final_line])
        return {"how": " ".join(filter(None, said))}

    def shown(self, exchange: Exchange, row: Mapping[str, Any]) -> Mapping[str, Any]:
        document = row[self.document] if self.document else ""
        return {**super().shown(exchange, row), "document": document or ""}

    def messages(self, row: dict[str, Any]) -> tuple[tuple[str, str], ...]:
        *system, question = super().messages(row)
        earlier = [(turn["role"], render_text(turn)) for turn in exchange_of(row).before]
        return (*system, *earlier, question)

    def parse(self, answer: str, row: dict[str, Any]) -> list[dict[str, Any]]:
        marked = boxed_answer if self.final_line == "boxed" else final_answer
        if self.final_line != "free" and not marked(answer):
            raise DroppedRowError("no_final_answer", answer[-200:])
        return [exchange_of(row).answered(answer)]


class AnswerQuestion(AnswerSynthesis):
    """Answers the last question of each row, with a chain of thought in a chosen style.

    A row that is no conversation is taken as a question. Turns before the question are sent along
    and kept; an answer that is there already is replaced. What the prompt says of style and final
    line is not kept in the row. Styles: `step_by_step` (Kojima et al. 2022, arXiv 2205.11916),
    `plan` (Plan-and-Solve, Wang et al. 2023, arXiv 2305.04091), `decompose` (Least-to-Most, Zhou et
    al. 2022, arXiv 2205.10625), `draft` (Chain of Draft, Xu et al. 2025, arXiv 2502.18600).
    Templates may name `question`, `document` and `how`, what the prompt says of the form.
    """

    op: Literal["answer_question"] = "answer_question"

    max_rows: ClassVar[int | None] = 1
