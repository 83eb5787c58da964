"""Runs recipes on a fixed sample of each source, which is drawn once and kept as a file."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from hashlib import blake2b
from pathlib import Path
from typing import Any

import orjson
import polars as pl

from datachef.core.contracts.corpus import CorpusOperator, Size
from datachef.core.contracts.engine import WorkerConfig
from datachef.core.contracts.operator import Operator
from datachef.core.contracts.recipe import Recipe, Rejects
from datachef.core.contracts.source import (
    BrokenFileError,
    Partition,
    RawRow,
    Source,
    SourceError,
    read_unchanged,
)
from datachef.core.errors import NO_ANSWER, RowError, UnavailableError
from datachef.core.language_models.tokens import TokenCounter
from datachef.core.recipe.checked import CheckedRecipe, corpus_steps, reference_sources
from datachef.core.registry.host import Host
from datachef.core.registry.promises import ask
from datachef.core.rows.columns import concat
from datachef.core.rows.inspection import SourceInfo, SourceInspector
from datachef.core.run.executor import InlineEngine
from datachef.core.run.ledger import Entry, Ledger
from datachef.core.run.plan import Plan, Planner
from datachef.core.run.runner import Runner
from datachef.core.run.stage import PartitionWork, key_of
from datachef.core.run.store import MemoryStore
from datachef.core.system.atomic import clear_scratch, read_record, remove, write_once, write_record
from datachef.core.system.code_identity import code_of, core_code
from datachef.core.system.paths import checksum
from datachef.core.text.formats import Format

# Results of earlier recipes that stay in memory.
KEPT_BYTES = 2 * 10**9
LAYOUT = 4
# Of the rows that reach a step, the share that a server may leave without an answer.
MOST_UNANSWERED = 0.1
# A larger source is sampled from some of its partitions, so that drawing takes seconds at any size.
READ_BYTES = 64 * 2**20


@dataclass(frozen=True)
class SourceSample:
    """The sample of one source: a JSON-lines file with rows as the source has them.

    `rows` are in the file, `available` are in the source that fit its format (estimated by bytes
    where some partitions were not read, and no more than its `take`), `failed` is the share of rows
    that do not fit.
    """

    path: str
    rows: int
    available: float
    failed: float

    @property
    def rate(self) -> float:
        """The share of the source's rows that is in the sample."""
        return self.rows / self.available if self.available else 1.0


class SampleStore:
    """Samples of sources in a folder, each drawn when it is first needed.

    Whether a sample still holds is decided by all that it depends on, code included. Its file is
    named for the rows in it, since the ids of rows, and with them some decisions and scores, hang
    on the name of their file: code that draws the same rows gives the same score.
    """

    def __init__(self, folder: Path, rows: int, seed: int) -> None:
        self._folder = folder
        self._rows = rows
        self._seed = seed
        self._known: dict[str, SourceSample] = {}

    def sample(self, found: SourceInfo) -> SourceSample:
        """The sample of a source. Raises `SourceError` where it holds no row that fits, and
        `UnavailableError` where it cannot be read to its end now, but may be another time."""
        source = found.source
        partitions = [
            [partition.name, partition.identity, partition.place] for partition in found.partitions
        ]
        own = source.model_dump(mode="json", exclude={"steps", "format", "description", "licence"})
        row_format = found.format.model_dump(mode="json")
        kinds = [type(source), *source.readers_of(found.partitions).values(), SampleStore]
        code = [core_code(), *map(code_of, kinds)]
        key = key_of("sample", LAYOUT, own, row_format, partitions, self._rows, self._seed, code)
        known = self._known.get(key)
        if known is None or not Path(known.path).is_file():
            known = self._known[key] = self._kept(key) or self._draw(found, key)
        return known

    def _kept(self, key: str) -> SourceSample | None:
        """The sample that was drawn earlier; None where it is not there as it was written."""
        kept = read_record(self._folder / f"{key}.json", key)
        if kept is None or not _is_intact(self._file(kept["checksum"]), kept["checksum"]):
            return None
        return SourceSample(**kept["sample"] | {"path": str(self._file(kept["checksum"]))})

    def _file(self, digest: str) -> Path:
        return self._folder / f"{digest}.jsonl"

    def _draw(self, found: SourceInfo, key: str) -> SourceSample:
        clear_scratch(self._folder)
        reservoir = _Reservoir(self._rows, self._seed, found.format)
        chosen = self._chosen_partitions(found)
        broken: dict[str, BrokenFileError] = {}
        for place, partition in chosen:
            try:
                reservoir.add(place, partition, read_unchanged(found.source, partition))
            except BrokenFileError as error:
                if error.passing:
                    said = f"{partition.name} cannot be read to its end now: {error}"
                    raise UnavailableError(said, error.hint) from error
                broken[partition.name] = error
        if len(broken) > found.source.max_failed_files:
            name, first = next(iter(broken.items()))
            raise SourceError(first.code, f"{name} cannot be read to its end: {first}", first.hint)
        if not reservoir.fitting:
            raise SourceError("no_rows", "not one row fits the format", "look at its first rows")
        read = sum(partition.size for _, partition in chosen)
        available = reservoir.fitting * (found.size / read if read else 1.0)
        take = found.source.take
        rows = reservoir.rows()
        raw = b"".join(row + b"\n" for row in rows)
        digest = blake2b(raw, digest_size=16).hexdigest()
        file = self._file(digest)
        if not _is_intact(file, digest):
            remove(file)
            write_once(file, raw)
        sample = SourceSample(
            path=str(file),
            rows=len(rows),
            available=min(available, take) if take is not None else available,
            failed=reservoir.failed / (reservoir.failed + reservoir.fitting),
        )
        kept = {"sample": asdict(sample), "checksum": digest}
        write_record(self._folder / f"{key}.json", self._folder, key, kept)
        return sample

    def _chosen_partitions(self, found: SourceInfo) -> list[tuple[int, Partition]]:
        """All partitions, or some by the seed, in the order of the data."""
        placed = list(enumerate(found.partitions))
        if found.size <= READ_BYTES:
            return placed
        placed.sort(key=lambda pair: _priority(self._seed, f"{pair[1].name}:{pair[0]}"))
        chosen, size = [], 0
        for place, partition in placed:
            chosen.append((place, partition))
            size += partition.size
            if size >= READ_BYTES:
                break
        return sorted(chosen, key=lambda pair: pair[0])


class _Reservoir:
    """Keeps the rows of lowest priority, a hash of seed and place, of all that it is shown."""

    def __init__(self, rows: int, seed: int, row_format: Format) -> None:
        self.fitting = 0
        self.failed = 0
        self._limit = rows
        self._seed = seed
        self._format = row_format
        self._heap: list[tuple[int, tuple[int, int], bytes]] = []

    def add(self, place: int, partition: Partition, rows: Iterator[RawRow]) -> None:
        for row in rows:
            if row.data is None:
                self.failed += bool(row.reason)
                continue
            priority = -_priority(self._seed, f"{partition.name}:{row.position}")
            full = len(self._heap) == self._limit
            try:
                self._format.convert(row.data)
            except RowError:
                self.failed += 1
                continue
            self.fitting += 1
            if full and priority < self._heap[0][0]:
                continue
            entry = (priority, (place, row.position), _line(row.data))
            (heapq.heappushpop if full else heapq.heappush)(self._heap, entry)

    def rows(self) -> list[bytes]:
        """The rows kept, in the order of the data."""
        return [line for _, _, line in sorted(self._heap, key=lambda entry: entry[1])]


def _is_intact(path: Path, digest: str) -> bool:
    """Whether a file holds what it held when it was written."""
    return path.is_file() and checksum(path) == digest


def _line(data: Any) -> bytes:
    return orjson.dumps(data, default=str, option=orjson.OPT_NON_STR_KEYS)


def _priority(seed: int, name: str) -> int:
    digest = blake2b(name.encode(), digest_size=8, key=seed.to_bytes(8, "little")).digest()
    return int.from_bytes(digest, "little")


@dataclass(frozen=True)
class SampledSource:
    """One source of a recipe, represented by its sample.

    `read` are the rows of the sample, `size` is what the whole source holds where the mix begins,
    and `epochs` how often the mix takes each row of it.
    """

    sample: SourceSample
    read: pl.DataFrame
    size: Size
    epochs: float
    licence: str


@dataclass(frozen=True)
class SampledCorpus:
    """The result of a recipe on the samples of its sources.

    `rows` have `id`, `source`, `text`, `tokens`, `messages` where they are conversations, whatever
    else the steps left, and `weight`: how many rows of the whole corpus a row stands for.
    """

    recipe: Recipe
    schema: str
    sources: Mapping[str, SampledSource]
    rows: pl.DataFrame
    ledger: Ledger


class SampledRunner:
    """Runs recipes on samples of `rows` rows per source, in this process.

    Uses the ordinary planner, and keeps results in memory: recipes that share a source with its
    steps share the work. Mixing costs nothing: rows are weighted instead of repeated.
    """

    def __init__(self, host: Host, cache: Path, rows: int, seed: int = 0) -> None:
        self._host = host
        self._sample_store = SampleStore(cache / "samples", rows, seed)
        self._store = MemoryStore()
        self._engine = InlineEngine(WorkerConfig(host.files, cache), store=self._store)
        self._inspector = SourceInspector()

    def inspect(self, source: Source) -> SourceInfo:
        """What is known of a source before it is read whole; each source is inspected once."""
        return self._inspector.inspect(source)

    def sample(self, found: SourceInfo) -> SourceSample:
        """The sample of a source. Raises `SourceError` where it holds no row that fits."""
        return self._sample_store.sample(found)

    def run(self, checked: CheckedRecipe) -> SampledCorpus:
        """The sampled corpus of a recipe.

        Raises `RunError` where the recipe does not run on the sample, `UnavailableError` where too
        many rows got no answer of a server, and `SourceError` where a source has no rows.
        """
        self._store.trim(KEPT_BYTES)
        recipe = checked.recipe
        shares = ask(recipe.mix, "shares") if recipe.mix is not None else None
        references = reference_sources(checked)
        taken = [name for name in checked.sources if not shares or shares.get(name, 0) > 0]
        names = [name for name in taken if name not in references]
        samples = {name: self.sample(checked.source_info[name]) for name in (*references, *names)}
        sources = {
            name: self._sampled(checked.source_info[name], samples[name])
            for name in checked.sources
            if name in samples
        }
        sampled = replace(
            checked,
            recipe=_unmixed(recipe, recipe.steps),
            sources=sources,
            source_info={name: self.inspect(source) for name, source in sources.items()},
        )
        factor = 1.0
        if any(step.scaled(0.5) != step for step in recipe.steps):
            factor = self._factor(sampled, samples, recipe)
            steps = tuple(step.scaled(factor) for step in recipe.steps)
            sampled = replace(sampled, recipe=_unmixed(recipe, steps))
        plan, runner = self._execute(sampled)
        epochs, sizes = self._mixed(plan, samples, recipe)
        if any(
            _removes_copies(step.operator) for step in corpus_steps(sampled, self._host.vocabulary)
        ):
            epochs = {name: min(number, 1.0) for name, number in epochs.items()}
        sampled_sources = {
            name: SampledSource(
                samples[name],
                self._together(plan.read[name]),
                sizes[name],
                epochs[name],
                checked.sources[name].licence,
            )
            for name in names
        }
        weights = {name: epochs[name] / samples[name].rate for name in names}
        rows = self._together(plan.final)
        if rows.width:
            weight = pl.col("source").replace_strict(weights, return_dtype=pl.Float64)
            tokens = TokenCounter(*plan.counting).count_rows(rows).alias("tokens")
            rows = rows.with_columns(weight.alias("weight"), tokens).filter(pl.col("weight") > 0)
        return SampledCorpus(recipe, plan.schema, sampled_sources, rows, runner.ledger())

    def _together(self, tasks: Sequence[PartitionWork]) -> pl.DataFrame:
        """All rows of the partitions, in the order of the data."""
        frames = [frame for task in tasks if (frame := self._store.rows(task.key)).width]
        return concat(frames) if frames else pl.DataFrame()

    def _sampled(self, found: SourceInfo, sample: SourceSample) -> Source:
        """The file with the sample in the place of the source, its steps scaled to it."""
        data = {"path": sample.path, "format": found.format.model_dump(mode="json")}
        source = self._host.vocabulary.source("path", data)
        steps = tuple(step.scaled(sample.rate) for step in found.source.steps)
        max_failed = max(found.source.max_failed, sample.failed)
        return source.model_copy(update={"steps": steps, "max_failed": max_failed})

    def _execute(self, sampled: CheckedRecipe) -> tuple[Plan, Runner]:
        plan = Planner(sampled, self._host).plan(layered=True)
        runner = Runner(sampled, plan, self._host, self._engine, self._store)
        runner.execute()
        refuse_unanswered(runner.ledger())
        return plan, runner

    def _factor(
        self, sampled: CheckedRecipe, samples: Mapping[str, SourceSample], recipe: Recipe
    ) -> float:
        """The size of the sample relative to the whole corpus, where the corpus steps begin."""
        before = replace(sampled, recipe=_unmixed(recipe, ()))
        plan, _ = self._execute(before)
        epochs, sizes = self._mixed(plan, samples, recipe)
        whole = sum(sizes[name].rows * epochs[name] for name in sizes)
        sampled_rows = sum(
            sizes[name].rows * samples[name].rate for name in sizes if epochs[name] > 0
        )
        return min(sampled_rows / whole, 1.0) if whole else 1.0

    def _mixed(
        self, plan: Plan, samples: Mapping[str, SourceSample], recipe: Recipe
    ) -> tuple[dict[str, float], dict[str, Size]]:
        """How often the mix takes each source, and what each holds where the mix begins."""
        counter = TokenCounter(*plan.counting)
        sizes = {}
        for name, tasks in plan.prepared.items():
            rows = self._together(tasks)
            tokens = int(counter.count_rows(rows).sum()) if rows.width else 0
            rate = samples[name].rate
            sizes[name] = Size(rows.height / rate, tokens / rate)
        if recipe.mix is None:
            return dict.fromkeys(sizes, 1.0), sizes
        return dict(ask(recipe.mix, "epochs", sizes)), sizes


def refuse_unanswered(entries: Iterable[Entry]) -> None:
    """Raises `UnavailableError` where more rows failed at a step because no server answered, also
    where `max_failed` allows it: without them the corpus is another."""
    for entry in entries:
        unanswered = entry.failed[NO_ANSWER]
        if unanswered > MOST_UNANSWERED * entry.rows_in:
            raise UnavailableError(
                f"{entry.path} ({entry.op}): the server left {unanswered:,} of {entry.rows_in:,} "
                "rows without an answer, which says nothing of the recipe",
                "try again when it answers; what was answered is kept",
            )


def _unmixed(recipe: Recipe, steps: tuple[Operator, ...]) -> Recipe:
    """The recipe with other corpus steps, without its mix, and without rejected rows to look at."""
    changes = {"mix": None, "steps": steps, "rejects": Rejects(keep="none")}
    return recipe.model_copy(update=changes)


def _removes_copies(operator: object) -> bool:
    return isinstance(operator, CorpusOperator) and operator.removes_copies
