"""A whole datatrove run: quality filters, exact deduplication, MinHash deduplication."""

from __future__ import annotations

import shutil
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from datatrove.executor import LocalPipelineExecutor
from datatrove.pipeline.dedup import (
    MinhashDedupBuckets,
    MinhashDedupCluster,
    MinhashDedupFilter,
    MinhashDedupSignature,
)
from datatrove.pipeline.dedup.exact_dedup import (
    ExactDedupConfig,
    ExactDedupFilter,
    ExactDedupSignature,
    ExactFindDedups,
)
from datatrove.pipeline.dedup.minhash import MinhashConfig
from datatrove.pipeline.readers import JsonlReader
from datatrove.pipeline.writers import JsonlWriter
from measure import Run, Usage, count_rows

if TYPE_CHECKING:
    from datatrove.data import Document
    from datatrove.pipeline.base import PipelineStep
    from datatrove.pipeline.filters.base_filter import BaseFilter
    from datatrove.utils.stats import PipelineStats


def content(document: Document) -> str:
    """What exact deduplication compares."""
    return document.text


def split(source: Path, folder: Path, parts: int) -> None:
    """The lines of ``source`` in ``parts`` files of consecutive lines."""
    folder.mkdir(parents=True)
    lines = source.read_bytes().splitlines(keepends=True)
    for part in range(parts):
        start, end = (len(lines) * edge // parts for edge in (part, part + 1))
        (folder / f"{part:05d}.jsonl").write_bytes(b"".join(lines[start:end]))


@dataclass
class Chain:
    """Executors of one run, one after another, with the seconds of each."""

    work: Path
    workers: int
    seconds: dict[str, float] = field(default_factory=dict)

    def run(self, name: str, steps: list[PipelineStep], tasks: int) -> PipelineStats:
        """Run one executor and note its seconds."""
        executor = LocalPipelineExecutor(
            steps,
            tasks=tasks,
            workers=min(self.workers, tasks),
            logging_dir=str(self.work / "logs" / name),
        )
        start = time.perf_counter()
        stats = executor.run()
        self.seconds[name] = round(time.perf_counter() - start, 3)
        return stats

    def reader(self, folder: str) -> JsonlReader:
        """Reads what ``writer`` wrote, in the same order."""
        return JsonlReader(str(self.work / folder))

    def writer(self, folder: Path) -> JsonlWriter:
        """One uncompressed file a task."""
        return JsonlWriter(str(folder), compression=None)

    def filter(self, filters: list[BaseFilter]) -> tuple[dict[str, float], dict[str, int]]:
        """raw -> filtered; datatrove's own seconds (over all workers) and rows of each filter."""
        steps = [self.reader("raw"), *filters, self.writer(self.work / "filtered")]
        stats = self.run("filters", steps, self.workers).stats[1:-1]
        named = {type(step).__name__: stat for step, stat in zip(filters, stats, strict=True)}
        seconds = {name: round(stat.time_stats.total, 3) for name, stat in named.items()}
        return seconds, {name: stat["forwarded"].total for name, stat in named.items()}

    def exact(self) -> None:
        """filtered -> unique."""
        config = ExactDedupConfig(content_getter=content)
        signatures, found = str(self.work / "exact_signatures"), str(self.work / "exact_found")
        sign = ExactDedupSignature(signatures, config, finder_workers=self.workers)
        self.run("exact_signature", [self.reader("filtered"), sign], self.workers)
        self.run("exact_find", [ExactFindDedups(signatures, found, config)], self.workers)
        drop = [ExactDedupFilter(found, config), self.writer(self.work / "unique")]
        self.run("exact_filter", [self.reader("filtered"), *drop], self.workers)

    def minhash(self, source: str, kept: Path) -> None:
        """``source`` -> kept, with datatrove's default configuration."""
        config = MinhashConfig()
        signatures = str(self.work / "signatures")
        buckets, removed = str(self.work / "buckets"), str(self.work / "removed")
        sign = MinhashDedupSignature(signatures, config)
        self.run("minhash_signature", [self.reader(source), sign], self.workers)
        match = MinhashDedupBuckets(signatures, buckets, config=config)
        self.run("minhash_buckets", [match], config.num_buckets)
        self.run("minhash_cluster", [MinhashDedupCluster(buckets, removed, config=config)], 1)
        drop = [MinhashDedupFilter(removed), self.writer(kept)]
        self.run("minhash_filter", [self.reader(source), *drop], self.workers)


def run_chain(
    source: Path, output: Path, workers: int, filters: list[BaseFilter], exact: bool
) -> None:
    """Filters, exact deduplication where it is asked for, MinHash, summary."""
    work, kept = output / "work", output / "kept"
    for folder in (work, kept):
        shutil.rmtree(folder, ignore_errors=True)
    split(source, work / "raw", workers)
    result = Run("datatrove", source, workers)
    chain = Chain(work, workers, result.stage_seconds)
    filter_seconds: dict[str, float] = {}
    with Usage() as usage:
        start = time.perf_counter()
        if filters:
            filter_seconds, result.rows_kept = chain.filter(filters)
        if exact:
            chain.exact()
        chain.minhash("unique" if exact else "filtered" if filters else "raw", kept)
        seconds = time.perf_counter() - start
    if exact:
        result.rows_kept["exact"] = count_rows(sorted((work / "unique").glob("*.jsonl")))
    result.rows_kept["minhash"] = count_rows(sorted(kept.glob("*.jsonl")))
    left_out = "splitting the input into one file a worker"
    result.write(
        output, seconds, usage, filter_seconds_over_workers=filter_seconds, not_timed=left_out
    )
    shutil.rmtree(work)
