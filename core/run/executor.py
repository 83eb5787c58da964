"""Where tasks are carried out: a process with plugins loaded and operators built once per stage."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import polars as pl
from pydantic import TypeAdapter

from datachef.core.contracts.accounting import frame_of
from datachef.core.contracts.corpus import (
    Context,
    CorpusOperator,
    MixOperator,
    refuse_unfit_decision,
)
from datachef.core.contracts.engine import WorkerConfig
from datachef.core.contracts.operator import Services
from datachef.core.contracts.source import Source
from datachef.core.errors import DatachefError, PluginError, RunError, is_panic, panicked
from datachef.core.registry.host import Host
from datachef.core.registry.promises import ask
from datachef.core.run.pipeline import Step
from datachef.core.run.signal_cache import TextMemory
from datachef.core.run.stage import (
    DecisionTask,
    PartitionTask,
    ShardTask,
    StageSpec,
    StepSpec,
    Task,
)
from datachef.core.run.store import Store
from datachef.core.run.time_limit import NO_LIMIT
from datachef.core.system.code_identity import code_of
from datachef.core.system.containment import cause_of, is_interrupt
from datachef.core.system.failures import environment_failure
from datachef.core.system.file_identity import verify_files
from datachef.core.text.formats import Format

_FORMAT: TypeAdapter[Format] = TypeAdapter(Format)

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class BuiltStage:
    """A stage with its operators made and its decisions loaded."""

    steps: tuple[Step, ...]
    source: Source | None
    format: Format | None
    tail: Step | None


class TaskExecutor:
    """Carries out tasks one after the other; knows nothing of other workers.

    Results go to `store`, by default on disk in the cache. With `texts` signals are also remembered
    by the text that they were measured on.
    """

    def __init__(
        self,
        host: Host,
        cache: Path,
        store: Store | None = None,
        texts: TextMemory | None = None,
    ) -> None:
        # Of calls of steps with rows; an engine that can end this process may set one.
        self.limit = NO_LIMIT
        self._texts = texts
        self._host = host
        self._vocabulary = host.vocabulary
        self.store = store or Store(cache)
        self._services = Services(host.named("datachef_llm_backends"), cache / "llm")
        self._stage: tuple[StageSpec, BuiltStage] | None = None

    @classmethod
    def of(cls, config: WorkerConfig) -> TaskExecutor:
        """An executor with the plugins and the cache of a run, for engines of plugins."""
        return cls(Host(config.plugin_files), config.cache, Store(config.cache, config.run))

    def perform(self, task: Task, progress: Progress) -> dict[str, Any]:
        """The record of the task; one that is already in the store is not done again.

        What an operator's author did wrong is a `PluginError`, wherever in its code it was met.
        """
        try:
            return self._perform(task, progress)
        except DatachefError:
            raise
        except BaseException as error:
            if is_panic(error):
                panic = panicked(error)
                raise PluginError(f"{task.label}: {panic.message}", panic.hint) from error
            if is_interrupt(error) or environment_failure(error) is not None:
                raise
            origin = self._host.origin(error)
            if not origin:
                raise
            raise PluginError(f"{origin}: {cause_of(error)}") from error

    def _perform(self, task: Task, progress: Progress) -> dict[str, Any]:
        if isinstance(task, ShardTask):
            from datachef.core.run.output import write_shard

            return write_shard(task, self.store)
        done = self.store.record(task.key)
        if done is not None:
            return done
        if isinstance(task, DecisionTask):
            return self._decide(task)
        return self._run_partition(task, progress)

    def _run_partition(self, task: PartitionTask, progress: Progress) -> dict[str, Any]:
        from datachef.core.run.partition import PartitionRun

        stage = self._built(task.stage)
        if stage.steps:
            first = stage.steps[0]
            self._services.failures.begin(f"{first.path} ({first.operator.op})", task.may_fail)
        return PartitionRun(task, stage, self.store, progress, self._texts, self.limit).run()

    def _decide(self, task: DecisionTask) -> dict[str, Any]:
        verify_files(task.step.files)
        step = self._step(task.step)
        operator = step.operator
        if not isinstance(operator, CorpusOperator):
            raise PluginError(f"{step} is not a corpus operator")
        tables = []
        passing = False
        for key in task.summaries:
            record = self.store.record(key)
            if record is None:
                raise RunError(
                    f"the rows before {task.step.path} are gone from the cache", "run again"
                )
            passing = passing or bool(record.get("passing"))
            if record["summary"]:
                tables.append((key, record["summary"]))
        decision = pl.DataFrame()
        mixed: dict[str, Any] = {}
        if tables:
            context = Context(task.seed, task.sources)
            with step.located(), merged(self.store, tables) as summaries:
                decision = frame_of(ask(operator, "resolve", summaries, context), "resolve()")
                refuse_unfit_decision(operator, summaries, decision)
                if isinstance(operator, MixOperator):
                    mixed = _mixed(operator, summaries, decision, task.sources)
        verify_files(task.step.files)
        facts = self.store.write(task.key, "decision.parquet", decision)
        record = {"key": task.key, "files": [facts], "ledger": [], "passing": passing, **mixed}
        return dict(self.store.finish(task.key, record))

    def _step(self, spec: StepSpec) -> Step:
        decision = None
        if spec.decision is not None:
            record = self.store.record(spec.decision)
            if record is None:
                raise RunError(f"the decision of {spec.path} is gone from the cache", "run again")
            decision = self.store.read(spec.decision, record["files"][0])
        name = spec.data["op"]
        if name != "take" and name not in self._vocabulary:
            hint = self._host.missing(name, ())
            raise PluginError(f"{spec.path}: no operator {name!r} in this process", hint)
        operator = self._vocabulary.operator(spec.data)
        _refuse_other_code(spec.path, type(operator), spec.identity)
        operator = ask(operator, "connect", self._services)
        identity = {**spec.identity, "decision": spec.decision}
        return Step(spec.path, operator, decision, self._vocabulary.package(name), identity)

    def _built(self, spec: StageSpec) -> BuiltStage:
        if self._stage is None or self._stage[0] != spec:
            source = None
            if spec.source is not None:
                source = self._vocabulary.source(spec.source.key, spec.source.data)
                source = source.reaching(spec.source.network)
                place = f"sources.{spec.source.name}"
                _refuse_other_code(place, type(source), spec.source.identity)
            built = BuiltStage(
                steps=tuple(self._step(step) for step in spec.steps),
                source=source,
                format=_FORMAT.validate_python(spec.source.format) if spec.source else None,
                tail=self._step(spec.tail) if spec.tail else None,
            )
            self._stage = (spec, built)
        return self._stage[1]


def _refuse_other_code(path: str, cls: type, identity: Mapping[str, Any]) -> None:
    """Raises `RunError` where this process has other code than the one that planned: its results
    would be kept as those of the other."""
    if code_of(cls) != identity["code"]:
        raise RunError(
            f"{path}: {cls.__name__} is not the code that the run was planned with",
            "was it edited meanwhile? run again",
        )


def _mixed(
    mix: MixOperator, summaries: pl.LazyFrame, decision: pl.DataFrame, sources: tuple[str, ...]
) -> dict[str, Any]:
    """What the record of a mix tells besides: the sizes of the sources before it, and how often it
    takes a row of each at most. Of a mix that summarizes in a way of its own the sizes are not
    known, and the most copies of any row hold for all sources."""
    repeated = frame_of(decision, "resolve()", "id", "copies").filter(pl.col("copies") > 1)
    if not {"source", "size"} <= set(summaries.collect_schema()):
        most = int(repeated["copies"].max()) if repeated.height else 1  # type: ignore[arg-type]
        return {"copies": dict.fromkeys(sources, most)}
    sizes = ask(mix, "sizes", summaries, sources)
    copies = dict.fromkeys(sizes, 1)
    if repeated.height:
        owners = summaries.select("id", "source").join(repeated.lazy(), on="id")
        by_source = owners.group_by("source").agg(pl.col("copies").max()).collect()
        copies |= dict(by_source.select("source", "copies").iter_rows())
    return {
        "sizes": {name: [size.rows, size.tokens] for name, size in sizes.items()},
        "copies": copies,
    }


Scan = Callable[[], pl.LazyFrame]

# Compressed; a corpus of millions of rows has more, and is merged on disk.
IN_MEMORY_BYTES = 64 * 2**20
MOST_FILES = 32


@contextmanager
def merged(store: Store, tables: Sequence[tuple[str, Mapping[str, Any]]]) -> Iterator[pl.LazyFrame]:
    """Tables of the store, by key and facts, one after the other in their order.

    Little is read at once; much is merged into ever larger files first, with at most `MOST_FILES`
    of them open, however many there are.
    """
    if sum(facts.get("bytes", 0) for _, facts in tables) <= IN_MEMORY_BYTES:
        yield pl.concat([store.read(key, facts) for key, facts in tables]).lazy()
        return
    with store.scratch_folder() as folder:
        scans: list[Scan] = [partial(store.scan, key, facts) for key, facts in tables]
        level = 0
        while len(scans) > MOST_FILES:
            scans = _fewer(scans, folder / str(level))
            level += 1
        yield pl.concat([scan() for scan in scans])


def _fewer(scans: Sequence[Scan], folder: Path) -> list[Scan]:
    """Every `MOST_FILES` tables merged into one."""
    folder.mkdir()
    larger: list[Scan] = []
    for start in range(0, len(scans), MOST_FILES):
        file = folder / f"{start}.parquet"
        group = [scan() for scan in scans[start : start + MOST_FILES]]
        pl.concat(group).sink_parquet(file, compression="lz4")
        larger.append(partial(pl.scan_parquet, file))
    return larger
