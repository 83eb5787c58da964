"""A recipe with everything it refers to: resolved, then checked; and what is wrong with it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from datachef.core.contracts.recipe import Recipe
from datachef.core.contracts.source import Source
from datachef.core.contracts.task import Task
from datachef.core.document import Document, Location
from datachef.core.errors import RecipeError
from datachef.core.language_models.caps import PoolCaps
from datachef.core.problems import Problem, dotted, warning
from datachef.core.system.paths import located

if TYPE_CHECKING:
    from datachef.core.language_models.tokens import TokenizerFiles
    from datachef.core.rows.inspection import SourceInfo


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
    tokenizer, `warnings` what does not keep the recipe from running.
    """

    source_info: Mapping[str, SourceInfo] = field(default_factory=dict)
    tokenizer: TokenizerFiles | None = None
    warnings: tuple[Problem, ...] = ()


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
