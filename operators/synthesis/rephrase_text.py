"""Documents said again in another way."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from pydantic import Field

from datachef.core import PromptTemplate, Synthesis, unfenced

Style = Literal[
    "easy", "medium", "hard", "qa", "dialogue", "encyclopedia", "distill", "extract_knowledge",
    "knowledge_list", "diverse_qa",
]  # fmt: skip

_ALL = "Keep all of its information and add none."
_STYLES: Mapping[Style, str] = {
    "easy": f"in very short, simple sentences that a small child understands. {_ALL}",
    "medium": f"in clear, well-structured English like that of an encyclopedia. {_ALL}",
    "hard": f"in terse, precise language that a scholar would use. {_ALL}",
    "qa": "as a series of questions and answers, each on a line that begins with Question: or "
    f"Answer:. {_ALL}",
    "dialogue": f"as a conversation of questions and detailed answers. {_ALL}",
    "encyclopedia": "as well-formed, neutral paragraphs of an encyclopedia in its own language, "
    f"without what belongs to the page and not to its subject. {_ALL}",
    "distill": "as a shorter text that is clear by itself. Keep its main statements, their "
    "reasons, numbers and examples, and add none.",
    "extract_knowledge": "as paragraphs that state the knowledge in it, as a textbook would. "
    "Leave out what teaches nothing, such as advertising, opinions and what happens to its "
    "author, and add none.",
    "knowledge_list": "as a list of the facts and notions in it, one to a line, each with its "
    "details and understandable by itself. Leave out the rest and add none.",
    "diverse_qa": "as up to eight pairs of a question and its answer, each on a line that begins "
    "with Question: or Answer:. Let the questions be of different kinds: yes or no, open, multiple "
    "choice, comparison, reading for a detail, solving a problem. Use its information alone.",
}

_PROMPT = """\
Rewrite the text below {{ style }} Answer with the rewritten text alone.

{{ text }}
"""


class RephraseText(Synthesis):
    """Rewrites each document in a chosen style, keeping what it says.

    `easy`, `medium`, `hard` and `qa` are the styles of Rephrasing the Web (WRAP, Maini et al. 2024,
    arXiv 2401.16380); `encyclopedia`, `distill`, `extract_knowledge`, `knowledge_list` and
    `diverse_qa` are after Nemotron-CC (Su et al. 2024, arXiv 2412.02595), which keeps the document
    before its `diverse_qa` pairs. Both ask in other words and cut documents into passages first:
    `chunk_text`. Templates may name `style`, the description of the chosen one, with what is to be
    kept.
    """

    op: Literal["rephrase_text"] = "rephrase_text"

    version: ClassVar[int] = 3
    max_rows: ClassVar[int | None] = 1

    prompt: PromptTemplate = Field(_PROMPT, description="Template of the user message.")
    style: Style = Field("medium", description="How the text is to read.")

    def variables(self) -> Mapping[str, Any]:
        return {"style": _STYLES[self.style]}

    def parse(self, answer: str, row: dict[str, Any]) -> list[dict[str, Any]]:
        own = (row["text"] or "").lstrip().startswith(("```", "~~~"))
        return [{"text": answer if own else unfenced(answer)}]
