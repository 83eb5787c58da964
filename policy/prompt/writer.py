"""Writes the prompt that asks for a recipe of a space, as full as its number of tokens allows.

A prompt of level 0 contains everything. Level n leaves out the first n parts of `TRUNCATION`; the
last level has only the budget and the names of the task, sources and operators. The lowest level
that fits is written.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

from datachef.core.contracts.filter import Filter
from datachef.core.contracts.task import Task
from datachef.core.errors import DatachefError
from datachef.policy.prompt.quoting import BenchmarkGuard, named
from datachef.policy.prompt.sections import (
    SYSTEM,
    Offer,
    answer_block,
    offers,
    operator_block,
    place_of,
    size_of,
    sources_of,
    task_block,
    task_examples,
)
from datachef.policy.prompt.sources import (
    SourceCard,
    example_lines,
    signal_line,
    source_card,
    source_head,
)
from datachef.policy.space.nodes import Record, Text
from datachef.policy.space.space import RecipeSpace
from datachef.policy.space.steps import REASON, minimal_step

Messages = tuple[dict[str, str], ...]


@dataclass(frozen=True)
class Prompt:
    """The space of recipes that may be written, and the chat messages (`role`, `content`) that ask
    for one."""

    space: RecipeSpace
    messages: Messages


TRUNCATION = (
    "source examples",
    "task examples",
    "signals",
    "parameter descriptions",
    "parameters",
    "operator descriptions",
    "source descriptions",
    "source sizes",
    # The system message, the instruction, how recipes are scored, and what to answer.
    "explanations",
)
LAST = len(TRUNCATION)
# Where nobody says how long a prompt may be: a small policy reads it at every step of a training.
USUAL_TOKENS = 256


def shown(level: int) -> frozenset[str]:
    """The parts of a prompt of this level."""
    return frozenset(TRUNCATION[level:])


# The parts that the cached text of a source and of an operator depends on.
_SOURCE_PARTS = frozenset(("signals", "source descriptions", "source sizes"))
_OPERATOR_PARTS = frozenset(("parameter descriptions", "parameters", "operator descriptions"))

CountTokens = Callable[[Messages], int]

_NUMBERS = "Three numbers are the 10%, 50% and 90% quantiles of the first rows, one is all of them."
_PLACES = "Each may stand in any steps, unless it says where."


class PromptWriter:
    """Writes prompts for a task over a pool: for its whole space, and for any part of it.

    A source is inspected once, when a prompt first needs more than its name. The texts about
    sources and operators are cached for the next prompt. The order is: the task, how it is scored,
    the budget, sources, operators, and what to answer.
    """

    def __init__(self, task: Task, space: RecipeSpace) -> None:
        """`space` is the whole space; prompts may be for parts of it. Its filters are measured."""
        self._task = task
        self._space = space
        self._cards: dict[str, SourceCard] = {}
        self._sources: dict[tuple[str, frozenset[str]], str] = {}
        self._signals: dict[tuple[str, str], str] = {}
        self._rows: dict[str, list[str]] = {}
        self._operators: dict[tuple[str, frozenset[str]], tuple[Record, str]] = {}

    def write(
        self, space: RecipeSpace, count_tokens: CountTokens, most_tokens: int | None
    ) -> Prompt:
        """The fullest prompt of at most `most_tokens` tokens, as `count_tokens` counts them.

        None means `USUAL_TOKENS`, or as many as the names take: who installs more operators has
        nothing to set. Raises `DatachefError` if the names alone take more than is said.
        """
        return Prompt(space, self.messages(space, self.level(space, count_tokens, most_tokens)))

    def level(self, space: RecipeSpace, count_tokens: CountTokens, most_tokens: int | None) -> int:
        """The number of parts of `TRUNCATION` that a prompt of at most `most_tokens` tokens leaves
        out, where None is as in `write`.

        Raises `DatachefError` if the names alone take more.
        """

        def fits(level: int) -> bool:
            return count_tokens(self.messages(space, level)) <= (most_tokens or USUAL_TOKENS)

        level = bisect_left(range(LAST), True, key=fits)
        if level < LAST or most_tokens is None:
            return level
        if (needed := count_tokens(self.messages(space, LAST))) > most_tokens:
            raise DatachefError(
                f"the prompt has {needed} tokens with nothing but the names of {len(space.sources)}"
                f" sources and {len(space.operators)} operators; it may have {most_tokens}",
                f"allow prompts of {needed} tokens, or offer fewer sources and operators",
            )
        return level

    def messages(self, space: RecipeSpace, level: int) -> Messages:
        """The messages of a prompt of this level.

        Raises `DatachefError` if a source, the task's examples or its benchmark cannot be read.
        """
        parts = shown(level)
        if "explanations" not in parts:
            return ({"role": "user", "content": "\n".join(self._names(space))},)
        offered = offers(space)
        content = "\n\n".join(
            [
                self._task_part(parts),
                self._budget_part(space),
                self._sources_part(space, parts),
                self._operators_part(space, offered, parts),
                f"# Answer\n{answer_block(space, reasons=_reasons(offered))}",
            ]
        )
        return ({"role": "system", "content": SYSTEM}, {"role": "user", "content": content})

    def _names(self, space: RecipeSpace) -> list[str]:
        budget = [] if space.budget is None else [f"budget: {size_of(space.budget)}"]
        return [
            f"task: {named(self._task.name)}",
            *budget,
            f"sources: {', '.join(sources_of(space))}",
            f"operators: {', '.join(space.operators)}",
        ]

    def _task_part(self, parts: frozenset[str]) -> str:
        examples = self._task_examples if "task examples" in parts else []
        return "\n".join([f"# Task: {named(self._task.name)}", task_block(self._task), *examples])

    def _budget_part(self, space: RecipeSpace) -> str:
        return f"# Budget\n{size_of(space.budget) if space.budget else 'all that the sources hold'}"

    def _sources_part(self, space: RecipeSpace, parts: frozenset[str]) -> str:
        names = list(sources_of(space))
        if "source sizes" not in parts:
            return f"# Sources\n{', '.join(names)}"
        lines = [f"# Sources\n{_NUMBERS}" if "signals" in parts else "# Sources"]
        for name in names:
            lines.append(self._source(name, parts))
            if "signals" in parts:
                lines += [line for one in space.operators if (line := self._signal(name, one))]
            if "source examples" in parts:
                lines += self._examples(name)
        return "\n".join(lines)

    def _operators_part(
        self, space: RecipeSpace, offered: dict[str, Offer], parts: frozenset[str]
    ) -> str:
        if "operator descriptions" not in parts:
            return f"# Operators\n{', '.join(offered)}"
        lines = [f"# Operators\n{_PLACES}"]
        for name, offer in offered.items():
            lines.append(self._operator(space, name, offer.step, parts))
            if not offer.anywhere:
                lines.append(f"  only in: {place_of(offer)}")
        return "\n".join(lines)

    def _source(self, name: str, parts: frozenset[str]) -> str:
        key = (name, parts & _SOURCE_PARTS)
        if key not in self._sources:
            self._sources[key] = source_head(self._card(name), parts)
        return self._sources[key]

    def _signal(self, name: str, measured: str) -> str:
        key = (name, measured)
        if key not in self._signals:
            card = self._card(name)
            found = card.signals.get(measured)
            self._signals[key] = signal_line(measured, found) if found else ""
        return self._signals[key]

    def _examples(self, name: str) -> list[str]:
        if name not in self._rows:
            self._rows[name] = example_lines(self._card(name))
        return self._rows[name]

    def _operator(self, space: RecipeSpace, name: str, step: Record, parts: frozenset[str]) -> str:
        key = (name, parts & _OPERATOR_PARTS)
        known = self._operators.get(key)
        if known is None or (known[0] is not step and known[0] != step):
            known = step, operator_block(space.vocabulary[name], step, parts)
            self._operators[key] = known
        return known[1]

    def _card(self, name: str) -> SourceCard:
        if name not in self._cards:
            info = self._space.sources.get(name)
            if info is None:
                raise DatachefError(
                    f"the prompt knows no source {name!r}", "make the writer with the whole space"
                )
            card = source_card(name, info, self._filters, self._guard.rejects)
            self._cards[name] = card
        return self._cards[name]

    @cached_property
    def _filters(self) -> list[Filter]:
        made = (
            self._space.vocabulary.operator(minimal_step(offer.step))
            for name, offer in offers(self._space).items()
            if issubclass(self._space.vocabulary[name], Filter)
        )
        return [operator for operator in made if isinstance(operator, Filter)]

    @cached_property
    def _guard(self) -> BenchmarkGuard:
        return BenchmarkGuard(self._task)

    @cached_property
    def _task_examples(self) -> list[str]:
        return task_examples(self._task, self._guard)


def _reasons(offered: dict[str, Offer]) -> bool:
    return any(isinstance(offer.step.required.get(REASON), Text) for offer in offered.values())
