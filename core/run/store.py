"""Where the results of work are kept, by their keys: each is there whole or not at all."""

from __future__ import annotations

import uuid
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import polars as pl

from datachef.core.errors import RunError
from datachef.core.rows.columns import concat


class Store(ABC):
    """Records (plain data) and the tables that they name, by key.

    A record that is `passing` tells of what failed for a reason that may pass, or was made from
    such a result. It holds for one `run` alone, in all of whose processes it is found.
    """

    def __init__(self, run: str = "") -> None:
        self.run = run or uuid.uuid4().hex

    def prepare(self) -> None:  # noqa: B027 - memory is always ready
        """Removes what dead processes left half written.

        Raises `OSError` or `RunError` where nothing can be written: better before the work than
        after it."""

    @abstractmethod
    def record(self, key: str) -> dict[str, Any] | None:
        """What is known of a finished result; None where it is missing or is not as it was
        written. The content of its tables is verified when it is read."""

    def records(self, keys: Iterable[str]) -> dict[str, dict[str, Any]]:
        """The records of those of many results that are there."""
        found = ((key, self.record(key)) for key in keys)
        return {key: record for key, record in found if record is not None}

    def awaited(self, key: str) -> dict[str, Any] | None:
        """The record of a result that was finished before, maybe by another machine just now."""
        return self.record(key)

    @abstractmethod
    def write(self, key: str, suffix: str, frame: pl.DataFrame) -> dict[str, Any]:
        """Keeps a table of a result; tells what a record says of it."""

    @abstractmethod
    def write_pieces(self, key: str, suffix: str, frames: Iterable[pl.DataFrame]) -> dict[str, Any]:
        """Keeps several tables as one, as `write` does; `pieces` has the facts of each."""

    @abstractmethod
    def read(self, key: str, facts: Mapping[str, Any]) -> pl.DataFrame:
        """A table that a record names. Raises `RunError` where it is gone or damaged."""

    def columns(self, key: str, facts: Mapping[str, Any], names: Sequence[str]) -> pl.DataFrame:
        """Columns of a table, which is verified where something is wrong with it."""
        return self.read(key, facts).select(names)

    def verify(self, key: str, facts: Mapping[str, Any]) -> None:
        """Raises `RunError` where a table is gone or damaged."""
        self.read(key, facts)

    @abstractmethod
    def scratch_folder(self) -> AbstractContextManager[Path]:
        """A folder for what is too large for memory, gone in the end."""

    def rows(self, key: str) -> pl.DataFrame:
        """The rows of a finished partition. Raises `RunError` where they are gone or damaged."""
        record = self.awaited(key)
        if record is None:
            raise RunError(f"the rows of {key} are gone from the cache", "run again")
        frames = [self.read(key, facts) for facts in record["parts"]]
        return concat(frames) if frames else pl.DataFrame()

    @abstractmethod
    def finish(
        self, key: str, record: Mapping[str, Any], *, anew: bool = False
    ) -> Mapping[str, Any]:
        """Marks a result as done, its tables in place, and returns the record that holds.

        Where another run finished the same result meanwhile, that is its record, on which others
        may build already; `anew` replaces it.
        """

    @abstractmethod
    def forget(self, key: str) -> None:
        """Makes a result be done again by the next run that needs it."""

    def forget_passing(self, key: str) -> None:  # noqa: B027 - memory is trimmed instead
        """Forgets what holds for this run alone, at its end."""

    def discard(self, key: str, file: str) -> None:  # noqa: B027 - in memory it was replaced
        """Removes a table that no record names any more."""

    def remember(self, name: str, data: Any) -> None:  # noqa: B027 - not beyond the process
        """Keeps plain data that is no result, under a name."""

    def recall(self, name: str) -> Any:
        """What `remember` kept; None where there is nothing, or anything else."""
        return None
