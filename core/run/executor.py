"""Carries out work items, in a process with plugins loaded and operators built once per stage.

`InlineEngine` does so in the calling process; other engines build a `TaskExecutor` in each worker.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

import polars as pl
from pydantic import ConfigDict, TypeAdapter

from datachef.core.contracts.engine import Engine, Progress, WorkerConfig, WorkItem
from datachef.core.contracts.operator import Operator, Services
from datachef.core.contracts.source import Source
from datachef.core.distribution import NAME
from datachef.core.errors import DatachefError, PluginError, RunError, is_panic, panicked
from datachef.core.registry.host import Host
from datachef.core.registry.promises import ask
from datachef.core.run.file_store import FileStore
from datachef.core.run.signals import TextMemory
from datachef.core.run.stage import (
    DecisionWork,
    PartitionWork,
    ShardWork,
    SourceSpec,
    StageSpec,
    StepSpec,
)
from datachef.core.run.steps import AnyStep, CorpusStep, Step, corpus_step
from datachef.core.run.store import Store
from datachef.core.run.time_limit import NO_LIMIT
from datachef.core.system.code_identity import code_of
from datachef.core.system.containment import cause_of, is_interrupt
from datachef.core.system.failures import environment_failure
from datachef.core.system.paths import verify_files
from datachef.core.text.formats import Format

_FORMAT: TypeAdapter[Format] = TypeAdapter(Format, config=ConfigDict(defer_build=True))

# Called with the bytes read and the rows passed since the last call.
OnProgress = Callable[[int, int], None]


@dataclass(frozen=True)
class BuiltSource:
    """A source that can be read, with the format of its rows."""

    spec: SourceSpec
    source: Source
    format: Format


@dataclass(frozen=True)
class BuiltStage:
    """A stage with its operators built; the decision that its first step applies is read for each
    partition, which needs a part of it."""

    steps: tuple[AnyStep, ...]
    source: BuiltSource | None
    summarizes_for: CorpusStep | None

    @property
    def all_steps(self) -> tuple[AnyStep, ...]:
        """The steps, and the corpus operator that the stage summarizes for."""
        return (*self.steps, *((self.summarizes_for,) if self.summarizes_for else ()))


class TaskExecutor:
    """Carries out work items one after the other; knows nothing of other workers.

    Results go to `store`. With `texts` signals are also remembered by the text that they were
    measured on.
    """

    def __init__(
        self,
        host: Host,
        cache: Path,
        store: Store,
        texts: TextMemory | None = None,
    ) -> None:
        # The time that calls of steps may take; an engine that can end this process may set one.
        self.limit = NO_LIMIT
        self._texts = texts
        self._host = host
        self._cache = cache
        self.store = store
        backends = host.named("datachef_llm_backends")
        folder = store.folder if isinstance(store, FileStore) else None
        shared = folder if folder is not None and folder.remote else None
        self._services = Services(backends, cache / "llm", shared=shared)
        self._stage: tuple[StageSpec, BuiltStage] | None = None

    @classmethod
    def of(cls, config: WorkerConfig) -> TaskExecutor:
        """An executor with the plugins and the cache of a run, for engines of plugins."""
        return cls(Host(config.plugin_files), config.cache, FileStore.of(config))

    def prepare(self) -> None:
        """Imports what every recipe needs, for a process that waits for its first item."""
        import_module("datachef.core.run.partition")
        _ = self._host.formats

    def perform(self, item: WorkItem, progress: OnProgress) -> dict[str, Any]:
        """The record of the item, with the `seconds` that it took; one that is already in the
        store is not done again.

        What an operator's author did wrong is a `PluginError`, wherever in its code it was met.
        """
        started = time.perf_counter()
        try:
            record = self._perform(item, progress)
            return {**record, "seconds": round(time.perf_counter() - started, 3)}
        except DatachefError:
            raise
        except BaseException as error:
            if is_panic(error):
                panic = panicked(error)
                raise PluginError(f"{item.label}: {panic.message}", panic.hint) from error
            if is_interrupt(error) or environment_failure(error) is not None:
                raise
            origin = self._host.origin(error)
            if not origin:
                raise
            raise PluginError(f"{origin}: {cause_of(error)}") from error

    def _perform(self, item: WorkItem, progress: OnProgress) -> dict[str, Any]:
        if isinstance(item, ShardWork):
            from datachef.core.run.output import write_shard

            writer = self._host.formats.writer(item.format)
            return write_shard(item, self.store, writer, self._cache)
        if isinstance(item, PartitionWork | DecisionWork):
            done = self.store.record(item.key)
            if done is not None:
                return done
        if isinstance(item, DecisionWork):
            return self._decide(item)
        if isinstance(item, PartitionWork):
            return self._run_partition(item, progress)
        raise TypeError(f"not work of a run: {item!r}")

    def _run_partition(self, item: PartitionWork, progress: OnProgress) -> dict[str, Any]:
        from datachef.core.run.partition import PartitionRun

        stage = self._built(item.stage)
        if stage.steps:
            first = stage.steps[0]
            if (decision := item.stage.steps[0].decision) is not None:
                first = replace(first, decision=self._decision(decision, item))
                stage = replace(stage, steps=(first, *stage.steps[1:]))
            self._services.failures.begin(f"{first.path} ({first.operator.op})", item.may_fail)
        return PartitionRun(item, stage, self.store, progress, self._texts, self.limit).run()

    def _decision(self, decision: str, item: PartitionWork) -> pl.DataFrame:
        from datachef.core.run.decision import decided_of

        found = decided_of(self.store, decision, item.parent or "")
        if found is None:
            message = f"what was decided of the rows before {item.label} is gone from the cache"
            raise RunError(message, "run again")
        return found

    def _decide(self, item: DecisionWork) -> dict[str, Any]:
        from datachef.core.run.decision import decide, decide_part

        verify_files(item.step.files)
        work = decide if item.part is None else decide_part
        record = work(item, corpus_step(self._step(item.step)), self.store)
        verify_files(item.step.files)
        return dict(self.store.finish(item.key, record))

    def _step(self, spec: StepSpec) -> AnyStep:
        cls, package = self._class_of(spec)
        _refuse_other_code(spec.path, cls, spec.identity)
        operator = ask(cls.model_validate(spec.data), "connect", self._services)
        identity = {**spec.identity, "decision": spec.decision}
        return Step(spec.path, operator, None, package, identity)

    def _class_of(self, spec: StepSpec) -> tuple[type[Operator], str]:
        """The class of a step, and the package that it came from.

        One of ours is imported alone: with all that is registered it would take longer than the
        work on a megabyte of rows.
        """
        if spec.home:
            module, _, name = spec.home.partition(":")
            cls: type[Operator] = getattr(import_module(module), name)
            return cls, NAME
        vocabulary, op = self._host.vocabulary, spec.data["op"]
        if op not in vocabulary:
            hint = self._host.missing(op, ())
            raise PluginError(f"{spec.path}: this process has no operator {op!r}", hint)
        return vocabulary[op], vocabulary.package(op)

    def _built(self, spec: StageSpec) -> BuiltStage:
        if self._stage is None or self._stage[0] != spec:
            last = spec.summarizes_for
            built = BuiltStage(
                steps=tuple(self._step(step) for step in spec.steps),
                source=self._source(spec.source) if spec.source is not None else None,
                summarizes_for=corpus_step(self._step(last)) if last is not None else None,
            )
            self._stage = (spec, built)
        return self._stage[1]

    def _source(self, spec: SourceSpec) -> BuiltSource:
        source = self._host.formats.source(spec.key, spec.data).reaching(spec.network)
        path = f"sources.{spec.name}"
        _refuse_other_code(path, type(source), spec.identity)
        for name, identity in spec.identity.get("readers", {}).items():
            if name not in source.readers:
                hint = self._host.missing(name, source.readers)
                raise PluginError(f"{path}: this process reads no files of the format {name}", hint)
            _refuse_other_code(path, source.readers[name], identity)
        return BuiltSource(spec, source, _FORMAT.validate_python(spec.format))


class InlineEngine(Engine):
    """Carries out work items in the calling process, one by one: for small runs and debuggers.

    With a `store` results go there, and signals stay in memory: for recipes that are tried in
    series.
    """

    def __init__(
        self, config: WorkerConfig, workers: int = 1, *, store: Store | None = None
    ) -> None:
        texts = TextMemory() if store is not None else None
        store = store or FileStore.of(config)
        self._executor = TaskExecutor(Host(config.plugin_files), config.cache, store, texts)

    def map(
        self, items: Sequence[WorkItem], progress: Progress
    ) -> Iterator[tuple[int, dict[str, Any]]]:
        for index, item in enumerate(items):
            yield index, self._executor.perform(item, partial(progress, item.label))


def _refuse_other_code(path: str, cls: type, identity: Mapping[str, Any]) -> None:
    """Raises `RunError` where this process has other code than the one that planned: its results
    would be kept as those of the other."""
    if code_of(cls) != identity["code"]:
        raise RunError(
            f"{path}: {cls.__name__} is not the code that the run was planned with",
            "was it edited meanwhile? run again",
        )
