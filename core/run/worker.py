"""A worker process: work items arrive as lines of JSON on standard input, answers leave on standard
output."""

from __future__ import annotations

import faulthandler
import os
import queue
import signal
import sys
import threading
import traceback
from typing import Any, BinaryIO

import orjson

from datachef.core.contracts.engine import WorkerConfig
from datachef.core.errors import DatachefError, PluginError, kind_of, words_of
from datachef.core.system.activity import ACTIVITY, LOADING
from datachef.core.system.containment import refusing

_leave = os._exit


def main() -> None:
    """Serves until standard input ends; when it ends early, so does the process, at once."""
    faulthandler.enable()
    # Blocked, not ignored: polars puts its own handler in place of one that ignores.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    os.register_at_fork(after_in_child=lambda: _part_from(answers))
    items: queue.Queue[dict[str, Any]] = queue.Queue()
    config = orjson.loads(sys.stdin.buffer.readline())
    threading.Thread(target=_listen, args=(sys.stdin.buffer, items), daemon=True).start()
    with refusing(("fork", "forkpty"), _no_fork):
        _serve(config, items, answers)


def _no_fork(name: str) -> PluginError:
    """Two processes would answer as one, and the second would wait for threads that it lacks."""
    return PluginError(
        f"os.{name}() in a worker",
        "start a process instead, with subprocess or multiprocessing",
    )


def _part_from(answers: BinaryIO) -> None:
    """A child of `multiprocessing` answers nothing, does not keep the pipe open when we die, and
    does not wait for the thread that reads our input, which it lacks."""
    ACTIVITY.listen(None)
    sys.stdin = None
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, answers.fileno(), inheritable=False)
    os.close(nowhere)


def _trace(error: BaseException) -> str:
    trace = "".join(traceback.format_exception(error))
    return trace.encode(errors="backslashreplace").decode()


def _listen(stream: BinaryIO, items: queue.Queue[dict[str, Any]]) -> None:
    for line in stream:
        items.put(orjson.loads(line))
    _leave(0)


def _serve(config: dict[str, Any], items: queue.Queue[dict[str, Any]], answers: BinaryIO) -> None:
    lock = threading.Lock()  # operators may work in threads

    def say(**answer: Any) -> None:
        with lock:
            answers.write(orjson.dumps(answer) + b"\n")
            answers.flush()

    ACTIVITY.listen(lambda what: say(doing=what))
    ACTIVITY.begin(LOADING)

    from pathlib import Path

    from datachef.core.registry.host import Host, plugin_patience
    from datachef.core.run.executor import TaskExecutor
    from datachef.core.run.stage import from_data
    from datachef.core.run.store import Store
    from datachef.core.run.time_limit import Overdue, TimeLimit
    from datachef.core.system.failures import environment_failure, explained

    place = WorkerConfig(tuple(config["plugin_files"]), Path(config["cache"]), config["run"])
    executor = TaskExecutor(
        Host(place.plugin_files, patience=plugin_patience()),
        place.cache,
        Store(place.cache, place.run),
    )
    while True:
        data = items.get()
        overdue = Overdue.from_data(data.pop("overdue"))
        limit = TimeLimit(config["call_limit"], overdue, lambda call: say(call=list(call)))
        executor.limit = limit
        item = from_data(data)
        ACTIVITY.begin("starting")
        try:
            say(record=executor.perform(item, lambda b, r: say(bytes=b, rows=r)))
        except BaseException as error:  # noqa: BLE001 - reported to the run, which names the item
            told = error if isinstance(error, DatachefError) else explained(error)
            if told is None:
                said = f"{type(error).__name__}: {words_of(error)}"
                say(error=said, kind="DatachefError", traceback=_trace(error))
                continue
            kind = kind_of(error) if told is error else "RunError"
            lacks = environment_failure(error)
            number = None if lacks is None else lacks.errno
            say(error=told.message, hint=told.hint, kind=kind, lacks=number)


if __name__ == "__main__":
    main()
