"""Files in which other programs follow a run: a log of its events, and metrics for Prometheus."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, get_args

import orjson

from datachef.core.contracts.engine import Progressed, RunEvent
from datachef.core.errors import DatachefError
from datachef.core.escaping import escaped_json, indented
from datachef.core.run.progress import PeriodicObserver, State, event_data
from datachef.core.system.failures import explained
from datachef.core.system.outputs import write_file

# Of a line of the log: raised where what it holds changes its meaning.
LOG_VERSION = 1
_PREFIX = "datachef_run_"


class EventLog(PeriodicObserver):
    """Appends each event of a run to a file, as a line of JSON, and every few seconds how far the
    run is (`progress`), in the place of the events of that kind.

    Raises `DatachefError` for a file that holds something else. Once it cannot be written, the run
    goes on without it, and standard error says so.
    """

    def __init__(self, path: Path, every: float = 10.0) -> None:
        super().__init__(every)
        self._path = path
        self._descriptor = -1

    def observe(self, event: RunEvent) -> None:
        if self._descriptor < 0:
            self._descriptor = _opened(self._path)
        super().observe(event)
        if not isinstance(event, Progressed):
            self._write(event_data(event))

    def show(self, progress: Mapping[str, Any]) -> None:
        if progress["phase"] and progress["state"] == "running":
            self._write({"event": "progress", **progress})

    def _write(self, data: dict[str, Any]) -> None:
        if self._descriptor == _GIVEN_UP:
            return
        now = datetime.now(UTC).isoformat(timespec="milliseconds")
        line = {"version": LOG_VERSION, "time": now, "run": self._progress.run, **data}
        try:
            os.write(self._descriptor, escaped_json(orjson.dumps(line)) + b"\n")
        except OSError as error:
            os.close(self._descriptor)
            self._descriptor = _GIVEN_UP
            told = explained(error) or error
            message = f"warning: nothing more is logged to {self._path}: {told}"
            print(indented(message), file=sys.stderr, flush=True)


_GIVEN_UP = sys.maxsize


def _opened(path: Path) -> int:
    """The file, to append to, where it is new or a log of ours."""
    with suppress(FileNotFoundError), path.open("rb") as known:
        first = known.readline(1000)
        if first and not first.startswith(b'{"version":'):
            raise DatachefError(f"{path} exists and is not a log of datachef", "name another file")
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o666)


class MetricsFile(PeriodicObserver):
    """Keeps a file with the state of a run in the text format of Prometheus, for the textfile
    collector of its node exporter; the file is replaced as a whole.

    Raises `DatachefError` for a file that holds something else.
    """

    def __init__(self, path: Path, every: float = 5.0) -> None:
        super().__init__(every)
        self._path = path

    def show(self, progress: Mapping[str, Any]) -> None:
        raw = "".join(f"{line}\n" for line in metrics(progress)).encode()
        write_file(self._path, raw, "metrics file", _is_metrics)


def _is_metrics(raw: bytes) -> bool:
    return raw.startswith(f"# HELP {_PREFIX}".encode())


def metrics(progress: Mapping[str, Any]) -> Iterator[str]:
    """The state of a run as lines of the text format of Prometheus."""
    gauges = {
        "partitions": ("Partitions and decisions of the run.", progress["partitions"]),
        "partitions_done": ("Of these, those that are done.", progress["done"]),
        "phase_bytes": ("Bytes read in this phase.", progress["phase_bytes"]),
        "phase_total_bytes": ("Bytes to read in this phase.", progress["phase_total_bytes"]),
        "phase_rows": ("Rows that passed the steps of this phase.", progress["rows"]),
        "phase_seconds_left": ("Estimated time to the end of it.", progress["seconds_left"]),
        "failed_rows": ("Rows that could not be processed.", progress["failed_rows"]),
        "retried_partitions": ("Partitions that were begun again.", progress["retried"]),
        "stalled_partitions": ("Partitions without progress.", len(progress["stalled"])),
        "seconds": ("Time since the run began.", progress["seconds"]),
        "last_sign_of_life_timestamp_seconds": ("When this was written.", time.time()),
        "corpus_rows": ("Rows of the finished corpus.", progress["result"].get("rows")),
        "corpus_tokens": ("Tokens of the finished corpus.", progress["result"].get("tokens")),
    }
    labels = f'recipe="{_label(progress["recipe"])}",folder="{_label(progress["folder"])}"'
    yield from _head("state", "1 for the state that the run is in.")
    for state in get_args(State):
        number = int(state == progress["state"])
        yield f'{_PREFIX}state{{{labels},state="{state}"}} {number}'
    for name, (words, value) in gauges.items():
        if value is not None:
            yield from _head(name, words)
            yield f"{_PREFIX}{name}{{{labels}}} {value:.15g}"


def _head(name: str, words: str) -> Iterator[str]:
    yield f"# HELP {_PREFIX}{name} {words}"
    yield f"# TYPE {_PREFIX}{name} gauge"


def _label(value: str) -> str:
    return value.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')
