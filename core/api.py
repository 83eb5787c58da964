"""What the commands do, for programs: check, plan and run a recipe file."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from datachef.core.contracts.engine import Engine, WorkerConfig
from datachef.core.contracts.observer import RunObserver
from datachef.core.errors import DatachefError, PluginError, RecipeError
from datachef.core.registry.host import Host
from datachef.core.system.paths import expanded, in_utf8
from datachef.core.text.values import described

if TYPE_CHECKING:
    from datachef.core.recipe.resolving import Loaded
    from datachef.core.rows.inspection import SourceInfo
    from datachef.core.run.plan import Plan
    from datachef.core.run.report import Report

CACHE = "DATACHEF_CACHE"


@dataclass(frozen=True)
class Checked:
    """A recipe with its problems, and what its sources offer."""

    loaded: Loaded
    surveys: dict[str, SourceInfo]


def default_cache() -> Path:
    """The folder of `DATACHEF_CACHE`, or `.datachef` in the working folder."""
    return expanded(os.environ.get(CACHE) or ".datachef").absolute()


def check_recipe(
    path: Path, host: Host, pool: Path | None = None, overrides: Sequence[str] = ()
) -> Checked:
    """Finds all problems of a recipe file; raises nothing for a mistake in it."""
    from datachef.core.recipe.checking import check
    from datachef.core.recipe.resolving import load

    loaded = load(path, host, pool, overrides)
    surveys = check(loaded, host)
    for found in (loaded.problems, loaded.warnings):
        found.sort(key=lambda problem: (problem.file, problem.line, problem.column))
    return Checked(loaded, surveys)


def plan_recipe(
    path: Path, host: Host, pool: Path | None = None, overrides: Sequence[str] = ()
) -> tuple[Loaded, Plan]:
    """The stages of a recipe file. Raises `RecipeError` with all problems where it has any."""
    from datachef.core.run.plan import Planner

    in_utf8([str(path.absolute())])
    checked = check_recipe(path, host, pool, overrides)
    if checked.loaded.problems:
        raise RecipeError(checked.loaded.problems)
    return checked.loaded, Planner(checked.loaded, checked.surveys, host.vocabulary).plan()


def run_recipe(
    path: Path,
    output: Path | None = None,
    *,
    host: Host | None = None,
    pool: Path | None = None,
    overrides: Sequence[str] = (),
    engine: str = "local",
    workers: int | None = None,
    cache: Path | None = None,
    observers: Sequence[RunObserver] = (),
    stall_limit: float | None = None,
) -> Report:
    """Runs a recipe file and puts the corpus into `output`, by default `corpus/<name>`.

    A worker of the local engine that makes no progress for `stall_limit` seconds is ended, as if it
    had died; by default it is waited for.

    Raises `RecipeError` for a recipe with problems and `RunError` for a run that cannot finish.
    """
    host = host or Host()
    engines = host.named("datachef_engines")
    if engine not in engines:
        raise DatachefError(f"no engine {engine!r}", host.missing(engine, engines))
    cache = (cache or default_cache()).absolute()
    in_utf8([str(cache), *([str(output.absolute())] if output else [])])
    setting = WorkerConfig(host.files, cache, stall_limit)
    built = engines[engine](setting, workers or os.cpu_count() or 1)
    if not isinstance(built, Engine):
        raise PluginError(f"the engine {engine!r} is {described(built)}, not an Engine")
    with built as running:
        # only now what is slow to import: the workers are importing meanwhile
        from datachef.core.run.runner import Runner
        from datachef.core.run.store import Store

        loaded, plan = plan_recipe(path, host, pool, overrides)
        assert loaded.recipe is not None
        folder = (output or Path("corpus") / loaded.recipe.name).absolute()
        store = Store(cache, setting.run)
        return Runner(loaded, plan, host, running, store, observers).run(folder)
