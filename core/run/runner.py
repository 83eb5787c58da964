"""Runs a plan on an engine and puts the corpus in place."""

from __future__ import annotations

import os
import shutil
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import orjson
import polars as pl

from datachef.core.engine import Engine
from datachef.core.errors import RunError
from datachef.core.host import Host
from datachef.core.loading import Loaded
from datachef.core.observer import RunObserver
from datachef.core.run.intake import REJECTS
from datachef.core.run.ledger import Entry, Ledger
from datachef.core.run.output import SUFFIX, common_schema, features, plan_shards
from datachef.core.run.plan import Plan
from datachef.core.run.report import Report, dataset_card, manifest
from datachef.core.run.stage import OutputSpec, ShardTask, Task, UnitTask
from datachef.core.run.store import Store

MANIFEST = "manifest.json"


class Runner:
    """One run of one plan; use `run` once."""

    def __init__(
        self,
        loaded: Loaded,
        plan: Plan,
        host: Host,
        engine: Engine,
        cache: Path,
        observers: Sequence[RunObserver] = (),
    ) -> None:
        self._loaded = loaded
        self._plan = plan
        self._host = host
        self._engine = engine
        self._store = Store(cache)
        self._observers = [*observers, *host.listed("datachef_run_observers")]
        self._records: dict[str, dict[str, Any]] = {}
        self._cached = 0
        self._bytes = 0

    def run(self, folder: Path) -> Report:
        """Does what is not done yet and replaces `folder` by the corpus.

        Raises `RunError` when too many rows failed, a unit cannot be done, or the ledger does not
        balance. What was done until then is in the cache and not done again.
        """
        started = time.monotonic()
        refuse_foreign(folder)
        self._tell("run_started", self._plan)
        try:
            for number, wave in enumerate(self._plan.waves, start=1):
                self._perform(f"{number}/{len(self._plan.waves)}", wave.tasks)
                self._perform("deciding", wave.decisions)
                self._bound_failures()
            report = self._publish(folder, started)
            self._forget_transient_failures()
        except BaseException as error:
            self._tell("run_failed", error)
            raise
        self._tell("run_finished", report)
        return report

    def _perform(self, title: str, tasks: Sequence[Task]) -> None:
        todo: list[Any] = []
        for task in tasks:
            record = None if isinstance(task, ShardTask) else self._store.record(task.key)
            if record is None or isinstance(task, ShardTask):
                todo.append(task)
            else:
                self._records[task.key] = record
                self._cached += 1
        if not todo:
            return
        self._tell("wave_started", title, sum(task.size for task in todo))
        for index, record in self._engine.map(todo, self._progressed):
            task = todo[index]
            if not isinstance(task, ShardTask):
                self._records[task.key] = record
            if isinstance(task, UnitTask) and task.unit is not None:
                self._bytes += task.size
            self._tell("unit_finished", task.label, task.size)

    def _progressed(self, label: str, done_bytes: int, rows: int) -> None:
        self._tell("progressed", label, done_bytes, rows)

    def _ledger(self) -> Ledger:
        """All records of units added up, in the order of the recipe."""
        ledger = Ledger(Entry(path, op) for path, op in self._plan.steps)
        for record in self._records.values():
            for data in record["ledger"]:
                ledger.add(Entry.from_data(data))
        return ledger

    def _bound_failures(self) -> None:
        """Ends the run where more rows failed at a step than the sources they came from allow."""
        ledger = self._ledger()
        sources = self._loaded.sources
        for entry in ledger:
            parts = entry.path.split(".")
            names = [parts[1]] if parts[0] == "sources" else list(sources)
            rows = sum(ledger[f"sources.{name}"].rows_in for name in names)
            bound = max(sources[name].max_failed for name in names)
            failed = entry.failed.total()
            if failed > bound * rows:
                reasons = ", ".join(f"{reason} {n:,}" for reason, n in entry.failed.most_common(5))
                raise RunError(
                    f"{entry.path}: {failed:,} of {rows:,} rows failed ({reasons}), "
                    f"more than the {bound:.0%} that max_failed allows",
                    self._example_of_failure(entry.path),
                )

    def _example_of_failure(self, path: str) -> str:
        rejects = self._rejects().filter(pl.col("step") == path, pl.col("outcome") == "failed")
        if rejects.height == 0:
            return "raise max_failed of the source, or mend its rows"
        first = rejects.row(0, named=True)
        line = f" line {first['line']}" if first["line"] else ""
        where = f"{first['file']}{line}" if first["file"] else first["id"]
        return f"the first: {where}: {first['detail'] or first['reason']}"

    def _forget_transient_failures(self) -> None:
        """Forgets units in which rows failed for reasons that may pass, and all made from them."""
        vocabulary = self._host.vocabulary
        stale: set[str] = set()
        for wave in self._plan.waves:
            for task in wave.tasks:
                entries = self._records[task.key]["ledger"]
                failed_for_now = any(
                    e["op"] in vocabulary
                    and not vocabulary[e["op"]].transient.isdisjoint(e["failed"])
                    for e in entries
                )
                head = task.stage.steps[0].decision if task.stage.steps else None
                if failed_for_now or task.parent in stale or head in stale:
                    stale.add(task.key)
            stale |= {d.key for d in wave.decisions if not stale.isdisjoint(d.summaries)}
        for key in stale:
            self._store.forget(key)

    def _rejects(self) -> pl.DataFrame:
        """The rejected rows that are kept, with lines counted from the start of their file."""
        rejects = self._loaded.recipe.rejects if self._loaded.recipe else None
        frames = []
        lines: Counter[str] = Counter()
        for wave in self._plan.waves:
            for task in wave.tasks:
                record = self._records.get(task.key)
                if record is None:
                    continue
                before = 0
                if task.unit is not None:
                    file = f"{task.stage.source.name if task.stage.source else ''}/{task.unit.name}"
                    before = lines[file]
                    lines[file] += record.get("lines", 0)
                if record["rejects"]:
                    path = self._store.checked(task.key, record["rejects"])
                    frames.append(pl.read_parquet(path).with_columns(pl.col("line") + before))
        table = pl.concat(frames) if frames else pl.DataFrame(schema=REJECTS)
        if rejects is not None and rejects.keep == "sample":
            table = table.group_by("step", "reason", maintain_order=True).head(rejects.per_reason)
        return table.select(list(REJECTS))

    def _publish(self, folder: Path, started: float) -> Report:
        recipe = self._loaded.recipe
        assert recipe is not None
        staging = folder.with_name(f".{folder.name}.{os.getpid()}.partial")
        shutil.rmtree(staging, ignore_errors=True)
        try:
            files = self._write_shards(staging)
            ledger = self._ledger()
            rows = sum(facts["rows"] for facts in files)
            imbalances = ledger.imbalances(rows)
            if imbalances:
                raise RunError("the ledger does not balance: " + "; ".join(imbalances))
            ignored: dict[str, Counter[str]] = {}
            for task in self._plan.waves[0].tasks:
                if task.stage.source is not None:
                    counts = Counter(self._records[task.key].get("ignored", {}))
                    ignored.setdefault(task.stage.source.name, Counter()).update(counts)
            report = Report(
                folder=folder,
                ledger=ledger,
                rows=rows,
                tokens=ledger["output"].tokens,
                bytes_read=self._bytes,
                seconds=time.monotonic() - started,
                units=sum(len(wave.tasks) + len(wave.decisions) for wave in self._plan.waves),
                units_cached=self._cached,
                ignored_fields={name: counts for name, counts in ignored.items() if counts},
            )
            self._write_accounts(staging, files, report)
            replace_folder(staging, folder)
        finally:
            shutil.rmtree(staging, ignore_errors=True)
        return report

    def _write_shards(self, staging: Path) -> list[dict[str, Any]]:
        recipe = self._loaded.recipe
        assert recipe is not None
        parts = self._parts()
        schema = self._schema()
        shards = plan_shards(parts, recipe.output.shard_bytes)
        suffix = SUFFIX[recipe.output.format]
        tasks = []
        for index, shard in enumerate(shards):
            file = f"data/train-{index:05d}-of-{len(shards):05d}.{suffix}"
            size = sum(facts["memory"] for _, facts in shard)
            tasks.append(
                ShardTask(
                    file, str(staging), recipe.output.format, tuple(shard), schema, file, size
                )
            )
        self._tell("wave_started", "writing", sum(task.size for task in tasks))
        files: dict[int, dict[str, Any]] = {}
        for index, facts in self._engine.map(tasks, self._progressed):
            files[index] = facts
            self._tell("unit_finished", tasks[index].label, tasks[index].size)
        return [files[index] for index in range(len(tasks))]

    def _parts(self) -> list[tuple[str, dict[str, Any]]]:
        """The finished parts that are the corpus, in the order of the data."""
        return [
            (task.key, facts)
            for task in self._plan.final
            for facts in self._records[task.key]["parts"]
        ]

    def _schema(self) -> dict[str, str]:
        recipe = self._loaded.recipe
        assert recipe is not None
        spec = OutputSpec(self._plan.schema, recipe.output.columns)
        return common_schema([facts for _, facts in self._parts()], spec)

    def _write_accounts(self, staging: Path, files: list[dict[str, Any]], report: Report) -> None:
        recipe = self._loaded.recipe
        assert recipe is not None
        made_of = manifest(self._loaded, self._plan, self._host, files)
        (staging / MANIFEST).write_bytes(_pretty(made_of))
        ledger = [entry.to_data(timed=False) for entry in report.ledger]
        (staging / "ledger.json").write_bytes(_pretty(ledger))
        pattern = f"data/train-*.{SUFFIX[recipe.output.format]}"
        untyped = recipe.output.format != "parquet"
        types = features(self._schema()) if untyped else []
        card = dataset_card(self._loaded, self._plan, report, pattern, types)
        (staging / "README.md").write_text(card, encoding="utf-8")
        rejects = self._rejects()
        if rejects.height:
            (staging / "rejects").mkdir()
            rejects.write_parquet(staging / "rejects" / "rejects.parquet")

    def _tell(self, event: str, *arguments: Any) -> None:
        for observer in self._observers:
            getattr(observer, event)(*arguments)


def _pretty(data: Any) -> bytes:
    return orjson.dumps(data, option=orjson.OPT_INDENT_2) + b"\n"


def refuse_foreign(folder: Path) -> None:
    """Raises `RunError` where replacing the folder would delete something that is no corpus."""
    if folder.exists() and not _is_ours(folder):
        raise RunError(
            f"{folder} exists and is not a corpus of datachef", "choose another --output"
        )


def _is_ours(folder: Path) -> bool:
    if not folder.is_dir():
        return False
    try:
        return "datachef" in orjson.loads((folder / MANIFEST).read_bytes())
    except (OSError, orjson.JSONDecodeError, TypeError):
        return not any(folder.iterdir())


def replace_folder(new: Path, old: Path) -> None:
    """Puts a folder in the place of another; one of the two is there at every moment but one."""
    old.parent.mkdir(parents=True, exist_ok=True)
    retired = old.with_name(f".{old.name}.{os.getpid()}.old")
    if old.exists():
        old.rename(retired)
    new.rename(old)
    shutil.rmtree(retired, ignore_errors=True)
