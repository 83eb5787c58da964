"""What both peers measure alike: texts, memory of a process tree, the summary file."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import psutil

MEBIBYTE = 1 << 20


def read_rows(path: Path) -> Iterator[dict[str, Any]]:
    """The rows of a jsonl file."""
    with path.open(encoding="utf-8") as lines:
        for line in lines:
            yield json.loads(line)


def megabytes(texts: Iterable[str]) -> float:
    """Millions of bytes of the texts in UTF-8."""
    return sum(len(text.encode("utf-8")) for text in texts) / 1e6


def count_rows(files: list[Path]) -> int:
    """Lines in all files."""
    total = 0
    for path in files:
        with path.open("rb") as lines:
            total += sum(1 for _ in lines)
    return total


def write_json(path: Path, value: object) -> None:
    """Write ``value`` indented, making the folder when needed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


@dataclass
class Run:
    """One run of a peer over a whole file; ``write`` makes its summary.json."""

    peer: str
    source: Path
    workers: int
    stage_seconds: dict[str, float] = field(default_factory=dict)
    rows_kept: dict[str, int] = field(default_factory=dict)

    def write(self, output: Path, seconds: float, usage: Usage, **more: object) -> None:
        """Write the summary; the sizes of the input are counted here, outside the clock."""
        size = megabytes(row["text"] for row in read_rows(self.source))
        summary = {
            "peer": self.peer,
            "workers": self.workers,
            "seconds": round(seconds, 3),
            "per_stage_seconds": self.stage_seconds,
            "rows_in": count_rows([self.source]),
            "rows_kept_per_stage": self.rows_kept,
            "megabytes": round(size, 3),
            "mb_per_second": round(size / seconds, 3),
            "mb_per_cpu_second": round(size / usage.cpu_seconds, 3),
            **usage.figures(),
            **more,
        }
        write_json(output / "summary.json", summary)


class Usage:
    """Samples memory and processor time of a process and its descendants while it is open; by
    default of this one."""

    def __init__(self, pid: int | None = None, interval: float = 0.2) -> None:
        self.interval = interval
        self._process = psutil.Process(pid)
        self.tree = 0.0
        self.largest = 0.0
        self._processor: dict[int, float] = {}
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Self:
        self._before = _processor_seconds(self._process)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._closed.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._closed.wait(self.interval):
            sizes = []
            try:
                family = [self._process, *self._process.children(recursive=True)]
            except psutil.Error:  # it ended just now
                continue
            for process in family:
                try:
                    sizes.append(process.memory_info().rss / MEBIBYTE)
                    self._processor[process.pid] = _processor_seconds(process)
                except psutil.Error:  # it ended meanwhile
                    continue
            self.tree = max(self.tree, sum(sizes))
            self.largest = max(self.largest, max(sizes, default=0.0))

    @property
    def cpu_seconds(self) -> float:
        """Processor time of the whole tree, up to the last sample of each process."""
        return sum(self._processor.values()) - self._before

    def figures(self) -> dict[str, object]:
        """The memory and processor part of a summary."""
        return {
            "cpu_seconds": round(self.cpu_seconds, 1),
            "peak_memory_mb": round(self.tree, 1),
            "peak_memory_is": "highest sum of resident memory over the process tree, sampled; "
            "pages shared by processes count once for each",
            "largest_process_mb": round(self.largest, 1),
        }


def _processor_seconds(process: psutil.Process) -> float:
    times = process.cpu_times()
    return times.user + times.system
