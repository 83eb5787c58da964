"""Instructions made harder, or turned into others."""

from __future__ import annotations

import re
from collections.abc import Mapping
from hashlib import blake2b
from typing import Any, ClassVar, Literal

from pydantic import Field

from datachef.core import DroppedRowError, PromptTemplate, unfenced
from datachef.operators.synthesis.exchange import Exchange, ExchangeSynthesis, exchange_of
from datachef.operators.text.rouge import rouge_l, rouge_words

Evolution = Literal[
    "add_constraint", "deepen", "concretize", "more_steps", "complicate_input", "breadth", "any"
]

_IN_DEPTH = "Rewrite the instruction below into a somewhat harder one that people can still answer:"
_EVOLUTIONS: Mapping[str, str] = {
    "add_constraint": f"{_IN_DEPTH} add one more constraint or requirement to it.",
    "deepen": f"{_IN_DEPTH} make its questions ask for more depth and breadth.",
    "concretize": f"{_IN_DEPTH} replace its general notions with more specific ones.",
    "more_steps": f"{_IN_DEPTH} where a few simple steps solve it, make it need several steps of "
    "reasoning that it names.",
    "complicate_input": f"{_IN_DEPTH} add the data that it works on, such as a table, code, "
    "formulas or JSON, written out in full.",
    "breadth": "Write an entirely new instruction in the same field as the one below, about as "
    "long and as difficult, but about something rarer.",
}
_PROMPT = """\
{{ evolution }}

- It can be understood by itself, without the instruction below.
- It is reasonable, and keeps all tables, code and other input that belongs to it.
- It is at most {{ words }} words longer.

Answer with the new instruction alone, and do not answer it.

Instruction:
{{ question }}
"""
# What a rewriter says that talks of its task instead of doing it.
_COPIED = re.compile(
    r"\b(?:(?:given|rewritten|created|original|new|evolved|below) (?:prompt|instruction)s?\b|"
    r"instruction below\b)",
    re.IGNORECASE,
)


class EvolInstruct(ExchangeSynthesis):
    """Rewrites the last question of each row into a harder one, or one of the same kind.

    Evol-Instruct (WizardLM, Xu et al. 2023, arXiv 2304.12244): five evolutions in depth and one in
    breadth, `any` draws one of the six for each row by its id. The paper evolves four times: repeat
    the step with other seeds; answers are for `answer_question`. What it eliminates is dropped:
    `no_information_gain`, which is there for a model to say and here where the new question has
    nearly the words of the old in their order (ROUGE-L); `copied_prompt`, which speaks of the
    prompt. Refusals fail as `refused_answer` wherever they occur; answers of stop words alone stay
    ("No." is one). Templates may name `question`, `evolution`, what is to be done, and `words`.
    """

    op: Literal["evol_instruct"] = "evol_instruct"

    max_rows: ClassVar[int | None] = 1
    names: ClassVar[frozenset[str]] = frozenset({"question", "answer", "evolution"})

    prompt: PromptTemplate = Field(_PROMPT, description="Template of the user message.")
    evolution: Evolution = Field("any", description="How the question is changed.")
    words: int = Field(20, ge=1, le=1000, description="Words that may be added; a request.")
    max_similarity: float = Field(
        0.9,
        gt=0,
        le=1,
        description="Drop what has a ROUGE-L with the old question that is this high or higher.",
    )

    def reasons(self) -> tuple[str, ...]:
        return (*super().reasons(), "no_information_gain", "copied_prompt")

    def variables(self) -> Mapping[str, Any]:
        return {"words": self.words}

    def shown(self, exchange: Exchange, row: Mapping[str, Any]) -> Mapping[str, Any]:
        name = self.evolution
        if name == "any":
            key = blake2b(f"{self.seed} {row['id']}".encode(), digest_size=8)
            name = list(_EVOLUTIONS)[int.from_bytes(key.digest()) % len(_EVOLUTIONS)]  # type: ignore[assignment]
        return {**super().shown(exchange, row), "evolution": _EVOLUTIONS[name]}

    def parse(self, answer: str, row: dict[str, Any]) -> list[dict[str, Any]]:
        exchange = exchange_of(row)
        evolved = unfenced(answer)
        if (said := _COPIED.search(evolved)) and not _COPIED.search(exchange.question):
            raise DroppedRowError("copied_prompt", said[0])
        similarity = rouge_l(rouge_words(evolved), rouge_words(exchange.question))
        if similarity >= self.max_similarity:
            raise DroppedRowError("no_information_gain", f"ROUGE-L {similarity:.2f}")
        return [exchange.answered(question=evolved)]
