"""What a policy is asked: to write one recipe of a space, told in messages."""

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
from datachef.policy.space.steps import REASON, simplest

Messages = tuple[dict[str, str], ...]


@dataclass(frozen=True)
class Brief:
    """The recipes that may be written, and the chat messages (`role`, `content`) that ask for one:
    task, protocol, sources, operators, budget."""

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
    # The system message, the instruction, the protocol, and what to answer.
    "explanations",
)
LAST = len(TRUNCATION)


def shown(level: int) -> frozenset[str]:
    """The parts that a prompt of this level has."""
    return frozenset(TRUNCATION[level:])


# The parts on which what is kept depends.
_HEAD = frozenset(("signals", "source descriptions", "source sizes"))
_BLOCK = frozenset(("parameter descriptions", "parameters", "operator descriptions"))

CountTokens = Callable[[Messages], int]

_NUMBERS = "Three numbers are the 10%, 50% and 90% quantiles of the first rows, one is all of them."
_PLACES = "Each may stand in any steps, unless it says where."


class PromptWriter:
    """Writes prompts for a task over a pool: for its whole space, and for any narrower one.

    Sources are looked at when a prompt first tells more than their names, once each; what is said
    of them and of operators is kept for the next prompt. The order of what is said: the task, how
    it is scored, the budget, sources, operators, and what to answer.
    """

    def __init__(self, task: Task, space: RecipeSpace) -> None:
        """`space` is the widest that prompts are going to be about: its filters are measured."""
        self._task = task
        self._space = space
        self._cards: dict[str, SourceCard] = {}
        self._sources: dict[tuple[str, frozenset[str]], str] = {}
        self._signals: dict[tuple[str, str], str] = {}
        self._rows: dict[str, list[str]] = {}
        self._operators: dict[tuple[str, frozenset[str]], tuple[Record, str]] = {}

    def write(self, space: RecipeSpace, count_tokens: CountTokens, most_tokens: int) -> Brief:
        """The fullest prompt of at most so many tokens, as `count_tokens` counts them.

        Raises `DatachefError` where the bare names are too many.
        """
        return Brief(space, self.messages(space, self.level(space, count_tokens, most_tokens)))

    def level(self, space: RecipeSpace, count_tokens: CountTokens, most_tokens: int) -> int:
        """How many parts of `TRUNCATION` a prompt does without to have at most so many tokens.

        Raises `DatachefError` where the bare names are too many.
        """

        def fits(level: int) -> bool:
            return count_tokens(self.messages(space, level)) <= most_tokens

        level = bisect_left(range(LAST), True, key=fits)
        if level == LAST and (needed := count_tokens(self.messages(space, LAST))) > most_tokens:
            raise DatachefError(
                f"the prompt has {needed} tokens with nothing but the names of {len(space.surveys)}"
                f" sources and {len(space.operators)} operators; it may have {most_tokens}",
                f"allow prompts of {needed} tokens, or offer fewer sources and operators",
            )
        return level

    def messages(self, space: RecipeSpace, level: int) -> Messages:
        """The prompt of a level of truncation. Raises `DatachefError` where a source, the task's
        examples or its benchmark cannot be read."""
        parts = shown(level)
        if "explanations" not in parts:
            return ({"role": "user", "content": "\n".join(self._names(space))},)
        offered = offers(space)
        content = "\n\n".join(
            [
                self._about_task(parts),
                self._about_budget(space),
                self._about_sources(space, parts),
                self._about_operators(space, offered, parts),
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

    def _about_task(self, parts: frozenset[str]) -> str:
        examples = self._task_examples if "task examples" in parts else []
        return "\n".join([f"# Task: {named(self._task.name)}", task_block(self._task), *examples])

    def _about_budget(self, space: RecipeSpace) -> str:
        return f"# Budget\n{size_of(space.budget) if space.budget else 'all that the sources hold'}"

    def _about_sources(self, space: RecipeSpace, parts: frozenset[str]) -> str:
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

    def _about_operators(
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
        key = (name, parts & _HEAD)
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
        key = (name, parts & _BLOCK)
        known = self._operators.get(key)
        if known is None or (known[0] is not step and known[0] != step):
            known = step, operator_block(space.vocabulary[name], step, parts)
            self._operators[key] = known
        return known[1]

    def _card(self, name: str) -> SourceCard:
        if name not in self._cards:
            survey = self._space.surveys.get(name)
            if survey is None:
                raise DatachefError(
                    f"the prompt knows no source {name!r}", "make the writer of the widest space"
                )
            card = source_card(name, survey, self._filters, self._guard.refuses)
            self._cards[name] = card
        return self._cards[name]

    @cached_property
    def _filters(self) -> list[Filter]:
        made = (
            self._space.vocabulary.operator(simplest(offer.step))
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
