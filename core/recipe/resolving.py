"""From a recipe document to a recipe with its task, pool and sources in place."""

from __future__ import annotations

import copy
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from datachef.core import document as documents
from datachef.core.contracts.recipe import PoolCaps, Recipe
from datachef.core.contracts.source import Source
from datachef.core.contracts.task import Task
from datachef.core.document import Document, Location
from datachef.core.errors import DatachefError, Problem, RecipeError, did_you_mean, dotted
from datachef.core.recipe.checked import Findings, ResolvedRecipe
from datachef.core.recipe.structure import problems_of, salvage
from datachef.core.registry.host import Host
from datachef.core.registry.installed import installed
from datachef.core.registry.promises import ask
from datachef.core.registry.vocabulary import PooledSource, Vocabulary
from datachef.core.system.containment import ENDINGS, cause_of
from datachef.core.system.paths import located, not_expanded

_INDEX = re.compile(r"[0-9]{1,9}")
# What a bound recipe may set of a source of its pool. All else is for the author of the pool: where
# rows come from and how they are read, their licence and description, how many may fail.
_OF_THE_RECIPE = ("take", "steps")
M = TypeVar("M", bound=BaseModel)


def resolve_recipe(
    findings: Findings,
    folder: Path,
    host: Host,
    *,
    pool: Path | None = None,
    overrides: Sequence[str] = (),
    task: Path | None = None,
) -> ResolvedRecipe | None:
    """The recipe of the document of `findings`, to which its problems are added.

    Relative paths start at `folder`. `pool` binds the recipe to the sources of that pool, `task`
    takes the place of the task that the document names, and `overrides` are `a.b=value`
    assignments, applied to a copy of the document. Steps and fields that are invalid are left out;
    None where what is left is no recipe.
    """
    document = findings.document
    if document.data is None and document.problems:
        return None
    if not isinstance(document.data, dict):
        hint = "begin with name: and sources:"
        findings.add("not_a_recipe", (), "a recipe is a mapping", hint)
        return None
    data = copy.deepcopy(document.data)
    for override in overrides:
        _override(findings, data, override)
    if task is not None:
        data["task"] = str(task.absolute())
    _fill_empty_sources(data)
    document = replace(document, data=data)
    model = host.vocabulary.recipe_model
    recipe, mistakes = _validated(document, model, host)
    findings.problems += mistakes.values()
    kept_steps: dict[Location, list[int]] = {}
    if recipe is None:
        recipe, kept_steps = _salvaged(data, model, mistakes)
    if recipe is None:
        return None
    resolver = _Resolver(findings, document, folder, host, pool)
    # A task that whoever runs the recipe chose is theirs, wherever it lies.
    chosen = task is not None or any(o.partition("=")[0].strip() == "task" for o in overrides)
    return resolver.resolve(recipe, kept_steps, own_task=not chosen)


def _override(findings: Findings, data: dict[str, Any], override: str) -> None:
    path, equals, text = override.partition("=")
    parsed = documents.parse(text or "null")
    if not equals or parsed.problems or not path:
        findings.add("bad_override", (), f"--set {override!r} is not a.b=value")
        return
    here: Any = data
    words = path.replace("[", ".").replace("]", "").split(".")
    for index, part in enumerate(words):
        key: Any = int(part) if isinstance(here, list) and _INDEX.fullmatch(part) else part
        fits = isinstance(here, dict) or (
            isinstance(here, list) and isinstance(key, int) and key < len(here)
        )
        if not fits:
            message = f"--set {override!r}: the recipe has no field {path!r}"
            findings.add("bad_override", (), message)
            return
        if index == len(words) - 1:
            here[key] = parsed.data
        else:
            here = here.setdefault(key, {}) if isinstance(here, dict) else here[key]


def _fill_empty_sources(data: dict[str, Any]) -> None:
    """`web:` with nothing under it is a source of the pool as it is."""
    sources = data.get("sources")
    if isinstance(sources, dict):
        data["sources"] = {
            name: {} if source is None else source for name, source in sources.items()
        }


def _validated(
    document: Document, model: type[Any], host: Host
) -> tuple[Any, dict[Location, Problem]]:
    """What the document says, or None and the mistakes by their places."""
    try:
        return model.model_validate(document.data), {}
    except ValidationError as error:
        return None, problems_of(error, document, model, host.vocabulary, host.broken)
    except RecursionError:
        return None, {(): document.locate(Problem("too_deep", "nested too deeply"), ())}
    except DatachefError:
        raise
    except ENDINGS as error:  # a validator of a plugin's
        message = f"{host.origin(error) or 'a plugin'} broke on this recipe: {cause_of(error)}"
        return None, {(): document.locate(Problem("broken_operator", message), ())}


def _salvaged(
    data: Any, model: type[Recipe], mistakes: Mapping[Location, Problem]
) -> tuple[Recipe | None, dict[Location, list[int]]]:
    """The recipe without its mistakes, so that what else is wrong with it is found as well; and the
    steps that are left of lists that lost some."""
    rest = salvage(data, mistakes)
    if rest is None:
        return None, {}
    try:
        return model.model_validate(rest[0]), rest[1]
    except ValidationError:
        return None, {}


class _Resolver:
    """Reads what one recipe refers to; what is wrong with it goes to `findings`."""

    def __init__(
        self, findings: Findings, document: Document, folder: Path, host: Host, pool: Path | None
    ) -> None:
        self._findings = findings
        self._document = document
        self._folder = folder
        self._host = host
        self._bound_to = pool

    def resolve(
        self, recipe: Recipe, kept_steps: Mapping[Location, list[int]], *, own_task: bool
    ) -> ResolvedRecipe:
        """`own_task` says that the recipe itself chose its task."""
        task, task_document = None, None
        if recipe.task is not None:
            path = located(self._folder, recipe.task)
            task, task_document = self._load_task(path, self._bound_to if own_task else None)
        pool, pool_caps = self._load_pool(recipe)
        sources = {}
        for name, source in recipe.sources.items():
            if (found := self._source(name, source, pool)) is not None:
                sources[name] = found
        return ResolvedRecipe(
            recipe=recipe,
            document=self._document,
            folder=self._folder,
            task=task,
            task_document=task_document,
            sources=sources,
            pool=pool,
            pool_caps=pool_caps,
            bound=self._bound_to is not None,
            kept_steps=kept_steps,
        )

    def _load_task(self, path: Path, pool: Path | None) -> tuple[Task | None, Document | None]:
        """The task in a file; `pool` where the recipe is bound to it and chose the task itself."""
        folders = [self._folder, pool.parent] if pool is not None else []
        if folders and not is_within(path, folders):
            message = "the task of a recipe bound to a pool must lie beside the recipe or the pool"
            self._findings.add("not_in_pool", ("task",), message)
            return None, None
        document = self._referred(path, "task")
        if document is None:
            return None, None
        try:
            task = self._host.vocabulary.task(document.data).located_in(path.parent)
        except ValidationError as error:
            vocabulary, broken = self._host.vocabulary, self._host.broken
            found = problems_of(error, document, Task, vocabulary, broken)
            self._findings.problems += found.values()
            return None, document
        # What lies beside the pool is by its author; any other task came with the recipe.
        if pool is None or is_within(path, [pool.parent]):
            return task, document
        outside = list(files_outside(task, folders))
        for part in outside:
            message = "the files of its task must lie beside the recipe or the pool"
            problem = Problem("not_in_pool", message, f"{part}.path")
            self._findings.problems.append(document.locate(problem, (part, "path")))
        return (None if outside else task), document

    def _load_pool(self, recipe: Recipe) -> tuple[dict[str, Source], PoolCaps | None]:
        """The sources of the pool, and what it allows of language models."""
        path = self._bound_to
        if path is not None and recipe.pool is not None:
            message = "this recipe is bound to a pool and cannot name another"
            self._findings.add("not_in_pool", ("pool",), message)
        if path is None and recipe.pool:
            path = located(self._folder, recipe.pool)
        document = self._referred(path, "pool") if path is not None else None
        if path is None or document is None:
            return {}, None
        pool, mistakes = _validated(document, self._host.vocabulary.pool_model, self._host)
        self._findings.problems += mistakes.values()
        if pool is None:
            return {}, None
        sources = {}
        for name, source in pool.sources.items():
            place: Location = ("sources", name)
            if isinstance(source, PooledSource):
                kinds = ", ".join(self._host.vocabulary.source_keys)
                problem = Problem("source_kind", f"a source of a pool has one of: {kinds}")
                self._findings.problems.append(document.locate(problem, place))
            elif found := self._located(source, path.parent, document, place):
                # what a recipe names itself grants it nothing: one author may have written both
                bound = self._bound_to is not None
                sources[name] = found.reaching(pool.allow_network) if bound else found
        return sources, pool.language_models

    def _source(self, name: str, source: Source, pool: Mapping[str, Source]) -> Source | None:
        """A source of the recipe, ready to be read."""
        place: Location = ("sources", name)
        if isinstance(source, PooledSource):
            return self._from_pool(name, source, pool)
        if self._bound_to is None:
            return self._located(source, self._folder, self._document, place)
        message = f"this recipe may use only the sources of its pool, not {source.key}:"
        hint = f"the pool has {', '.join(sorted(pool))}"
        self._findings.add("not_in_pool", (*place, source.key), message, hint)
        return None

    def _from_pool(
        self, name: str, source: PooledSource, pool: Mapping[str, Source]
    ) -> Source | None:
        pooled = pool.get(name)
        if pooled is None:
            hint = did_you_mean(name, pool) if pool else "add path: or hf:, or name a pool"
            message = f"the pool has no source {name!r}"
            self._findings.add("unknown_source", ("sources", name), message, hint)
            return None
        own = {key: getattr(source, key) for key in source.model_fields_set - {"steps"}}
        if self._bound_to is not None:
            for key, message, hint in _refused_fields(name, own, pooled):
                self._findings.add("not_in_pool", ("sources", name, key), message, hint)
            takes = [take for take in (own.get("take"), pooled.take) if take is not None]
            own = {"take": min(takes, default=None)}
        steps = (*pooled.steps, *source.steps)
        return pooled.model_copy(update={**own, "steps": steps})

    def _located(
        self, source: Source, folder: Path, document: Document, place: Location
    ) -> Source | None:
        """The source with its paths resolved; a path that no system could have is a problem."""
        place = (*place, source.key)
        try:
            # Absolute, for they are placed again, in the folder of the recipe.
            steps = tuple(ask(step, "located", folder.absolute()) for step in source.steps)
            placed = source.located(folder).model_copy(update={"steps": steps})
            return placed.reading(self._host.vocabulary.readers)
        except (OSError, RuntimeError, ValueError) as error:
            problem = Problem("bad_path", f"not a path: {error}", dotted(place))
            self._findings.problems.append(document.locate(problem, place))
            return None

    def _referred(self, path: Path, field_name: str) -> Document | None:
        """A file that the recipe refers to; what is wrong with it is among the problems."""
        document = documents.read(path)
        if not document.problems and not isinstance(document.data, dict):
            self._findings.add("not_a_mapping", (field_name,), f"{path} is not a mapping")
            return None
        for problem in document.problems:
            if problem.code == "unreadable_file":
                hint = f"relative to the recipe's folder{not_expanded(path)}"
                self._findings.add("no_file", (field_name,), problem.message, hint)
            else:
                self._findings.problems.append(problem)
        return None if document.problems else document


def read_typed(path: Path, model: type[M]) -> M:
    """The model in a YAML file. Raises `RecipeError` with all that is wrong with it, and where."""
    return _read(path, model, model.model_validate)


def read_task(path: Path, host: Host | None = None) -> Task:
    """The task in a file, its paths resolved, with its metric; of those of `host`, or of those that
    are installed. Raises `RecipeError` as `read_typed` does."""
    host = host or installed()
    return _read(path, Task, host.vocabulary.task, host).located_in(path.parent)


def _read(path: Path, model: type[M], make: Callable[[Any], M], host: Host | None = None) -> M:
    document = documents.read(path)
    problems = list(document.problems)
    if not problems and not isinstance(document.data, dict):
        name = model.__name__.lower()
        known = ", ".join(model.model_fields)
        message = f"{path} holds no {name}: it is not a mapping"
        problems = [document.locate(Problem("not_a_mapping", message, "", f"fields: {known}"), ())]
    if problems:
        raise RecipeError(problems)
    try:
        return make(document.data)
    except ValidationError as error:
        vocabulary = Vocabulary() if host is None else host.vocabulary
        broken = [] if host is None else host.broken
        found = problems_of(error, document, model, vocabulary, broken)
        raise RecipeError(list(found.values())) from None


def is_within(path: Path, folders: Sequence[Path]) -> bool:
    """Whether a path lies in one of the folders, `..` and links resolved."""
    real = Path(os.path.realpath(path))
    return any(real.is_relative_to(os.path.realpath(folder)) for folder in folders)


def files_outside(task: Task, folders: Sequence[Path]) -> Iterator[str]:
    """The parts of a task whose files lie in none of the folders."""
    for name in ("benchmark", "examples"):
        path = getattr(getattr(task, name), "path", None)
        if path is not None and not is_within(Path(path), folders):
            yield name


def _refused_fields(
    name: str, own: Mapping[str, Any], pooled: Source
) -> Iterator[tuple[str, str, str]]:
    """What a recipe says of a source that its pool alone may say: (field, message, hint) each."""
    for key in own:
        if key not in _OF_THE_RECIPE:
            hint = (
                f"remove it: a recipe may set only {' and '.join(_OF_THE_RECIPE)} of such a source"
            )
            message = f"{name} is a source of the pool that this recipe is bound to: {key} is fixed"
            yield key, message, hint
    take = own.get("take")
    if take is not None and pooled.take is not None and take > pooled.take:
        yield "take", f"the pool offers {pooled.take:,} rows of {name}", "take as many, or fewer"
