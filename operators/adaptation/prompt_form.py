"""Questions in the words of a task's prompt."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, Self

from pydantic import Field

from datachef.core import (
    LETTERS,
    ConversationTransform,
    Options,
    Task,
    options_in_fields,
    options_in_prompt,
    with_breaks,
    without_trigger,
)
from datachef.operators.adaptation.task_form import OptionLabels, prompt_style
from datachef.operators.text.turns import last_answer, last_question

if TYPE_CHECKING:
    from datachef.core import Turn

_LABELS: dict[str, str] = {
    "letter_period": "{}. ", "letter_parenthesis": "{}) ", "parentheses": "({}) ",
}  # fmt: skip
_CONTEXTS = ("context", "passage", "background", "story", "paragraph", "article")
# What stands before a question in other templates.
_LEAD = re.compile(
    r"^\s*(?:(?:please )?(?:choose|select|pick|answer)\b[^:\n]{0,80}\bquestion[^:\n]{0,40}:\s*|"
    r"(?:some )?(?:question|q|problem|instruction)\s*:\s*)+",
    re.IGNORECASE,
)
# What stands before the options, and after them or after the question.
_BEFORE_OPTIONS = re.compile(
    r"\s*(?:answer choices|options|choices|answers)\s*:?\s*$", re.IGNORECASE
)
_ANSWER_LABEL = re.compile(
    r"\s*(?:answer format\s*:[^\n]*|(?:the |your |final )?answer\s*:|a\s*:)\s*$", re.IGNORECASE
)


class PromptForm(ConversationTransform):
    """Rewrites the last question to the task's prompt: labels, lettered options, instruction line.

    The parts are the context (a field named context, passage or the like, if the question does not
    hold it), the instruction, the question, its options one a line, and what calls for the answer.
    The options come from fields or from the question, as in `answer_form`. Labels and templates of
    other training sets around the question (`Please choose the correct answer to the question:`,
    `Answer format: ...`, phrases that ask for a chain of thought) go. What is left out is filled in
    from what the prompts of the task's benchmark have in common, never from a single one.
    """

    op: Literal["prompt_form"] = "prompt_form"

    question_label: str | None = Field(
        None,
        max_length=60,
        examples=["", "Question:", "Q:"],
        description="What stands before the question; the task's when left out, and else nothing.",
    )
    option_labels: OptionLabels | None = Field(
        None,
        description="How options are listed: A. x, A) x, (A) x, or not at all (none), where those "
        "of the question stay as they are; the task's way when left out, and else A. x.",
    )
    answer_label: str | None = Field(
        None,
        max_length=60,
        examples=["", "Answer:", "A:"],
        description="What stands at the end; the task's when left out, and else nothing.",
    )
    instruction: str | None = Field(
        None,
        max_length=2_000,
        examples=[
            "",
            "Answer with the letter of the right option.",
            "Answer yes or no.",
            "Give the final answer as a number.",
        ],
        description="A line that says what to do; the task's when left out, and else none.",
    )
    instruction_place: Literal["first", "last"] | None = Field(
        None, description="Where the instruction stands; as in the task when left out, else last."
    )

    def reasons(self) -> tuple[str, ...]:
        return (*super().reasons(), "no_question")

    def for_task(self, task: Task) -> Self:
        style = prompt_style(task)
        own = {name: getattr(self, name) for name in style._fields}
        return self.changed(
            {name: getattr(style, name) if v is None else v for name, v in own.items()}
        )

    def rewrite(self, turns: list[Turn], row: Mapping[str, Any]) -> Sequence[Turn] | str:
        answered = last_answer(turns)
        place = last_question(turns, len(turns) if answered is None else answered[0])
        if place is None:
            return "no_question"
        turns[place]["content"] = self._prompt(turns[place]["content"], row)
        return turns

    def _prompt(self, said: str, row: Mapping[str, Any]) -> str:
        text = without_trigger(_ANSWER_LABEL.sub("", with_breaks(said.strip())))
        listed, question, rest = options_in_prompt(text), text, ""
        options: Options | None = options_in_fields(row) or listed
        if listed is not None and listed.span is not None and self.option_labels != "none":
            question, rest = text[: listed.span[0]], text[listed.span[1] :]
            question = _BEFORE_OPTIONS.sub("", question)
            rest = without_trigger(_ANSWER_LABEL.sub("", rest.strip()))
        question = self._labelled(_LEAD.sub("", without_trigger(question.strip())))
        instruction = self.instruction or ""
        instruction = "" if instruction in said else instruction
        first = self.instruction_place == "first"
        parts = [instruction if first else "", question, *self._listed(options), rest]
        parts += ["" if first else instruction, self.answer_label or ""]
        body = "\n".join(part for part in parts if part)
        context = next((row[n] for n in _CONTEXTS if isinstance(row.get(n), str)), "").strip()
        return f"{context}\n\n{body}" if context and context not in said else body

    def _labelled(self, question: str) -> str:
        label = self.question_label or ""
        if not label or question.startswith(label):
            return question
        return f"{label} {question}"

    def _listed(self, options: Options | None) -> list[str]:
        if options is None or self.option_labels == "none":
            return []
        label = _LABELS[self.option_labels or "letter_period"]
        letters = zip(LETTERS, options.texts, strict=False)
        return [f"{label.format(letter)}{text}" for letter, text in letters]
