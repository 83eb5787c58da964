"""The Ray engine: a remote task for each work item, on a cluster that is there or on this machine.

Only the description of an item and its record travel through Ray; rows lie in the cache, which all
nodes must reach under the same path.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any

from datachef.core import Engine, UnavailableError, WorkerConfig, WorkItem
from datachef.core.contracts.engine import Progress
from datachef.core.distribution import extra
from datachef.core.errors import optional_package
from datachef.plugins.engines.outcomes import lost, outcome_here, record_of, sent_variables

# How often a task is begun again whose process or node was lost.
RETRIES = 3
# Tasks that are handed to the cluster at a time.
MOST_PENDING = 2_000
# The memory by which Ray places a task, no more than its largest node has: for batches of rows, and
# for a decision in proportion to what the partitions read whose summaries it takes.
TASK_MEMORY = 2**30
READ_BY_MEMORY = 8
# Of a cluster that is started here: records are small, a busy machine is no lost node, and for a
# worker that it starts before there is work, and that dies as it starts, Ray would wait for ever.
LOCAL: dict[str, Any] = {
    "address": "local",
    "object_store_memory": 80 * 2**20,
    "include_dashboard": False,
    "logging_level": "error",
    "_system_config": {
        "health_check_failure_threshold": 100,
        "prestart_worker_first_driver": False,
    },
}
_CHECK_SECONDS = 1.0


class RayEngine(Engine):
    """Carries out every work item as a task of Ray, in a worker process like those of the local
    engine, so that rows and operators that fail do so in the same way.

    `address` is `local` for a cluster of this process, `auto` for one that this machine is part of,
    or that of a cluster; a program that is connected already stays so. A cluster that was not
    started here is not shut down.
    """

    def __init__(self, config: WorkerConfig, workers: int, *, address: str = "local") -> None:
        self._config = config
        if address == "local":  # before Ray is imported: a cluster of ours reports to nobody
            os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        self._ray = optional_package("ray", extra("ray"), "the engine ray")
        self._connected = not self._ray.is_initialized()
        started = self._connected and address == "local"
        if self._connected:
            self._connect(address, workers)
        nodes = [node["Resources"] for node in self._ray.nodes() if node["Alive"]]
        self._most_memory = int(max(resources.get("memory", 0) for resources in nodes))
        # What is started here has our variables. They go with the items, as for a `runtime_env` Ray
        # would start processes of their own, a second later than those that wait for work.
        self._variables = {} if started else sent_variables()

    def _connect(self, address: str, workers: int) -> None:
        there = {"address": address, "logging_level": "error"}
        try:
            self._ray.init(**({**LOCAL, "num_cpus": workers} if address == "local" else there))
        except (ConnectionError, ImportError, RuntimeError, ValueError) as error:
            raise UnavailableError(
                f"no cluster of Ray at {address}: {str(error).splitlines()[0]}",
                "name one with --address, or leave that out for one on this machine; one that asks "
                "for a token wants RAY_AUTH_MODE=token and the file of `ray get-auth-token`",
            ) from error

    def map(
        self, items: Sequence[WorkItem], progress: Progress
    ) -> Iterator[tuple[int, dict[str, Any]]]:
        perform = self._ray.remote(num_cpus=1, max_retries=RETRIES)(outcome_here)
        pending: dict[Any, int] = {}
        waiting = iter(enumerate(items))
        try:
            while True:
                for index, item in islice(waiting, MOST_PENDING - len(pending)):
                    wanted = self._config.memory or _memory_for(item)
                    memory = min(wanted, self._most_memory)
                    task = perform.options(name=item.label, memory=memory)
                    pending[task.remote(self._config, item, self._variables)] = index
                if not pending:
                    return
                done, _ = self._ray.wait([*pending], timeout=_CHECK_SECONDS)
                for reference in done:
                    index = pending.pop(reference)
                    yield index, self._record(reference, items[index])
        finally:
            for reference in pending:
                self._ray.cancel(reference, force=True)

    def _record(self, reference: Any, item: WorkItem) -> dict[str, Any]:
        try:
            outcome = self._ray.get(reference)
        except self._ray.exceptions.RayError as error:
            words = str(error).strip().splitlines()
            raise lost(item, "Ray", words[-1] if words else repr(error)) from error
        return record_of(outcome)

    def close(self) -> None:
        if self._connected:
            self._connected = False
            self._ray.shutdown()


def _memory_for(item: WorkItem) -> int:
    return TASK_MEMORY + item.size // READ_BY_MEMORY
