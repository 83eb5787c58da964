"""Documents said again in another way."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from pydantic import Field

from datachef.core import PromptTemplate, Synthesis, unfenced

_STYLES = {
    "easy": "in very short, simple sentences that a small child understands",
    "medium": "in clear, well-structured English like that of an encyclopedia",
    "hard": "in terse, precise language that a scholar would use",
    "dialogue": "as a conversation of questions and detailed answers",
}

_PROMPT = """\
Rewrite the text below {{ style }}. Keep all of its information and add none. Answer with the \
rewritten text alone.

{{ text }}
"""


class RephraseText(Synthesis):
    """Rewrites each document in a chosen style, keeping what it says.

    The styles are those of Rephrasing the Web (Maini et al. 2024, arXiv 2401.16380). Templates may
    name `style`, the description of the chosen one.
    """

    op: Literal["rephrase_text"] = "rephrase_text"

    version: ClassVar[int] = 2
    max_rows: ClassVar[int | None] = 1

    prompt: PromptTemplate = Field(_PROMPT, description="Template of the user message.")
    style: Literal["easy", "medium", "hard", "dialogue"] = Field(
        "medium", description="How the text is to read."
    )

    def variables(self) -> Mapping[str, Any]:
        return {"style": _STYLES[self.style]}

    def parse(self, answer: str, row: dict[str, Any]) -> list[dict[str, Any]]:
        own = (row["text"] or "").lstrip().startswith(("```", "~~~"))
        return [{"text": answer if own else unfenced(answer)}]
