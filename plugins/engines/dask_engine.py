"""The Dask engine: a task for each work item, on a cluster that is there or on this machine.

Only the description of an item and its record travel through Dask; rows lie in the cache, which all
workers must reach under the same path.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from datachef.core import Engine, UnavailableError, WorkerConfig, WorkItem
from datachef.core.contracts.engine import Progress
from datachef.core.distribution import extra
from datachef.core.errors import optional_package
from datachef.plugins.engines.outcomes import lost, outcome_here, record_of, sent_variables

# How often a task is begun again whose worker was lost.
RETRIES = 3
_PATIENCE = "30s"


class DaskEngine(Engine):
    """Carries out every work item as a task of Dask, in a worker process like those of the local
    engine, so that rows and operators that fail do so in the same way.

    `address` is `local` for a cluster of this process, or that of the scheduler of a cluster. One
    that was not started here is not shut down.
    """

    def __init__(self, config: WorkerConfig, workers: int, *, address: str = "local") -> None:
        self._config = config
        self._dask = optional_package("distributed", extra("dask"), "the engine dask")
        self._cluster = self._started(workers) if address == "local" else None
        try:
            self._client = self._dask.Client(self._cluster or address, timeout=_PATIENCE)
        except (OSError, ValueError) as error:
            raise UnavailableError(
                f"no scheduler of Dask at {address}: {str(error).splitlines()[0]}",
                "name one with --address, or leave that out for a cluster on this machine",
            ) from error

    def _started(self, workers: int) -> Any:
        """Tasks only wait for worker processes of ours, so threads are enough for them."""
        return self._dask.LocalCluster(
            n_workers=workers,
            threads_per_worker=1,
            processes=False,
            dashboard_address=None,
            silence_logs=True,
        )

    def map(
        self, items: Sequence[WorkItem], progress: Progress
    ) -> Iterator[tuple[int, dict[str, Any]]]:
        variables = {} if self._cluster is not None else sent_variables()
        pending = {
            self._client.submit(
                outcome_here, self._config, item, variables, pure=False, retries=RETRIES
            ): index
            for index, item in enumerate(items)
        }
        try:
            for done in self._dask.as_completed([*pending]):
                index = pending.pop(done)
                yield index, self._record(done, items[index])
        finally:
            self._client.cancel([*pending], force=True)

    def _record(self, done: Any, item: WorkItem) -> dict[str, Any]:
        error = done.exception()
        if error is not None:
            raise lost(item, "Dask", f"{type(error).__name__}: {error}") from error
        return record_of(done.result())

    def close(self) -> None:
        self._client.close()
        if self._cluster is not None:
            self._cluster.close()
