"""Runs a plan on an engine and puts the corpus in place."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl

from datachef.core.contracts.engine import (
    METHODS,
    Engine,
    PartitionFinished,
    PartitionRetried,
    PartitionStalled,
    PhaseStarted,
    Progressed,
    RunEvent,
    RunFailed,
    RunObserver,
    RunStarted,
)
from datachef.core.distribution import NAME
from datachef.core.errors import NO_ANSWER, RunError, UnavailableError
from datachef.core.recipe.checked import CheckedRecipe
from datachef.core.recipe.model_calls import asked_models
from datachef.core.registry.host import Host
from datachef.core.run.changes import remember
from datachef.core.run.destination import Destination
from datachef.core.run.file_store import FileStore
from datachef.core.run.ledger import Ledger
from datachef.core.run.plan import Phase, Plan
from datachef.core.run.publish import Corpus
from datachef.core.run.report import Report, gather, observed, threshold_table
from datachef.core.run.stage import DecisionWork, PartitionWork, ShardWork
from datachef.core.run.status import followed
from datachef.core.run.store import Store
from datachef.core.run.summary import RunSummary
from datachef.core.system.containment import contained
from datachef.core.system.failures import ending_runs, explained
from datachef.core.system.folder import LocalFolder
from datachef.core.system.ownership import CHANGES, REJECTS, SIGNALS, THRESHOLDS

# How often what was damaged in the cache is made anew before the run fails of it.
MOST_REPAIRS = 3


class UnfitError(RunError):
    """The rows of a run are not fit to be a corpus: too many failed, or none is left.

    `kept` is the folder with ledger and rejected rows, where they could be kept.
    """

    kept: Path | None = None


class UnansweredError(UnfitError, UnavailableError):
    """The same for want of a server's answers, which says nothing of the rows."""


class Runner:
    """One run of one plan; use `run` or `execute` once."""

    def __init__(
        self,
        checked: CheckedRecipe,
        plan: Plan,
        host: Host,
        engine: Engine,
        store: Store,
        observers: Sequence[RunObserver] = (),
    ) -> None:
        self._checked = checked
        self._recipe = checked.recipe
        self._plan = plan
        self._host = host
        self._engine = engine
        engine.on_stall = self._stalled
        engine.on_retry = self._retried
        self._store = store
        self._given = tuple(observers)
        self._observers = [*observers, *host.observers()]
        self._records: dict[str, dict[str, Any]] = {}
        self._cached = 0
        self._bytes = 0

    def run(self, destination: Destination, cache: Path) -> Report:
        """Does what is not done yet and puts the corpus in place; `cache` is this machine's.

        Raises `PluginError` where nothing writes the format of the output, and `RunError` when
        another process is writing there, too many rows failed, none is left, a partition cannot be
        done, or the ledger does not balance. What was done until then is in the cache and not done
        again, and what was in the place stays as it was; where rows are to blame, they lie in
        `FOLDER.failed`.
        """
        started = time.monotonic()
        self._writer = self._host.vocabulary.writer(self._recipe.output.format)
        with ending_runs():
            destination.refuse(self._checked, self._plan, cache)
            self._store.prepare()
            with destination.locked(), self._followed(destination, cache):
                destination.refuse(self._checked, self._plan, cache)
                return self._run(destination, started)

    @contextmanager
    def _followed(self, destination: Destination, cache: Path) -> Iterator[None]:
        """Keeps in the cache how far the run is, where `chef status` finds it."""
        file = str(Path(self._checked.document.file).absolute())
        folder = self._store.folder if isinstance(self._store, FileStore) else LocalFolder(cache)
        output = destination.url or str(destination.folder)
        known = (self._store.run, file, output, self._plan.keys)
        with followed(folder, cache, *known) as observer:
            self._given = (*self._given, observer)
            self._observers.append(observer)
            yield

    def _run(self, destination: Destination, started: float) -> Report:
        name, run = self._recipe.name, self._store.run
        place, url = destination.folder, destination.url
        self._tell(RunStarted(name, place, self._plan.size, run, url))
        try:
            report = self._made(destination, started)
            destination.forget_failed()
        except BaseException as error:
            if isinstance(error, UnfitError):
                kept = self._keep_failed(destination, error)
                error.hint = "\n".join(filter(None, (error.hint, kept)))
            self._tell(RunFailed(error))
            raise
        finally:
            self._forget_passing()
        self._tell(report.finished())
        return report

    def _forget_passing(self) -> None:
        """Forgets what holds for this run alone."""
        for key, record in self._records.items():
            if record.get("passing"):
                self._store.forget_passing(key)

    def _made(self, destination: Destination, started: float) -> Report:
        """The corpus put in place. What turns out damaged in the cache is made anew."""
        for repairs_left in reversed(range(MOST_REPAIRS + 1)):
            try:
                self.execute()
                if not self._checked.samples:  # which say nothing of the last run of the whole
                    remember(self._store, self._checked, self._plan)
                self._refuse_empty()
                return self._publish(destination, started)
            except UnfitError:
                raise
            except RunError as error:
                failure = error
            if not repairs_left or all(map(self._store.record, self._records)):
                raise failure
        raise AssertionError("the last attempt returns or raises")

    def execute(self) -> None:
        """Does what is not done yet, and puts no corpus anywhere: its rows stay in the cache."""
        self._records, self._cached, self._bytes = {}, 0, 0
        for number, phase in enumerate(self._plan.phases, start=1):
            self._perform(f"{number}/{len(self._plan.phases)}", phase.partitions)
            if number == 1:  # all files are read in it
                self._bound_broken_files()
            self._perform("deciding", self._wanted(phase))
            self._perform("deciding", phase.decisions)
            self._bound_failures()

    def _wanted(self, phase: Phase) -> list[DecisionWork]:
        """The parts of decisions that are not known yet."""
        known = self._store.records(item.key for item in phase.decisions if item.parts)
        done = {key for item in phase.decisions if item.key in known for key in item.parts}
        self._cached += len(done)
        return [part for part in phase.parts if part.key not in done]

    def _perform(self, title: str, items: Sequence[PartitionWork | DecisionWork]) -> None:
        known = self._store.records(item.key for item in items)
        todo: list[Any] = [item for item in items if item.key not in known]
        self._records |= known
        self._cached += len(items) - len(todo)
        if not todo:
            return
        total, done = sum(item.size for item in todo), len(self._records)
        self._tell(PhaseStarted(title, total, len(todo), done))
        todo = self._bounded(todo)
        for index, record in self._engine.map(todo, self._progressed):
            item = todo[index]
            self._records[item.key] = record
            if isinstance(item, PartitionWork) and item.may_fail is not None and _failed(record):
                self._bound_failures()
            if isinstance(item, PartitionWork) and item.partitions:
                self._bytes += item.size
            self._tell(_finished(item, record))

    def _bounded(self, items: list[Any]) -> list[Any]:
        """The items, those whose first step is paid for with the number of rows that may fail."""
        known: dict[str, int] = {}

        def bounded(item: Any) -> Any:
            step = (
                item.stage.steps[0]
                if isinstance(item, PartitionWork) and item.stage.steps
                else None
            )
            name = step.data["op"] if step is not None else ""
            if step is None or name not in self._host.vocabulary:
                return item
            if not self._host.vocabulary[name].paid:
                return item
            if step.path not in known:
                known[step.path] = self._summary().may_fail(step.path)
            return replace(item, may_fail=known[step.path])

        return [bounded(item) for item in items]

    def _progressed(self, label: str, done_bytes: int, rows: int) -> None:
        self._tell(Progressed(label, done_bytes, rows))

    def _stalled(self, label: str, seconds: float, where: str) -> None:
        self._tell(PartitionStalled(label, seconds, where))

    def _retried(self, label: str, cause: str) -> None:
        self._tell(PartitionRetried(label, cause))

    def ledger(self) -> Ledger:
        """All records of partitions added up, in the order of the recipe."""
        return self._summary().accounts.whole

    def _summary(self) -> RunSummary:
        return RunSummary(self._checked, self._plan, self._records)

    def _bound_broken_files(self) -> None:
        """Ends the run where more files could not be read to their end than a source allows."""
        ledger = self.ledger()
        for name, source in self._checked.sources.items():
            broken = ledger[f"sources.{name}"].broken
            if len(broken) > source.max_failed_files:
                shown = [str(file) for _, file in sorted(broken.items())][:5]
                more = f"; and {len(broken) - 5:,} more" if len(broken) > 5 else ""
                files = "1 file" if len(broken) == 1 else f"{len(broken):,} files"
                passing = any(file.passing for file in broken.values())
                raise (UnavailableError if passing else RunError)(
                    f"sources.{name}: {files} cannot be read to the end: {'; '.join(shown)}{more}",
                    "replace what is damaged; to do without the rest of it, give the source "
                    f"max_failed_files: {len(broken)}",
                )

    def _bound_failures(self) -> None:
        """Ends the run where more rows failed at a step than the sources they came from allow."""
        found = self._summary().failure()
        if found is not None:
            path, message, passing = found
            kind = UnansweredError if passing else UnfitError
            raise kind(message, self._example_of_failure(path) + self._author_of(path))

    def _refuse_empty(self) -> None:
        """Ends the run where no row is left."""
        found = self._summary().emptiness()
        if found is not None:
            unanswered = any(entry.failed[NO_ANSWER] for entry in self.ledger())
            raise (UnansweredError if unanswered else UnfitError)(*found)

    def _example_of_failure(self, path: str) -> str:
        rejects = self._rejects().filter(pl.col("step") == path, pl.col("outcome") == "failed")
        if rejects.height == 0:
            return "raise max_failed of the source, or repair its rows"
        first = rejects.row(0, named=True)
        line = f" line {first['line']}" if first["line"] else ""
        where = f"{first['file']}{line}" if first["file"] else first["id"]
        return f"the first: {where}: {first['detail'] or first['reason']}"

    def _author_of(self, path: str) -> str:
        """Whose operator stands there, where it is not one of ours."""
        op = dict(self._plan.steps).get(path, "")
        package = self._host.vocabulary.package(op)
        return "" if package == NAME else f"; {op} is of {package}"

    def _rejects(self) -> pl.DataFrame:
        return gather(self._plan, self._records, self._store, self._recipe.rejects)

    def _tables(self) -> dict[str, pl.DataFrame]:
        """What lies beside the corpus to look at, by the names of the files."""
        found = observed(self._plan, self._records, self._store)
        thresholds = threshold_table(self._plan, self._host.vocabulary)
        return {
            REJECTS: self._rejects(),
            SIGNALS: found["signals"],
            THRESHOLDS: thresholds if found["signals"].height else thresholds.clear(),
            CHANGES: found["changes"],
        }

    def _publish(self, destination: Destination, started: float) -> Report:
        corpus = Corpus(self._recipe, self._plan, self._records, self._writer)
        corpus.refuse_repeated_ids(self._store)
        with destination.replacing() as staging:
            files = self._write(corpus.shards(destination, staging))
            ledger = self.ledger()
            rows = sum(facts["rows"] for facts in files)
            imbalances = ledger.imbalances(rows, self._plan.references)
            if imbalances:
                raise RunError("the ledger does not balance: " + "; ".join(imbalances))
            report = self._report(destination, rows, started)
            context = (self._checked, self._plan, self._host)
            corpus.write_accounts(staging, context, files, report, self._tables())
            destination.verify(staging, files)
            self._plan.verify_inputs()
        return report

    def _report(self, destination: Destination, rows: int, started: float) -> Report:
        summary = self._summary()
        return Report(
            folder=destination.folder,
            url=destination.url,
            rows=rows,
            tokens=summary.accounts.whole["output"].tokens,
            bytes_read=self._bytes,
            seconds=time.monotonic() - started,
            partitions=self._plan.size,
            partitions_cached=self._cached,
            ignored_fields=self._ignored_fields(),
            accounts=summary.accounts,
            shares=summary.shares,
            warnings=summary.warnings(),
            models=asked_models(self._checked, self._host.vocabulary),
        )

    def _keep_failed(self, destination: Destination, failure: UnfitError) -> str:
        """Where the rejected rows are, or why they are nowhere."""
        try:
            failure.kept = destination.keep_failed(self.ledger(), self._rejects())
            return f"rejected rows are in {failure.kept}"
        except (OSError, RunError) as error:
            return f"rejected rows were not kept: {explained(error) or error}"

    def _write(self, items: Sequence[ShardWork]) -> list[dict[str, Any]]:
        total, done = sum(item.size for item in items), len(self._records)
        self._tell(PhaseStarted("writing", total, len(items), done))
        files: dict[int, dict[str, Any]] = {}
        for index, facts in self._engine.map(items, self._progressed):
            item, seconds = items[index], facts.pop("seconds", 0.0)
            files[index] = facts
            rows = facts["rows"]
            self._tell(PartitionFinished(item.label, item.size, seconds, rows, 0, ("output",)))
        return [files[index] for index in range(len(items))]

    def _ignored_fields(self) -> dict[str, Counter[str]]:
        """Fields that were not in the first rows of their source, with how often they came."""
        found: dict[str, Counter[str]] = {}
        for item in self._plan.phases[0].partitions:
            if item.stage.source is not None and (fields := self._records[item.key]["ignored"]):
                found.setdefault(item.stage.source.name, Counter()).update(fields)
        return found

    def _tell(self, event: RunEvent) -> None:
        """Gives an event to the observers. One of a plugin that breaks gets no more of them, and
        the run goes on; what an observer of the caller raises ends the run.
        """
        for observer in list(self._observers):
            if observer in self._given:
                observer.observe(event)
                continue
            try:
                with contained():
                    observer.observe(event)
            except KeyboardInterrupt:
                raise
            except BaseException as error:  # noqa: BLE001 - a plugin's observer may raise anything
                self._host.observer_broke(observer, METHODS[type(event)], error)
                self._observers.remove(observer)


def _failed(record: Mapping[str, Any]) -> int:
    return sum(sum(entry["failed"].values()) for entry in record["ledger"])


def _finished(item: PartitionWork | DecisionWork, record: Mapping[str, Any]) -> PartitionFinished:
    """The event of an item that is done, with what its record says of it."""
    entries = record["ledger"]
    paths = (item.step.path,) if isinstance(item, DecisionWork) else (e["path"] for e in entries)
    return PartitionFinished(
        label=item.label,
        size=item.size,
        seconds=record.get("seconds", 0.0),
        rows=entries[0]["rows_in"] if entries else 0,
        failed=_failed(record),
        steps=tuple(paths),
    )
