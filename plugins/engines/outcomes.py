"""Single work items on another machine: how they are carried out there, and what is sent back."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Mapping
from typing import Any

from datachef.core import DatachefError, RunError, WorkerConfig, WorkItem
from datachef.core.errors import error_of_kind, kind_of
from datachef.core.run.local import LocalEngine

_OURS, _SECRET = "DATACHEF_", "_API_KEY"


class ItemWorker:
    """Carries out items one by one in a process of the local engine, which replaces it when it
    dies, and ends it when it uses too much time or memory."""

    def __init__(self, config: WorkerConfig) -> None:
        self._engine = LocalEngine(config, 1)
        self._engine.on_stall, self._engine.on_retry = _stalled, _retried

    def outcome(self, item: WorkItem) -> dict[str, Any]:
        """The record of the item, or why there is none, as plain data for `record_of`."""
        try:
            ((_, record),) = self._engine.map([item], _no_progress)
        except DatachefError as error:
            told = {"message": error.message, "hint": error.hint, "kind": kind_of(error)}
            return {"error": told, "notes": [*getattr(error, "__notes__", ())]}
        return {"record": record}

    def close(self) -> None:
        self._engine.close()


# The worker of each thread of a cluster's process, which carries out many items of a run, with the
# configuration and the variables of that.
_HERE = threading.local()


def outcome_here(
    config: WorkerConfig, item: WorkItem, variables: Mapping[str, str]
) -> dict[str, Any]:
    """The outcome of an item in a process of a cluster; `variables` are set for its worker."""
    known: tuple[WorkerConfig, Mapping[str, str], ItemWorker] | None
    known = getattr(_HERE, "worker", None)
    if known is None or known[0] != config:
        if known is not None:
            known[2].close()
            for name in known[1]:
                os.environ.pop(name, None)
        os.environ.update(variables)
        known = _HERE.worker = config, variables, ItemWorker(config)
    return known[2].outcome(item)


def lost(item: WorkItem, cluster: str, cause: str) -> RunError:
    """The error of an item of which a cluster gave no outcome."""
    return RunError(
        f"{item.label}: its task of {cluster} failed: {cause}",
        "what is done stays done; the nodes need the same datachef and plugins, and the "
        "cache under the same path",
    )


def record_of(outcome: Mapping[str, Any]) -> dict[str, Any]:
    """The record in an outcome. Raises the error that there is instead."""
    if "record" in outcome:
        record: dict[str, Any] = outcome["record"]
        return record
    error = error_of_kind(**outcome["error"])
    for note in outcome["notes"]:
        error.add_note(note)
    raise error


def sent_variables() -> dict[str, str]:
    """What processes on other nodes need of our environment; keys are not sent."""
    ours = {name: value for name, value in os.environ.items() if name.startswith(_OURS)}
    sent = {name: value for name, value in ours.items() if not name.endswith(_SECRET)}
    return sent | {"OMP_NUM_THREADS": "1", "POLARS_MAX_THREADS": "1"}


def _stalled(label: str, seconds: float, where: str) -> None:
    print(f"warning: {label}: no progress for {seconds:.0f} s, in {where}", file=sys.stderr)


def _retried(label: str, cause: str) -> None:
    print(f"warning: {label}: begun again: {cause}", file=sys.stderr)


def _no_progress(_label: str, _bytes: int, _rows: int) -> None:
    """An item counts when it is done."""
