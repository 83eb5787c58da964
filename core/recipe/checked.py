"""A recipe with everything it refers to: resolved, then checked; and the order of its steps."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

from datachef.core.contracts.corpus import CorpusOperator, Take
from datachef.core.contracts.filter import Filter
from datachef.core.contracts.operator import Operator
from datachef.core.contracts.recipe import Output, PoolCaps, Recipe
from datachef.core.contracts.source import Source
from datachef.core.contracts.task import Task
from datachef.core.document import Document, Location
from datachef.core.errors import Problem, RecipeError, dotted, warning
from datachef.core.registry.promises import ask
from datachef.core.registry.vocabulary import Vocabulary
from datachef.core.system.paths import located

if TYPE_CHECKING:
    from datachef.core.language_models.tokens import TokenizerFiles
    from datachef.core.rows.inspection import SourceInfo, SourceSample


class Findings:
    """The problems and warnings of one recipe document, in the order in which they are found."""

    def __init__(self, document: Document) -> None:
        self.document = document
        self.problems = list(document.problems)
        self.warnings: list[Problem] = []

    def add(self, code: str, location: Location, message: str, hint: str = "") -> None:
        """Adds a problem at a place of the document."""
        problem = Problem(code, message, dotted(location), hint)
        self.problems.append(self.document.locate(problem, location))

    def warn(self, code: str, location: Location, message: str, hint: str = "") -> None:
        """Adds a warning at a place of the document."""
        found = warning(code, message, dotted(location), hint)
        self.warnings.append(self.document.locate(found, location))


# Columns that the engine derives wherever an operator asks for them.
DERIVED = {"tokens"}


@dataclass(frozen=True)
class ResolvedRecipe:
    """A recipe with its task, pool and sources in place; it may have problems.

    `sources` are those of the recipe with their paths resolved, taken from the pool where the
    recipe only names them. `pool` are all sources of the pool, `pool_caps` what the pool allows of
    language models. `bound` says that the recipe may use nothing but the pool. Where steps were
    left out because they are invalid, `kept_steps` has, by their list, the indices of the others.
    """

    recipe: Recipe
    document: Document
    folder: Path
    task: Task | None = None
    task_document: Document | None = None
    sources: Mapping[str, Source] = field(default_factory=dict)
    pool: Mapping[str, Source] = field(default_factory=dict)
    pool_caps: PoolCaps | None = None
    bound: bool = False
    kept_steps: Mapping[Location, list[int]] = field(default_factory=dict)

    def place(self, steps: Location, index: int) -> Location:
        """The place in the document of a step, given its index among the valid steps."""
        kept = self.kept_steps.get(steps)
        return (*steps, index if kept is None else kept[index])

    def beside(self, name: str) -> Path:
        """A path that the recipe names, relative to its own folder."""
        return located(self.folder, name)


@dataclass(frozen=True)
class CheckedRecipe(ResolvedRecipe):
    """A recipe without problems: what is planned, run, sampled and reported.

    `source_info` is what inspection found of each source, `tokenizer` the files of the recipe's
    tokenizer, `warnings` what does not keep the recipe from running. Where it runs on `samples` of
    its sources, by their names, `written` is the recipe as it is written, on the whole sources.
    """

    source_info: Mapping[str, SourceInfo] = field(default_factory=dict)
    tokenizer: TokenizerFiles | None = None
    warnings: tuple[Problem, ...] = ()
    samples: Mapping[str, SourceSample] = field(default_factory=dict)
    written: CheckedRecipe | None = None


@dataclass(frozen=True)
class CheckResult:
    """All problems and warnings of a recipe; `checked` is None where there are problems."""

    problems: tuple[Problem, ...]
    warnings: tuple[Problem, ...]
    checked: CheckedRecipe | None

    def passed(self) -> CheckedRecipe:
        """The checked recipe. Raises `RecipeError` with all problems where there are any."""
        if self.checked is None:
            raise RecipeError(list(self.problems))
        return self.checked


@dataclass(frozen=True)
class PlacedStep:
    """An operator, ready for its task, at its place in the recipe; `from_pool` are those that a
    source of the pool brings along."""

    location: Location
    operator: Operator
    from_pool: bool = False

    @property
    def path(self) -> str:
        return dotted(self.location)


def reference_sources(resolved: ResolvedRecipe) -> frozenset[str]:
    """The sources that corpus operators only compare with: their rows are not in the corpus."""
    operators = (*resolved.recipe.steps, *(s for o in resolved.sources.values() for s in o.steps))
    corpus = (operator for operator in operators if isinstance(operator, CorpusOperator))
    return frozenset(name for operator in corpus for name in operator.references())


def source_steps(resolved: ResolvedRecipe, name: str) -> Iterator[PlacedStep]:
    """The steps of one source: `take`, those that it brings from the pool, those of the recipe."""
    source = resolved.sources[name]
    pooled = len(source.steps) - len(resolved.recipe.sources[name].steps)
    if source.take is not None:
        yield PlacedStep(("sources", name, "take"), Take(op=Take.name(), rows=source.take))
    for index, operator in enumerate(source.steps):
        place: Location = ("sources", name, "pool", index)
        if index >= pooled:
            place = resolved.place(("sources", name, "steps"), index - pooled)
        yield PlacedStep(place, _ready(resolved, operator), from_pool=index < pooled)


def corpus_steps(resolved: ResolvedRecipe, vocabulary: Vocabulary) -> Iterator[PlacedStep]:
    """The mix, the steps on the corpus, and the guards that a task turns on.

    Guards come last, or first of all where the steps only leave rows out: so mix and steps count
    rows that stay, and weights, budgets and numbers of rows are met.
    """
    recipe = resolved.recipe
    guards = list(_guards(resolved, vocabulary))
    first = all(_only_drops_rows(step) for step in recipe.steps)
    if first:
        yield from guards
    if recipe.mix is not None:
        yield PlacedStep(("mix",), _ready(resolved, recipe.mix))
    for index, operator in enumerate(recipe.steps):
        yield PlacedStep(resolved.place(("steps",), index), _ready(resolved, operator))
    if not first:
        yield from guards


def _guards(resolved: ResolvedRecipe, vocabulary: Vocabulary) -> Iterator[PlacedStep]:
    """The guards that the recipe does not write itself, where it has a task."""
    recipe = resolved.recipe
    written = {operator.op for operator in recipe.steps}
    for name in vocabulary if recipe.task is not None else ():
        guard = vocabulary[name]
        if guard.guards_task and name not in written:
            yield PlacedStep(("task", name), _ready(resolved, guard(op=name)))


def _only_drops_rows(operator: Operator) -> bool:
    if isinstance(operator, CorpusOperator):
        return type(operator).apply is CorpusOperator.apply
    return isinstance(operator, Filter)


def output_columns(resolved: ResolvedRecipe, vocabulary: Vocabulary) -> tuple[str, ...]:
    """The columns of the output beside the content: those that the recipe names, and the signals
    that it keeps."""
    output = resolved.recipe.output
    steps = chain(
        *(source_steps(resolved, name) for name in resolved.sources),
        corpus_steps(resolved, vocabulary),
    )
    signals = (name for step in steps for name in kept_signals(step.operator, output))
    return tuple(dict.fromkeys((*output.columns, *signals)))


def kept_signals(operator: Operator, output: Output) -> list[str]:
    """The signals of an operator that become columns of the output."""
    if not isinstance(operator, Filter) or not output.signals:
        return []
    names = ask(operator, "signal_names")
    return [name for name in names if output.keeps_signal(operator.op, name)]


def makes_messages(resolved: ResolvedRecipe, name: str) -> bool:
    """Whether a step turns the documents of a source into conversations."""
    steps = (*resolved.sources[name].steps, *resolved.recipe.steps)
    return any("messages" in step.writes() for step in steps)


def output_schema(resolved: ResolvedRecipe, source_info: Mapping[str, SourceInfo]) -> str:
    """The schema of the output: as written, or conversations where all sources are such."""
    written = resolved.recipe.output.schema_
    if written is not None:
        return written
    conversational = all(
        found.format.conversational or makes_messages(resolved, name)
        for name, found in source_info.items()
        if name not in reference_sources(resolved)
    )
    return "messages" if conversational else "text"


def counting(
    recipe: Recipe, tokenizer: TokenizerFiles | None, schema: str
) -> tuple[str | None, bool]:
    """How the tokens of a recipe are counted: the path of its tokenizer, if any, and whether by its
    chat template, as rows are written in conversations."""
    if tokenizer is None:
        return None, False
    as_turns = schema != "text" and recipe.output.separator is None
    return tokenizer.path, tokenizer.template and as_turns


def _ready(resolved: ResolvedRecipe, operator: Operator) -> Operator:
    placed: Operator = ask(operator, "located", resolved.folder)
    if resolved.task is not None:
        placed = ask(placed, "for_task", resolved.task)
    return _with_signals(placed, resolved.recipe.output)


def _with_signals(operator: Operator, output: Output) -> Operator:
    """A filter that keeps its signals, where the output keeps one of them."""
    kept = kept_signals(operator, output)
    return operator.changed({"keep_signals": True}) if kept else operator
