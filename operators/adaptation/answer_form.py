"""Answers in the form that a benchmark asks for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

from pydantic import Field

from datachef.core import (
    LETTERS,
    CheckContext,
    ConversationTransform,
    DatachefError,
    Options,
    Task,
    options_of,
    place_of,
    says_yes,
)
from datachef.operators.adaptation.answers import (
    Answer,
    Wording,
    code_of,
    final_text,
    split_answer,
    the_label,
    the_number,
    worded,
)
from datachef.operators.adaptation.task_form import Form, answer_style
from datachef.operators.text.turns import last_answer

if TYPE_CHECKING:
    from datachef.core import Turn

# Why a row cannot be brought into the form: names of reasons for which it is dropped.
_NO_ANSWER, _NO_OPTIONS, _NO_OPTION = "no_answer", "no_options", "names_no_single_option"
_NO_NUMBER, _NO_YES_OR_NO, _NO_LABEL = "no_single_number", "neither_yes_nor_no", "no_single_label"
_NO_FINAL, _WRONG = "no_final_answer", "differs_from_gold"
# Fields that usually hold the right answer, where the answer that is trained on is in another.
_GOLD = ("answer", "gold", "answerKey", "answer_key", "correct_answer", "final_answer")
# A binary class label.
_LABEL_MEANS = {"0": False, "1": True}
_WITHOUT_FORM = "give the step a form, or the recipe a task that says how it is answered"


class AnswerForm(ConversationTransform):
    """Rewrites the last answer to the task's form: letter, option, number, yes or no, label, text.

    An option may be named by its letter, its text, its number (`answer2`, `option 3`), with words
    around it (`the correct answer is ...`) or in a box. The options are read from fields of the row
    (choices, options, question, choice1 ...) or from what the prompt lists (`A) ...`, `(a) ...`,
    `Answer1: ...`, `1. ...`, bullets under `Options:`). Of a worked solution the answer is what it
    boxes, announces or sets behind ####; one that does neither ends with its number. Thousands
    separators, units, currencies and idle zeros go, fractions become decimals that are exact. The
    labels 1 and 0, with nothing beside them, mean yes and no where these are asked for. What
    cannot be brought into the form is dropped, and the reason says why; it is never guessed. So is
    a solution, such as a model's, that ends with another answer than the row names as right beside
    it (answer, gold, answerKey ...): of LLM-Adapters' mathematics that is a fifth. Documents have
    no answer and stay as they are.

    What is left out is filled in from the task: its metric, the form of the gold answers, their
    words where an answer is chosen (a letter, a label), and else those of its examples. The
    wordings are those of common benchmarks and training sets: GSM8K (Cobbe et al. 2021,
    https://arxiv.org/abs/2110.14168), MATH (Hendrycks et al. 2021,
    https://arxiv.org/abs/2103.03874), LLM-Adapters (Hu et al. 2023,
    https://arxiv.org/abs/2304.01933).
    """

    version: ClassVar[int] = 3

    op: Literal["answer_form"] = "answer_form"

    form: Form | None = Field(
        None, description="What the answer becomes; what the task asks for when left out."
    )
    solution: Literal["keep", "drop"] | None = Field(
        None,
        description="Whether what is worked out before the answer stays; as in the task's examples "
        "when left out, and else dropped.",
    )
    wording: Wording | None = Field(
        None,
        description="The words of the final answer: it alone (bare), The answer is 5., Answer: 5, "
        "#### 5, \\boxed{5} and the like; as in the task's examples when left out, and else bare.",
    )
    capitalize: bool | None = Field(
        None, description="Whether yes, no, true and false begin with a capital; by default the "
        "task's way, and else not.",
    )  # fmt: skip
    labels: tuple[str, ...] = Field(
        (),
        max_length=100,
        description="The labels to choose from; by default the task's, or the options of the row.",
    )
    options: str | None = Field(
        None, max_length=200, description="The field with the options; found when left out."
    )
    numbered_from: Literal[0, 1] = Field(
        1, description="The number of the first option, where an answer is a bare number."
    )
    gold: str | None = Field(
        None,
        max_length=200,
        description="A field with the right answer: rows whose answer says another are dropped. "
        "When left out, one of the usual name where it is unmistakable; empty: none.",
    )

    def reads(self) -> set[str]:
        return {*super().reads(), *(name for name in (self.options, self.gold) if name)}

    def reasons(self) -> tuple[str, ...]:
        return (
            *super().reasons(), _NO_ANSWER, _NO_OPTIONS, _NO_OPTION, _NO_NUMBER, _NO_YES_OR_NO,
            _NO_LABEL, _NO_FINAL, _WRONG,
        )  # fmt: skip

    def check(self, context: CheckContext) -> Iterator[tuple[str, str, str]]:
        if self.form is None:
            yield "", "no task says what form answers have", _WITHOUT_FORM

    def for_task(self, task: Task) -> Self:
        style = answer_style(task)
        form = self.form or style.form
        filled = {
            "form": form,
            "solution": self.solution or style.solution,
            "wording": self.wording or style.wording,
            "capitalize": style.capitalize if self.capitalize is None else self.capitalize,
            "labels": self.labels or (style.labels if form == "label" else ()),
        }
        return self.changed(filled)

    def rewrite(self, turns: list[Turn], row: Mapping[str, Any]) -> Sequence[Turn] | str:
        if self.form is None:
            raise DatachefError("answer_form has no form", _WITHOUT_FORM)
        found = last_answer(turns)
        if found is None:
            return _NO_ANSWER
        place, prompt = found
        thoughts, mark, content = turns[place]["content"].rpartition("</think>")
        if self.form == "code":
            made: tuple[str, str] | str = ("", code_of(content))
        else:
            made = self._read(content, prompt, row)
        if isinstance(made, str):
            return made
        solution, answer = made
        if self._differs(answer, row, prompt):
            return _WRONG
        if self.form != "code":
            answer = worded(answer, self.wording or "bare")
        kept = self.solution == "keep"
        text = f"{solution}\n{answer}" if kept and solution else answer
        turns[place]["content"] = f"{thoughts}{mark}\n{text}" if kept and mark else text
        return turns

    def _read(self, content: str, prompt: str, row: Mapping[str, Any]) -> tuple[str, str] | str:
        """The solution and the answer in the form, or why there is none."""
        answer = split_answer(content)
        if self.form in ("letter", "letter_in_parentheses", "option"):
            return self._option(content, answer, options_of(row, prompt, self.options))
        if self.form in ("yes_no", "true_false"):
            return self._yes_or_no(content, answer)
        if self.form == "number":
            found, reason = the_number(answer), _NO_NUMBER
        elif self.form == "label":
            options = None if self.labels else options_of(row, prompt, self.options)
            labels = options.texts if options else self.labels
            found, reason = the_label(answer, labels), _NO_LABEL
        else:
            found, reason = final_text(answer), _NO_FINAL
        return reason if found is None else (answer.solution, found)

    def _option(
        self, content: str, answer: Answer, options: Options | None
    ) -> tuple[str, str] | str:
        if options is None and self.form == "option":
            return _NO_OPTIONS
        distinct = self.form != "option"
        place = place_of(content, options, self.numbered_from, distinct=distinct)
        if self.form == "option" and options is not None:
            return _NO_OPTION if place is None else (answer.solution, options.texts[place])
        if place is None:
            return _NO_OPTIONS if options is None else _NO_OPTION
        letter = LETTERS[place]
        return answer.solution, letter if self.form == "letter" else f"({letter})"

    def _yes_or_no(self, content: str, answer: Answer) -> tuple[str, str] | str:
        meaning = says_yes(content)
        if meaning is None:
            meaning = _LABEL_MEANS.get(content.strip())
        if meaning is None:
            return _NO_YES_OR_NO
        words = ("true", "false") if self.form == "true_false" else ("yes", "no")
        word = words[0] if meaning else words[1]
        solution = answer.solution
        if not answer.announced:  # "Yes. It is ...": the answer stands first
            first, _, rest = content.strip().partition(" ")
            leads = says_yes(first) is meaning
            solution = rest.strip() if leads else solution
        return solution, word.capitalize() if self.capitalize else word

    def _differs(self, answer: str, row: Mapping[str, Any], prompt: str) -> bool:
        """Whether the row names another answer as the right one."""
        if self.gold:
            value = row.get(self.gold)
            gold = None if value is None else self._read(str(value), prompt, row)
            return not isinstance(gold, tuple) or gold[1] != answer
        if self.gold is not None or self.form in ("text", "code"):
            return False
        said = (str(row[name]) for name in _GOLD if row.get(name) is not None)
        # A bare number may count options from 0 or from 1.
        counts = self.form != "number"
        found = (self._read(v, prompt, row) for v in said if not (counts and v.strip().isdigit()))
        gold = next((each for each in found if isinstance(each, tuple)), None)
        return gold is not None and gold[1] != answer
