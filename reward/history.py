"""The history: one SQLite file with everything that was measured, and its exchange as Parquet.

Every call is a transaction on a connection of its own, with a rollback journal that is synced to
disk: a process may be killed at any moment, and others may write at the same time.
"""

from __future__ import annotations

import io
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

import polars as pl

from datachef.core.errors import DatachefError
from datachef.core.problems import did_you_mean
from datachef.core.system.failures import raise_environment_failure
from datachef.core.system.outputs import write_file
from datachef.reward.measurements import (
    COLUMNS,
    MeasurementRecord,
    RecipeComparison,
    ScoreSummary,
    compared,
    record_of,
    row_of,
    score_summaries,
)

SCHEMA_VERSION = 1
APPLICATION = int.from_bytes(b"chef", "big")
PATIENCE = 60.0  # seconds that a writer waits for others

_TABLE = """
CREATE TABLE measurement (
    id INTEGER PRIMARY KEY,
    recipe_name TEXT NOT NULL, recipe TEXT NOT NULL, recipe_key TEXT NOT NULL,
    task TEXT NOT NULL, task_key TEXT NOT NULL, base_model TEXT NOT NULL, seed INTEGER NOT NULL,
    score REAL NOT NULL, scores TEXT NOT NULL, features TEXT NOT NULL, versions TEXT NOT NULL,
    seconds REAL NOT NULL, corpus TEXT NOT NULL, training TEXT NOT NULL, vocabulary TEXT NOT NULL,
    created TEXT NOT NULL,
    UNIQUE (recipe_key, task_key, base_model, seed, training)
)
"""
_ADD = f"""
INSERT INTO measurement ({", ".join(COLUMNS)})
VALUES ({", ".join(f":{name}" for name in COLUMNS)}) ON CONFLICT DO NOTHING
"""  # noqa: S608 - names of columns
_FIND = """
SELECT id FROM measurement
WHERE recipe_key = :recipe_key AND task_key = :task_key AND base_model = :base_model
AND seed = :seed AND training = :training
"""
_READ = f"SELECT id, {', '.join(COLUMNS)} FROM measurement ORDER BY id"  # noqa: S608


class History:
    """Measurements in a file; reading one that is not there finds nothing, adding makes it."""

    def __init__(self, path: Path) -> None:
        """Raises `DatachefError` for a file that is something else, or of another version."""
        self.path = path
        if path.exists():
            with self._opened() as database:
                self._is_ready(database)

    def add(self, measured: MeasurementRecord) -> int:
        """Keeps a measurement and returns its id.

        One with the same recipe, task, base model, seed and training is there already: then that
        one stays as it is, and its id is returned.
        """
        return self._add_all([measured])[0]

    def measurements(
        self,
        *,
        task_key: str | None = None,
        base_model: str | None = None,
        recipe_key: str | None = None,
    ) -> list[MeasurementRecord]:
        """The measurements that agree with what is given, in the order they were added."""
        wanted = {"task_key": task_key, "base_model": base_model, "recipe_key": recipe_key}
        wanted = {name: value for name, value in wanted.items() if value is not None}
        return [m for m in self._read() if all(getattr(m, k) == v for k, v in wanted.items())]

    def export(self, path: Path) -> int:
        """Writes all measurements to a Parquet file, atomically; returns how many there are."""
        found = self._read()
        write_parquet(found, path)
        return len(found)

    def import_(self, path: Path) -> int:
        """Adds the measurements of a Parquet file made by `export`; returns how many were new.

        Raises `DatachefError`, and adds nothing, where the file is something else.
        """
        before = {measured.id for measured in self._read()}
        return len(set(self._add_all(read_parquet(path))) - before)

    def best(self, task: str, n: int = 10, *, base_model: str | None = None) -> list[ScoreSummary]:
        """The `n` recipes with the highest mean score over seeds, of a task by name or key."""
        found = self.measurements(base_model=base_model)
        return score_summaries([m for m in found if task in (m.task, m.task_key)])[:n]

    def compare(self, which: Sequence[int | str]) -> RecipeComparison:
        """Compares recipes with the first of them, where both were measured in the same way.

        A recipe is given by its name, its key, or the id of one of its measurements. Raises
        `DatachefError` for one that is not there.
        """
        found = self._read()
        return compared([_chosen(found, one) for one in which])

    def _add_all(self, measurements: Sequence[MeasurementRecord]) -> list[int]:
        with self._opened(write=True) as database:
            if not self._is_ready(database):
                database.execute(_TABLE)
                database.execute(f"PRAGMA application_id = {APPLICATION}")
                database.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
            ids = []
            for row in map(row_of, measurements):
                database.execute(_ADD, row)
                ids.append(int(database.execute(_FIND, row).fetchone()[0]))
            return ids

    def _read(self) -> list[MeasurementRecord]:
        if not self.path.exists():
            return []
        with self._opened() as database:
            rows = database.execute(_READ).fetchall() if self._is_ready(database) else []
        return [record_of(dict(zip(("id", *COLUMNS), row, strict=True))) for row in rows]

    @contextmanager
    def _opened(self, *, write: bool = False) -> Iterator[sqlite3.Connection]:
        """A transaction, which is committed unless the block raises."""
        try:
            if write:
                self.path.parent.mkdir(parents=True, exist_ok=True)
            # A reader too may have to roll back what a killed writer left.
            address = f"{self.path.absolute().as_uri()}?mode={'rwc' if write else 'rw'}"
            connection = sqlite3.connect(address, timeout=PATIENCE, isolation_level=None, uri=True)
            with closing(connection) as database:
                database.execute("PRAGMA synchronous = FULL")
                database.execute("BEGIN IMMEDIATE" if write else "BEGIN")
                yield database  # closing without a commit rolls back
                database.execute("COMMIT")
        except (OSError, sqlite3.DatabaseError) as error:
            raise_environment_failure(error, str(self.path))
            raise DatachefError(
                f"cannot use the history {self.path}: {error}",
                hint="a history is a file made by datachef; name another, or a new one",
            ) from error

    def _is_ready(self, database: sqlite3.Connection) -> bool:
        """Whether the file is a history; false for an empty one, an error for anything else."""
        application = database.execute("PRAGMA application_id").fetchone()[0]
        version = database.execute("PRAGMA user_version").fetchone()[0]
        if application == APPLICATION and version == SCHEMA_VERSION:
            return True
        if application == APPLICATION:
            raise DatachefError(
                f"{self.path} is a history of version {version}; this is {SCHEMA_VERSION}",
                hint="read it with the datachef that wrote it, and export it to Parquet",
            )
        if application or version or database.execute("SELECT * FROM sqlite_master").fetchone():
            raise DatachefError(
                f"{self.path} is a database of something else",
                hint="name another file, or a new one",
            )
        return False


def _chosen(found: Sequence[MeasurementRecord], which: int | str) -> list[MeasurementRecord]:
    keys = {
        measured.recipe_key
        for measured in found
        if which in (measured.id, measured.recipe_name, measured.recipe_key)
    }
    if not keys:
        known = {measured.recipe_name for measured in found}
        raise DatachefError(f"nothing measured is called {which!r}", did_you_mean(which, known))
    return [measured for measured in found if measured.recipe_key in keys]


def write_parquet(measurements: Iterable[MeasurementRecord], path: Path) -> None:
    """Writes measurements in their order: the file holds all of them or what it held before.

    Raises `DatachefError` for a file that is there and was written by something else.
    """
    raw = io.BytesIO()
    pl.DataFrame(list(map(row_of, measurements)), schema=COLUMNS).write_parquet(raw)
    write_file(path, raw.getvalue(), "table of measurements", _is_ours)


def _is_ours(raw: bytes) -> bool:
    return dict(pl.read_parquet_schema(io.BytesIO(raw))) == COLUMNS


def read_parquet(path: Path) -> list[MeasurementRecord]:
    """The measurements that `write_parquet` wrote. Raises `DatachefError` for any other file."""
    try:
        table = pl.read_parquet(path)
    except (OSError, pl.exceptions.PolarsError) as error:
        raise_environment_failure(error, str(path))
        raise DatachefError(f"cannot read the history {path}: {error}") from error
    try:
        if dict(table.schema) == COLUMNS and not any(table.null_count().row(0)):
            return [record_of(row) for row in table.iter_rows(named=True)]
    except (ValueError, AttributeError):
        pass
    raise DatachefError(
        f"{path} is a Parquet file of something else", hint="name one made by an export"
    )
