"""From a recipe file to a recipe with its task, pool and sources in place, or to its problems."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import BaseModel, ValidationError

from datachef.core import document as documents
from datachef.core.contracts.recipe import Recipe
from datachef.core.contracts.source import Source
from datachef.core.contracts.task import Task
from datachef.core.document import Document, Location
from datachef.core.errors import DatachefError, RecipeError
from datachef.core.language_models.caps import PoolCaps
from datachef.core.problems import Problem, did_you_mean, dotted, warning
from datachef.core.recipe import binding
from datachef.core.recipe.structure import problems_of, salvage
from datachef.core.registry.host import Host
from datachef.core.registry.promises import ask
from datachef.core.registry.vocabulary import PooledSource, Vocabulary
from datachef.core.system.containment import ENDINGS, cause_of
from datachef.core.system.paths import located, not_expanded

if TYPE_CHECKING:
    from datachef.core.language_models.tokens import TokenizerFiles


_INDEX = re.compile(r"[0-9]{1,9}")


@dataclass
class Loaded:
    """A recipe and everything it refers to; `recipe` is None where it could not be understood.

    `sources` are those of the recipe, taken from the pool where the recipe only names them, with
    paths resolved; `pool` are all those of the pool, and `pool_caps` what it allows of language
    models. `bound` says that the recipe may use nothing but these. `warnings` are what is worth
    knowing and no mistake, `tokenizer` is what the check found under its name. Where steps were too
    wrong to be understood, `kept_steps` tells which ones are left of their list.
    """

    document: Document
    folder: Path
    recipe: Recipe | None = None
    task: Task | None = None
    task_document: Document | None = None
    sources: dict[str, Source] = field(default_factory=dict)
    pool: dict[str, Source] = field(default_factory=dict)
    pool_caps: PoolCaps | None = None
    bound: bool = False
    problems: list[Problem] = field(default_factory=list)
    warnings: list[Problem] = field(default_factory=list)
    tokenizer: TokenizerFiles | None = None
    kept_steps: dict[Location, list[int]] = field(default_factory=dict)

    def place(self, steps: Location, index: int) -> Location:
        """Where a step stands in the document, in which there may be wrong ones before it."""
        kept = self.kept_steps.get(steps)
        return (*steps, index if kept is None else kept[index])

    def beside(self, name: str) -> Path:
        """A path that the recipe names, relative to its own folder."""
        return located(self.folder, name)

    def add(self, code: str, location: Location, message: str, hint: str = "") -> None:
        """Notes a problem at a place of the recipe's document."""
        problem = Problem(code, message, dotted(location), hint)
        self.problems.append(self.document.locate(problem, location))

    def warn(self, code: str, location: Location, message: str, hint: str = "") -> None:
        """Notes a warning at a place of the recipe's document."""
        found = warning(code, message, dotted(location), hint)
        self.warnings.append(self.document.locate(found, location))


def load(path: Path, host: Host, pool: Path | None = None, overrides: Sequence[str] = ()) -> Loaded:
    """Reads a recipe file.

    `pool` binds the recipe to the sources of that pool. `overrides` are `a.b=value` assignments,
    applied to the document before it is understood.
    """
    return understand(documents.read(path), path.parent, host, pool, overrides)


def understand(
    document: Document,
    folder: Path,
    host: Host,
    pool: Path | None = None,
    overrides: Sequence[str] = (),
) -> Loaded:
    """Like `load`, for a document already read; its paths are relative to `folder`."""
    loaded = Loaded(document, folder, bound=pool is not None, problems=list(document.problems))
    if document.data is None and document.problems:
        return loaded
    if not isinstance(document.data, dict):
        loaded.add("not_a_recipe", (), "a recipe is a mapping", "begin with name: and sources:")
        return loaded
    for override in overrides:
        _override(loaded, override)
    _fill_empty_sources(document.data)
    model = host.vocabulary.recipe_model
    recipe, mistakes = _validated(document, model, host)
    loaded.problems += mistakes.values()
    recipe = recipe if recipe is not None else _salvaged(loaded, model, mistakes)
    if recipe is None:
        return loaded
    loaded.recipe = recipe
    if recipe.task is not None:
        # A task that whoever runs the recipe chose is theirs, wherever it lies.
        chosen = any(override.partition("=")[0].strip() == "task" for override in overrides)
        reach = pool if not chosen else None
        loaded.task = _load_task(loaded, loaded.beside(recipe.task), reach)
    pooled = loaded.pool = _load_pool(loaded, recipe, host, pool)
    for name, source in recipe.sources.items():
        place: Location = ("sources", name)
        if isinstance(source, PooledSource):
            _take_from_pool(loaded, name, source, pooled)
        elif loaded.bound:
            loaded.add(
                "not_in_pool",
                (*place, source.key),
                f"this recipe may use the pool's sources alone, not {source.key}:",
                f"known there: {', '.join(sorted(pooled))}",
            )
        elif (located := _located(source, folder, loaded.problems, document, place)) is not None:
            loaded.sources[name] = located
    return loaded


def _salvaged(
    loaded: Loaded, model: type[Recipe], mistakes: Mapping[Location, Problem]
) -> Recipe | None:
    """The recipe without its mistakes, so that what else is wrong with it is found as well."""
    rest = salvage(loaded.document.data, mistakes)
    if rest is None:
        return None
    try:
        recipe = model.model_validate(rest[0])
    except ValidationError:
        return None
    loaded.kept_steps = rest[1]
    return recipe


def _override(loaded: Loaded, override: str) -> None:
    path, equals, text = override.partition("=")
    parsed = documents.parse(text or "null")
    if not equals or parsed.problems or not path:
        loaded.add("bad_override", (), f"--set {override!r} is not a.b=value")
        return
    here: Any = loaded.document.data
    words = path.replace("[", ".").replace("]", "").split(".")
    for index, part in enumerate(words):
        key: Any = int(part) if isinstance(here, list) and _INDEX.fullmatch(part) else part
        fits = isinstance(here, dict) or (
            isinstance(here, list) and isinstance(key, int) and key < len(here)
        )
        if not fits:
            loaded.add("bad_override", (), f"--set {override!r}: there is no place {path!r}")
            return
        if index == len(words) - 1:
            here[key] = parsed.data
        else:
            here = here.setdefault(key, {}) if isinstance(here, dict) else here[key]


def _fill_empty_sources(data: dict[str, Any]) -> None:
    """`web:` with nothing under it is a source of the pool as it is."""
    sources = data.get("sources")
    if isinstance(sources, dict):
        for name, source in sources.items():
            sources[name] = {} if source is None else source


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


def _located(
    source: Source, folder: Path, problems: list[Problem], document: Document, place: Location
) -> Source | None:
    """The source with its paths resolved; a path that no system could have is a problem."""
    place = (*place, source.key)
    try:
        steps = tuple(ask(step, "located", folder) for step in source.steps)
        return source.located(folder).model_copy(update={"steps": steps})
    except (OSError, RuntimeError, ValueError) as error:
        problem = Problem("bad_path", f"not a path: {error}", dotted(place))
        problems.append(document.locate(problem, place))
        return None


def _load_task(loaded: Loaded, path: Path, pool: Path | None) -> Task | None:
    """The task in a file; `pool` where the recipe is bound to it and chose the task itself."""
    folders = [loaded.folder, pool.parent] if pool is not None else []
    if folders and not binding.within(path, folders):
        message = "a recipe bound to a pool finds its task beside itself or beside the pool"
        loaded.add("not_in_pool", ("task",), message)
        return None
    document = _referred(loaded, path, "task")
    if document is None:
        return None
    loaded.task_document = document
    try:
        task = Task.model_validate(document.data).located_in(path.parent)
    except ValidationError as error:
        loaded.problems += problems_of(error, document, Task, Vocabulary(), []).values()
        return None
    # Whoever wrote the pool also wrote what lies beside it; any other task came with the recipe.
    if pool is None or binding.within(path, [pool.parent]):
        return task
    outside = list(binding.files_outside(task, folders))
    for part in outside:
        message = "the task of a recipe bound to a pool reads files beside the recipe or the pool"
        problem = Problem("not_in_pool", message, f"{part}.path")
        loaded.problems.append(document.locate(problem, (part, "path")))
    return None if outside else task


def _load_pool(
    loaded: Loaded, recipe: Recipe, host: Host, bound_to: Path | None
) -> dict[str, Source]:
    if bound_to is not None and recipe.pool is not None:
        loaded.add(
            "not_in_pool", ("pool",), "this recipe is bound to a pool and cannot name another"
        )
    path = bound_to if bound_to is not None else loaded.beside(recipe.pool) if recipe.pool else None
    if path is None:
        return {}
    document = _referred(loaded, path, "pool")
    if document is None:
        return {}
    pool, mistakes = _validated(document, host.vocabulary.pool_model, host)
    loaded.problems += mistakes.values()
    if pool is None:
        return {}
    loaded.pool_caps = pool.language_models
    pooled = {}
    for name, source in pool.sources.items():
        place: Location = ("sources", name)
        if isinstance(source, PooledSource):
            kinds = ", ".join(host.vocabulary.source_keys)
            problem = Problem("source_kind", f"a source of a pool names one of: {kinds}")
            loaded.problems.append(document.locate(problem, place))
        elif located := _located(source, path.parent, loaded.problems, document, place):
            # what a recipe names itself grants it nothing: whoever wrote one may have written both
            pooled[name] = located.reaching(pool.allow_network) if loaded.bound else located
    return pooled


def _take_from_pool(
    loaded: Loaded, name: str, source: PooledSource, pooled: dict[str, Source]
) -> None:
    if name not in pooled:
        hint = did_you_mean(name, pooled) if pooled else "give it a path: or hf:, or name a pool"
        loaded.add("unknown_source", ("sources", name), f"the pool has no source {name!r}", hint)
        return
    own = {key: getattr(source, key) for key in source.model_fields_set - {"steps"}}
    if loaded.bound:
        for key, message, hint in binding.refused(name, own, pooled[name]):
            loaded.add("not_in_pool", ("sources", name, key), message, hint)
        takes = [take for take in (own.get("take"), pooled[name].take) if take is not None]
        own = {"take": min(takes, default=None)}
    steps = (*pooled[name].steps, *source.steps)
    loaded.sources[name] = pooled[name].model_copy(update={**own, "steps": steps})


def _referred(loaded: Loaded, path: Path, field_name: str) -> Document | None:
    """A file that the recipe refers to; what is wrong with it is among the recipe's problems."""
    document = documents.read(path)
    if not document.problems and not isinstance(document.data, dict):
        loaded.add("not_a_mapping", (field_name,), f"{path} is not a mapping")
        return None
    for problem in document.problems:
        if problem.code == "unreadable_file":
            hint = f"relative to the recipe's folder{not_expanded(path)}"
            loaded.add("no_file", (field_name,), problem.message, hint)
        else:
            loaded.problems.append(problem)
    return None if document.problems else document


M = TypeVar("M", bound=BaseModel)


def read_typed(path: Path, model: type[M]) -> M:
    """The model in a YAML file. Raises `RecipeError` with all that is wrong with it, and where."""
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
        return model.model_validate(document.data)
    except ValidationError as error:
        found = problems_of(error, document, model, Vocabulary(), [])
        raise RecipeError(list(found.values())) from None


def read_task(path: Path) -> Task:
    """The task in a file, its paths resolved. Raises `RecipeError` as `read_typed` does."""
    return read_typed(path, Task).located_in(path.parent)
