"""What the commands do, for programs: check, plan and run a recipe file."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from inspect import Parameter, signature
from pathlib import Path
from typing import TYPE_CHECKING, Any

from datachef.core.contracts.engine import STALL_LIMIT, Engine, RunObserver, WorkerConfig
from datachef.core.errors import DatachefError, PluginError
from datachef.core.files.object_store import library
from datachef.core.registry.host import Host
from datachef.core.system.paths import CACHE, as_path, default_cache, expanded, in_utf8, is_url
from datachef.core.text.values import described

if TYPE_CHECKING:
    from datachef.core.recipe.checked import CheckedRecipe, CheckResult
    from datachef.core.run.plan import Plan
    from datachef.core.run.report import Report


def worker_config(
    host: Host,
    cache: Path | str | None = None,
    stall_limit: float | None = None,
    memory: int | None = None,
) -> WorkerConfig:
    """What workers need to know of a run whose results are kept in `cache`, a folder or a URL."""
    named = as_path(str(cache or os.environ.get(CACHE) or ""))
    if is_url(named):
        library(named)
        here = default_cache()
        return WorkerConfig(host.files, here, stall_limit, remote=named, memory=memory)
    folder = expanded(named).absolute() if named else default_cache()
    in_utf8([str(folder)])
    return WorkerConfig(host.files, folder, stall_limit, memory=memory)


def check_recipe(
    path: Path,
    host: Host | None = None,
    pool: Path | None = None,
    overrides: Sequence[str] = (),
    *,
    task: Path | None = None,
) -> CheckResult:
    """Finds all problems of a recipe file; raises nothing for a mistake in it.

    `pool` binds the recipe to the sources of a pool.yaml, `overrides` are `a.b=value` assignments,
    and `task` is a task.yaml that takes the place of the one that the recipe names.
    """
    from datachef.core import document
    from datachef.core.recipe.checking import check_document

    return check_document(
        document.read(path), path.parent, host or Host(), pool=pool, overrides=overrides, task=task
    )


def plan_recipe(
    path: Path,
    host: Host,
    pool: Path | None = None,
    overrides: Sequence[str] = (),
    *,
    task: Path | None = None,
    sample: int | None = None,
    cache: Path | None = None,
) -> tuple[CheckedRecipe, Plan]:
    """The recipe of a file and its stages, on samples of `sample` rows per source where that is
    given; they are kept in the cache. Raises `RecipeError` with all problems it has."""
    from datachef.core.run.plan import Planner
    from datachef.core.run.sampling import sampled_recipe

    in_utf8([str(path.absolute())])
    checked = check_recipe(path, host, pool, overrides, task=task).passed()
    if sample is not None:
        checked = sampled_recipe(checked, sample, cache or default_cache(), host.vocabulary)
    return checked, Planner(checked, host).plan()


def run_recipe(
    path: Path,
    output: Path | str | None = None,
    *,
    host: Host | None = None,
    pool: Path | None = None,
    overrides: Sequence[str] = (),
    task: Path | None = None,
    engine: str = "local",
    workers: int | None = None,
    cache: Path | str | None = None,
    observers: Sequence[RunObserver] = (),
    stall_limit: float | None = STALL_LIMIT,
    worker_memory: int | None = None,
    sample: int | None = None,
    engine_options: Mapping[str, Any] | None = None,
    shard: str | None = None,
    shard_patience: float | None = None,
) -> Report:
    """Runs a recipe file and puts the corpus into `output`, by default `corpus/<name>`.

    `output` and `cache` are folders, or URLs of object stores such as `s3://bucket/name`.

    `pool`, `overrides` and `task` are as for `check_recipe`. A worker of the local engine that
    makes no progress for `stall_limit` seconds is ended, as if it had died; None waits for ever.
    One that wants more than `worker_memory` bytes fails, by default where the machine has no more.
    With `sample`, the recipe runs on that many rows of each source, drawn by its seed, and the
    default `output` is `corpus/<name>.sample`. `engine_options` are what the engine takes besides.

    With `shard` (`"0/4"`) this process does its part of a run that it shares with others, through
    the cache alone; all but the first wait until that has put the corpus in place. Of a shard that
    gave no sign of life for `shard_patience` seconds the others do the part.

    Raises `RecipeError` for a recipe with problems and `RunError` for a run that cannot finish.
    """
    host = host or Host()
    config = worker_config(host, cache, stall_limit, worker_memory)
    output = None if output is None else _output(output)
    part = None
    if shard is None and shard_patience is not None:
        raise DatachefError("shard_patience is of a shard, and there is none", "give --shard I/N")
    if shard is not None:
        from datachef.core.run.shards import Shard

        part = Shard.parse(shard, shard_patience)
        config = replace(config, run=part.run_of(str(output or path.absolute())))
    count = workers or os.cpu_count() or 1
    with ExitStack() as stack:
        running = stack.enter_context(_engine(host, engine, config, count, engine_options or {}))
        # only now what is slow to import: the workers are importing meanwhile
        from datachef.core.run.destination import destination_of
        from datachef.core.run.file_store import FileStore
        from datachef.core.run.runner import Runner
        from datachef.core.system.failures import ending_runs

        store = FileStore.of(config)
        checked, plan = plan_recipe(
            path, host, pool, overrides, task=task, sample=sample, cache=config.cache
        )
        name = checked.recipe.name if sample is None else f"{checked.recipe.name}.sample"
        folder = output or (Path("corpus") / name).absolute()
        with ending_runs():
            place = destination_of(folder, config.cache)
        runner = Runner
        if part is not None:
            from datachef.core.run.sharded import Follower, ShardedEngine

            running = stack.enter_context(ShardedEngine(running, plan, store, part))
            runner = Runner if part.publishes else Follower
        return runner(checked, plan, host, running, store, observers).run(place, config.cache)


def _engine(
    host: Host, name: str, config: WorkerConfig, workers: int, options: Mapping[str, Any]
) -> Engine:
    """The registered engine of this name; its options are the keyword parameters of its factory."""
    engines = host.named("datachef_engines")
    if name not in engines:
        raise DatachefError(f"no engine {name!r}", host.missing(name, engines))
    parameters = signature(engines[name]).parameters.values()
    known = [each.name for each in parameters if each.kind is Parameter.KEYWORD_ONLY]
    for option in options:
        if option not in known:
            takes = f"its options are {', '.join(known)}" if known else "it has no options"
            raise DatachefError(f"the engine {name} takes no {option}", takes)
    built = engines[name](config, workers, **options)
    if not isinstance(built, Engine):
        raise PluginError(f"the engine {name!r} is {described(built)}, not an Engine")
    return built


def _output(named: Path | str) -> Path | str:
    """Where a corpus is to be put, as it was named: a folder, or a URL. Raises `DatachefError` for
    a place that nothing can be written to."""
    place = as_path(str(named))
    if is_url(place):
        if not place.startswith("hf://"):
            library(place)
        return place
    (found,) = in_utf8([str(expanded(place).absolute())])
    return Path(found)
