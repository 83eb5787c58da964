"""The form in which a task asks and is answered, seen from its examples and its benchmark.

Of test items only what they have in common is taken: whether answers are letters, which labels
there are, the words around every question. What an item asks is not.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Literal, NamedTuple

from datachef.core import (
    BenchmarkFile,
    BenchmarkItem,
    DatachefError,
    normalised_answer,
    options_in_prompt,
    path_identity,
    plain_kind,
    read_benchmark,
    says_yes,
)
from datachef.operators.adaptation.answers import Wording, wording_of

if TYPE_CHECKING:
    from datachef.core import AnswerKind, Task

Form = Literal[
    "letter", "letter_in_parentheses", "option", "number", "yes_no", "true_false", "label", "text",
    "code",
]  # fmt: skip

OptionLabels = Literal["letter_period", "letter_parenthesis", "parentheses", "none"]

_OPTION_LABELS: dict[str, OptionLabels] = {
    r"^A\.\s?\S": "letter_period",
    r"^A\)\s?\S": "letter_parenthesis",
    r"^\(A\)\s?\S": "parentheses",
}  # fmt: skip
# A word before the question of every item: "Question:", "Q:", "Sentence:".
_LINE_LABEL = re.compile(r"^([A-Z][\w ]{0,30}:)(?=\s*\S)")
_ANSWER_LABEL = re.compile(r"\n([A-Z][\w ]{0,30}:)\s*$")
_MOST_LABELS = 20
_LOOKED_AT = 200
# Of fewer items nobody can tell what is the template and what the item.
_FEWEST = 5
# From this share of the answers on, their form is that of the benchmark.
_MOST = 0.9
_SOLUTION_WORDS = 20


class AnswerStyle(NamedTuple):
    """How answers are written: None for what the task does not say."""

    form: Form | None = None
    labels: tuple[str, ...] = ()
    capitalize: bool | None = None
    wording: Wording | None = None
    solution: Literal["keep", "drop"] | None = None


def answer_style(task: Task) -> AnswerStyle:
    """How a task's answers are written, by its metric, benchmark and examples."""
    kind = None if task.metric_type is None else task.metric_type.answer_kind
    tests, examples = task_items(task)
    style = _benchmark_style(kind, tests or examples)
    worked = [item.answer for item in examples[:_LOOKED_AT]]
    if not worked:
        return style
    long = sum(len(answer.split()) > _SOLUTION_WORDS for answer in worked)
    solution: Literal["keep", "drop"] = "keep" if 2 * long > len(worked) else "drop"
    # A chosen answer stands in the benchmark as it has to be given. Of a number or a text that is
    # only what is looked for, so the examples say in which words to give it.
    chosen = style.form not in ("number", "text", "code")
    golds = [item.answer for item in tests[:_LOOKED_AT]]
    said = golds if golds and chosen and solution == "drop" else worked
    wording, count = Counter(map(wording_of, said)).most_common(1)[0]
    return style._replace(
        wording=wording if wording is not None and count >= _MOST * len(said) else None,
        solution=solution,
    )


class PromptStyle(NamedTuple):
    """How questions are put: None for what the task does not say."""

    question_label: str | None = None
    option_labels: OptionLabels | None = None
    answer_label: str | None = None
    instruction: str | None = None
    instruction_place: Literal["first", "last"] | None = None


def prompt_style(task: Task) -> PromptStyle:
    """What the prompts of a task's benchmark, or else of its examples, have in common."""
    tests, examples = task_items(task)
    prompts = [item.prompt.strip() for item in (tests or examples)[:_LOOKED_AT]]
    if len(prompts) < _FEWEST:
        return PromptStyle()
    shared = {
        line
        for line, count in Counter(
            line for prompt in prompts for line in set(prompt.splitlines()) if line.strip()
        ).items()
        if count >= _MOST * len(prompts)
    }
    answer_label = _common(match[1] for p in prompts if (match := _ANSWER_LABEL.search(p)))
    question_label = _common(
        label for p in prompts for label in _line_labels(p) if label != answer_label[0]
    )
    own = [line for line in shared if not _labelled(line, question_label[0], answer_label[0])]
    own = [line for line in prompts[0].splitlines() if line in own]
    found = [
        next((kind for mark, kind in _OPTION_LABELS.items() if re.search(mark, p, re.M)), None)
        for p in prompts
    ]
    kind, listed = Counter(found).most_common(1)[0]
    many = _MOST * len(prompts)
    return PromptStyle(
        question_label[0] if question_label[1] >= many else "",
        (kind or "none") if listed >= many else None,
        answer_label[0] if answer_label[1] >= many else "",
        "\n".join(own),
        "first" if own and prompts[0].startswith(own[0]) else "last",
    )


def _line_labels(prompt: str) -> list[str]:
    lines = (_LINE_LABEL.match(line) for line in prompt.splitlines())
    return sorted({match[1] for match in lines if match})


def _labelled(line: str, *labels: str) -> bool:
    """Whether a line begins with one of the labels that there are."""
    return any(label and line.startswith(label) for label in labels)


def _common(labels: Iterable[str]) -> tuple[str, int]:
    counts = Counter(labels)
    return min(counts.items(), key=lambda item: (-item[1], item[0]), default=("", 0))


def task_items(task: Task) -> tuple[list[BenchmarkItem], list[BenchmarkItem]]:
    """The items of a task's benchmark and of its examples; none of what cannot be read, of which
    the check of the task tells."""
    found: list[list[BenchmarkItem]] = []
    for part in (task.benchmark, task.examples):
        items: list[BenchmarkItem] = []
        if part is not None and not hasattr(part, "lm_eval"):
            try:
                items = _items(part, str(path_identity(part.path)))
            except (DatachefError, OSError):
                items = []
        found.append(items)
    return found[0], found[1]


@lru_cache(maxsize=8)
def _items(part: BenchmarkFile, content: str) -> list[BenchmarkItem]:
    return read_benchmark(part)


def _benchmark_style(kind: AnswerKind | None, items: Sequence[BenchmarkItem]) -> AnswerStyle:
    golds = [item.answer.strip() for item in items if item.answer.strip()]
    kind = kind or _kind_of(golds, items)
    if kind == "option":
        return AnswerStyle(_option_form(golds, items))
    if kind == "yes_no":
        return _yes_no_style(golds)
    if kind == "label":
        listed = [choice for item in items for choice in item.choices]
        labels = tuple(sorted(set(listed or golds)))
        return AnswerStyle("label", labels if len(labels) <= _MOST_LABELS else ())
    return AnswerStyle(kind)


def _kind_of(golds: Sequence[str], items: Sequence[BenchmarkItem]) -> AnswerKind:
    """What answers are where no metric says it."""
    kinds = Counter(map(plain_kind, golds))
    many = _MOST * max(len(golds), 1)
    if any(item.choices for item in items) or kinds["letter"] >= many:
        return "option"
    if kinds["yes_no"] >= many:
        return "yes_no"
    if kinds["number"] >= many:
        return "number"
    few = len(set(golds)) <= _MOST_LABELS and len(golds) > 5 * len(set(golds))
    return "label" if few else "text"


def _option_form(golds: Sequence[str], items: Sequence[BenchmarkItem]) -> Form:
    """Letters where the prompts list the options or nobody says what they are, else their texts, as
    metrics for multiple choice ask for them."""
    some = [item for item in items[:_LOOKED_AT] if item.choices]
    if some:
        listed = sum(options_in_prompt(item.prompt) is not None for item in some)
        return "letter" if listed >= _MOST * len(some) else "option"
    letters = [gold for gold in golds if plain_kind(gold) == "letter"]
    if golds and len(letters) == len(golds) and all(gold.startswith("(") for gold in golds):
        return "letter_in_parentheses"
    return "letter" if len(letters) >= _MOST * len(golds) else "option"


def _yes_no_style(golds: Sequence[str]) -> AnswerStyle:
    words = Counter(gold for gold in golds if says_yes(gold) is not None)
    if not words:
        return AnswerStyle("yes_no")
    word = words.most_common(1)[0][0]
    form: Form = "true_false" if normalised_answer(word) in ("true", "false") else "yes_no"
    return AnswerStyle(form, capitalize=word[:1].isupper())
