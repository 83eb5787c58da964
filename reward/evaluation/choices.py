"""Questions with options: how probable a model finds the right one among them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import sqrt

import numpy as np

from datachef.core.contracts.metric import BenchmarkItem, Choices, Metric
from datachef.core.errors import DatachefError
from datachef.core.text.final_answers import LETTERS
from datachef.core.text.line_breaks import with_breaks
from datachef.core.text.options import Options, options_in_prompt, options_of, place_of
from datachef.reward.evaluation.likelihoods import AnswerModel, Floats
from datachef.reward.evaluation.tuning import Losses
from datachef.reward.metrics.matching import option_texts
from datachef.reward.score_kinds import CHOICE_PROBABILITY

# The letters of options that the prompt lists; their texts, without the list; what all items share.
LETTER_FORM, TEXT_FORM, LABEL_FORM = "letters", "texts", "labels"
CHOICE_ACCURACY, CHOICE_BITS = "choice_accuracy", "choice_bits"
_LEAST = 1e-12


@dataclass(frozen=True)
class OptionQuestion:
    """A question, its options, and the places of those that are right: several where they say the
    same. The likelihood of each option is divided by its length in bytes where `by_byte`."""

    prompt: str
    options: tuple[str, ...]
    right: tuple[int, ...]
    by_byte: bool = False


def question_forms(
    items: Sequence[BenchmarkItem], choices: Sequence[Choices], metric: Metric
) -> dict[str, list[OptionQuestion]]:
    """The questions in the form that the metric gives them and, where that is letters, also with
    the texts of the options and a prompt without their list (the cloze form of OLMES,
    https://arxiv.org/abs/2406.08446)."""
    questions = [_question(i, c, metric) for i, c in zip(items, choices, strict=True)]
    forms = {_form(questions): questions}
    if LETTER_FORM in forms:
        found = [_options_of(item) for item in items]
        if all(f and len(f.texts) == len(q.options) for f, q in zip(found, questions, strict=True)):
            forms[TEXT_FORM] = [
                cloze(question, options)
                for question, options in zip(questions, found, strict=True)
                if options is not None
            ]
    return forms


def _question(item: BenchmarkItem, choices: Choices, metric: Metric) -> OptionQuestion:
    right = [i for i, text in enumerate(choices.texts) if metric.score(text, item) == 1]
    if not right:
        raise DatachefError(
            f"the gold answer {item.answer[:80]!r} is none of {', '.join(choices.texts)[:200]}",
            hint="name the field with the letter or the text of the right option as `answer`",
        )
    return OptionQuestion(item.prompt, choices.texts, tuple(right), choices.by_byte)


def _form(questions: Sequence[OptionQuestion]) -> str:
    if any(question.by_byte for question in questions):
        return TEXT_FORM
    lettered = all("".join(q.options) == LETTERS[: len(q.options)] for q in questions)
    return LETTER_FORM if lettered else LABEL_FORM


def _options_of(item: BenchmarkItem) -> Options | None:
    """The options of a benchmark's item: its choices, and where the prompt lists them."""
    listed = options_in_prompt(item.prompt)
    texts = option_texts(item)
    if not texts:
        return listed
    span = listed.span if listed is not None and len(listed.texts) == len(texts) else None
    return Options(texts, tuple(LETTERS[: len(texts)]), span)


def cloze(question: OptionQuestion, options: Options) -> OptionQuestion:
    """A question with letters as one with the texts of its options, which its prompt lists no
    longer."""
    prompt = with_breaks(question.prompt)
    if options.span is not None:
        start, end = options.span
        prompt = f"{prompt[:start].rstrip()}\n{prompt[end:].lstrip()}".strip()
    return OptionQuestion(prompt, options.texts, question.right, by_byte=True)


def example_questions(
    examples: Sequence[BenchmarkItem], form: str, labels: tuple[str, ...], metric: Metric
) -> list[OptionQuestion]:
    """Examples as questions of a form, as far as they can be: whatever words their answers use, the
    right option is found. `labels` are those of the benchmark."""
    found = (
        _label_question(item, labels, metric)
        if form == LABEL_FORM
        else _listed_question(item, form)
        for item in examples
    )
    return [question for question in found if question is not None]


def _label_question(
    item: BenchmarkItem, labels: tuple[str, ...], metric: Metric
) -> OptionQuestion | None:
    try:
        known = BenchmarkItem(item.prompt, item.answer, labels, item.row)
        return _question(known, Choices(labels), metric)
    except DatachefError:
        return None


def _listed_question(item: BenchmarkItem, form: str) -> OptionQuestion | None:
    options = options_of(item.row, item.prompt)
    place = place_of(item.answer, options)
    if options is None or place is None:
        return None
    letters = tuple(LETTERS[: len(options.texts)])
    question = OptionQuestion(item.prompt, letters, (place,))
    listed = all(text in item.prompt for text in options.texts)
    return question if form == LETTER_FORM and listed else cloze(question, options)


def choice_scores(model: AnswerModel, questions: Sequence[OptionQuestion]) -> dict[str, float]:
    """What a model makes of questions.

    `choice_probability` is the mean probability of the right option among the options, with its
    standard error over items; `choice_accuracy` the share of questions whose right option is the
    likeliest; `choice_bits` the mean bits of the right option. Where all questions have the same
    options, each right answer weighs the same, so that whoever always says one thing is at chance.
    """
    right, first = _answered(model, questions)
    weights = _weights(questions)
    mean = float(weights @ right)
    return {
        CHOICE_PROBABILITY: mean,
        f"{CHOICE_PROBABILITY}_stderr": sqrt(float(weights**2 @ (right - mean) ** 2)),
        CHOICE_ACCURACY: float(first.mean()),
        CHOICE_BITS: float(weights @ _bits(right)),
    }


def choice_losses(model: AnswerModel, questions: Sequence[OptionQuestion]) -> Losses:
    """The bits of the right option of each question, which counts as in `choice_scores`."""
    right, _ = _answered(model, questions)
    return Losses(_bits(right), _weights(questions))


def _answered(model: AnswerModel, questions: Sequence[OptionQuestion]) -> tuple[Floats, Floats]:
    """Of each question the probability of the right option, and whether it is the likeliest."""
    pairs = [(q.prompt, option) for q in questions for option in q.options]
    measured = model.answer_bits(pairs)
    right, first = np.zeros(len(questions)), np.zeros(len(questions))
    start = 0
    for number, question in enumerate(questions):
        rows = slice(start, start := start + len(question.options))
        bits = measured.bits[rows] / (measured.sizes[rows] if question.by_byte else 1.0)
        shares = np.exp2(bits.min() - bits)
        right[number] = shares[list(question.right)].sum() / shares.sum()
        first[number] = int(np.argmin(bits)) in question.right
    return right, first


def _bits(right: Floats) -> Floats:
    bits: Floats = -np.log2(np.maximum(right, _LEAST))
    return bits


def choice_chance(questions: Sequence[OptionQuestion]) -> float:
    """The `choice_probability` of who finds all options equally likely."""
    shares = [len(question.right) / len(question.options) for question in questions]
    return float(_weights(questions) @ np.array(shares))


def _weights(questions: Sequence[OptionQuestion]) -> Floats:
    counts: Mapping[tuple[int, ...], int] = Counter(question.right for question in questions)
    if len({question.options for question in questions}) > 1:
        return np.full(len(questions), 1 / len(questions))
    return np.array([1 / (len(counts) * counts[question.right]) for question in questions])
