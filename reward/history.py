"""Measurements, and the history that keeps them: one SQLite file, exchanged as Parquet.

Every call is a transaction on a separate connection, with a rollback journal that is synced to
disk: a process may be killed at any moment, and others may write at the same time.
"""

from __future__ import annotations

import io
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from statistics import fmean

import polars as pl

from datachef.core.contracts.reward import mean_interval
from datachef.core.errors import DatachefError, did_you_mean
from datachef.core.system.failures import raise_environment_failure
from datachef.core.system.outputs import write_file
from datachef.reward.measurement import (
    COLUMNS,
    FIRST_COLUMNS,
    OPTIONAL,
    MeasurementRecord,
    canonical,
    record_of,
    row_of,
)

# Measurements of other tasks, base models, kinds of score or training say nothing of one another.
ComparisonKey = tuple[str, str, str, str]


@dataclass(frozen=True)
class ScoreSummary:
    """A recipe measured in one way over several seeds.

    `mean` is the mean score, `interval` its 95% interval by Student's t over seeds (None for a
    single seed), `scores` the mean of each metric that every one of `measurements` has.
    """

    mean: float
    interval: tuple[float, float] | None
    scores: Mapping[str, float]
    measurements: tuple[MeasurementRecord, ...]

    @property
    def first(self) -> MeasurementRecord:
        """The earliest of the measurements, with the recipe, task and training of all."""
        return self.measurements[0]


@dataclass(frozen=True)
class ScoreDifference:
    """How much better `second` is than `first`, seed by seed; `interval` as in `ScoreSummary`."""

    first: ScoreSummary
    second: ScoreSummary
    mean: float
    interval: tuple[float, float] | None
    seeds: int


@dataclass(frozen=True)
class RecipeComparison:
    """The summaries of all recipes compared, best first, and the difference of each from the recipe
    that was named first, where both were measured in the same way with the same seeds."""

    summaries: tuple[ScoreSummary, ...]
    differences: tuple[ScoreDifference, ...]


def score_summaries(measurements: Sequence[MeasurementRecord]) -> list[ScoreSummary]:
    """One for each recipe and way of measuring it, best first; equals in order of their ids."""
    groups: dict[tuple[str, ComparisonKey], list[MeasurementRecord]] = {}
    for measured in measurements:
        groups.setdefault((measured.recipe_key, comparison_key(measured)), []).append(measured)
    found = [score_summary(group) for group in groups.values()]
    return sorted(found, key=lambda summary: (-summary.mean, summary.first.id))


def measured_alike(measurements: Iterable[MeasurementRecord]) -> list[list[MeasurementRecord]]:
    """The measurements in groups that can be compared, in the order of their first ones."""
    groups: dict[ComparisonKey, list[MeasurementRecord]] = {}
    for measured in measurements:
        groups.setdefault(comparison_key(measured), []).append(measured)
    return list(groups.values())


def compared(recipes: Sequence[Sequence[MeasurementRecord]]) -> RecipeComparison:
    """The comparison of recipes, each given by its measurements, with the first."""
    every = [score_summaries(measurements) for measurements in recipes]
    best_first = sorted((s for one in every for s in one), key=lambda s: (-s.mean, s.first.id))
    differences = [
        difference
        for one in every[1:]
        for second in one
        for first in every[0]
        if comparison_key(first.first) == comparison_key(second.first)
        and (difference := _difference(first, second)) is not None
    ]
    return RecipeComparison(tuple(best_first), tuple(differences))


def comparison_key(measured: MeasurementRecord) -> ComparisonKey:
    """How it was measured, apart from the recipe and the seed."""
    training = canonical(measured.training).decode()
    return (measured.task_key, measured.base_model, measured.score_name, training)


def measurement_key(measured: MeasurementRecord) -> str:
    """The same for measurements of which a history keeps one."""
    what = [*comparison_key(measured), measured.recipe_key, measured.seed]
    return blake2b(canonical(what), digest_size=16).hexdigest()


def score_summary(measurements: Sequence[MeasurementRecord]) -> ScoreSummary:
    """What measurements of one recipe, made in one way, say together."""
    scores = [measured.score for measured in measurements]
    names = sorted(set.intersection(*(set(measured.scores) for measured in measurements)))
    bounds = mean_interval(scores)
    return ScoreSummary(
        mean=fmean(scores),
        interval=(max(bounds[0], 0.0), min(bounds[1], 1.0)) if bounds else None,
        scores={name: fmean(m.scores[name] for m in measurements) for name in names},
        measurements=tuple(measurements),
    )


def _difference(first: ScoreSummary, second: ScoreSummary) -> ScoreDifference | None:
    of_first = {measured.seed: measured.score for measured in first.measurements}
    of_second = {measured.seed: measured.score for measured in second.measurements}
    seeds = sorted(of_first.keys() & of_second.keys())
    if not seeds:
        return None
    gains = [of_second[seed] - of_first[seed] for seed in seeds]
    return ScoreDifference(first, second, fmean(gains), mean_interval(gains), len(seeds))


SCHEMA_VERSION = 2
APPLICATION = int.from_bytes(b"chef", "big")
PATIENCE = 60.0  # seconds that a writer waits for others

_TABLE = """
CREATE TABLE measurement (
    id INTEGER PRIMARY KEY,
    recipe_name TEXT NOT NULL, recipe TEXT NOT NULL, recipe_key TEXT NOT NULL,
    task TEXT NOT NULL, task_key TEXT NOT NULL, base_model TEXT NOT NULL, seed INTEGER NOT NULL,
    score REAL NOT NULL, score_name TEXT NOT NULL, chance REAL, base REAL, ceiling REAL,
    scores TEXT NOT NULL, features TEXT NOT NULL, versions TEXT NOT NULL, seconds REAL NOT NULL,
    corpus TEXT NOT NULL, training TEXT NOT NULL, tuned TEXT NOT NULL, vocabulary TEXT NOT NULL,
    created TEXT NOT NULL,
    UNIQUE (recipe_key, task_key, base_model, score_name, seed, training)
)
"""
_ADD = f"""
INSERT INTO measurement ({", ".join(COLUMNS)})
VALUES ({", ".join(f":{name}" for name in COLUMNS)}) ON CONFLICT DO NOTHING
"""  # noqa: S608 - names of columns
_KEEP = _ADD.replace("(", "(id, ", 1).replace("VALUES (", "VALUES (:id, ")
_FIND = """
SELECT id FROM measurement
WHERE recipe_key = :recipe_key AND task_key = :task_key AND base_model = :base_model
AND score_name = :score_name AND seed = :seed AND training = :training
"""
_COLUMNS_OF = {1: ("id", *FIRST_COLUMNS), SCHEMA_VERSION: ("id", *COLUMNS)}


class History:
    """Measurements in a file; reading one that is not there finds nothing, adding makes it."""

    def __init__(self, path: Path) -> None:
        """Raises `DatachefError` for a file that is something else, or of a later version."""
        self.path = path
        if path.exists():
            with self._opened() as database:
                self._version(database)

    def add(self, measured: MeasurementRecord) -> int:
        """Keeps a measurement and returns its id.

        One with the same recipe, task, base model, kind of score, seed and training is there
        already: then that one stays as it is, and its id is returned.
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
        return self.add_new(read_parquet(path))

    def add_new(self, measurements: Sequence[MeasurementRecord]) -> int:
        """Adds those of the measurements that are not there; returns how many were new."""
        before = {measured.id for measured in self._read()}
        return len(set(self._add_all(measurements)) - before)

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
            version = self._version(database)
            if version != SCHEMA_VERSION:
                kept = self._rows(database, version)
                database.execute("DROP TABLE IF EXISTS measurement")
                database.execute(_TABLE)
                database.execute(f"PRAGMA application_id = {APPLICATION}")
                database.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
                database.executemany(_KEEP, [row_of(m) | {"id": m.id} for m in kept])
            ids = []
            for row in map(row_of, measurements):
                database.execute(_ADD, row)
                ids.append(int(database.execute(_FIND, row).fetchone()[0]))
            return ids

    def _read(self) -> list[MeasurementRecord]:
        if not self.path.exists():
            return []
        with self._opened() as database:
            return self._rows(database, self._version(database))

    def _rows(self, database: sqlite3.Connection, version: int) -> list[MeasurementRecord]:
        """What a file of this version holds; nothing where it is 0."""
        if not version:
            return []
        columns = _COLUMNS_OF[version]
        rows = database.execute(
            f"SELECT {', '.join(columns)} FROM measurement ORDER BY id"  # noqa: S608 - our names
        )
        return [record_of(dict(zip(columns, row, strict=True))) for row in rows]

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

    def _version(self, database: sqlite3.Connection) -> int:
        """The version of a history; 0 for an empty file, an error for anything else."""
        application = database.execute("PRAGMA application_id").fetchone()[0]
        version = database.execute("PRAGMA user_version").fetchone()[0]
        if application == APPLICATION and version in _COLUMNS_OF:
            return int(version)
        if application == APPLICATION:
            raise DatachefError(
                f"{self.path} is a history of version {version}; this is {SCHEMA_VERSION}",
                hint="a later datachef wrote it; update this one",
            )
        if application or version or database.execute("SELECT * FROM sqlite_master").fetchone():
            raise DatachefError(
                f"{self.path} is a database of something else",
                hint="name another file, or a new one",
            )
        return 0


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
    return dict(pl.read_parquet_schema(io.BytesIO(raw))) in (COLUMNS, FIRST_COLUMNS)


def read_parquet(path: Path) -> list[MeasurementRecord]:
    """The measurements that `write_parquet` wrote, now or in version 1.

    Raises `DatachefError` for any other file.
    """
    try:
        table = pl.read_parquet(path)
    except (OSError, pl.exceptions.PolarsError) as error:
        raise_environment_failure(error, str(path))
        raise DatachefError(f"cannot read the history {path}: {error}") from error
    try:
        known = dict(table.schema) in (COLUMNS, FIRST_COLUMNS)
        if known and not any(table.drop(OPTIONAL, strict=False).null_count().row(0)):
            return [record_of(row) for row in table.iter_rows(named=True)]
    except (ValueError, AttributeError):
        pass
    raise DatachefError(
        f"{path} is a Parquet file of something else", hint="name one made by an export"
    )
