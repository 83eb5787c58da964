"""A finished run, read from the folder that it put in place."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property, partial
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import orjson
import polars as pl

from datachef.core.distribution import extra
from datachef.core.errors import DatachefError, Problem, optional_package
from datachef.core.rows.reader import REJECTS as REJECT_COLUMNS
from datachef.core.run.ledger import Entry, Ledger
from datachef.core.run.observations import CHANGES as CHANGE_COLUMNS, SIGNALS as SIGNAL_COLUMNS
from datachef.core.run.summary import SourceShare
from datachef.core.run.thresholds import THRESHOLDS as THRESHOLD_COLUMNS
from datachef.core.system.failures import raise_environment_failure
from datachef.core.system.ownership import (
    BESIDE,
    CHANGES,
    CORPUS,
    EFFORT,
    LEDGER,
    MANIFEST,
    REJECTED,
    REJECTS,
    SIGNALS,
    THRESHOLDS,
    read_mark,
)
from datachef.core.system.paths import default_cache, is_url

if TYPE_CHECKING:
    from datachef.core.files.object_folder import ObjectFolder

_HINT = "was it damaged or edited? run the recipe again"
# What a run writes of a step on the corpus beside its entry: the rows of each source.
_BY_SOURCE = "sources"


@dataclass(frozen=True)
class FinishedRun:
    """A finished run, opened by its folder; nothing in it is changed.

    `ledger` is what every step did with the rows that reached it, `ledger_data` the same as in
    `ledger.json`, `manifest` what the corpus was made of. `recipe` is the recipe as it was run,
    `shares` are the sources in the corpus, `warnings` what whoever trains on it should know.
    `corpus` are the rows, `rejects` a sample of those that were rejected, `changes` one of those
    that transforms rewrote. `signals` says how often each signal had which value, `thresholds`
    where filters cut it; `effort` is the time that it took.
    """

    folder: Path
    manifest: Mapping[str, Any]
    ledger_data: tuple[Mapping[str, Any], ...]
    ledger: Ledger
    shares: tuple[SourceShare, ...]
    warnings: tuple[Problem, ...]
    rejects_file: str = REJECTS
    remote: ObjectFolder | None = None

    @classmethod
    def open(cls, place: Path | str) -> FinishedRun:
        """Raises `DatachefError` for a folder, or a URL, where no finished run is."""
        folder, remote = _opened(place)
        try:
            file = partial(_file, folder, remote)
            manifest = orjson.loads(file({}, MANIFEST).read_bytes())
            if not isinstance(manifest, dict):
                raise ValueError("its files are not those of a run")
            ledger = orjson.loads(file(manifest, LEDGER).read_bytes())
            if not isinstance(ledger, list):
                raise ValueError("its files are not those of a run")
            return cls(
                folder=folder,
                manifest=manifest,
                ledger_data=tuple(ledger),
                ledger=Ledger(map(_entry, ledger)),
                shares=tuple(SourceShare(**share) for share in manifest.get("shares", ())),
                warnings=tuple(Problem(**warning) for warning in manifest.get("warnings", ())),
                remote=remote,
            )
        except (OSError, ValueError) as error:
            mark = read_mark(folder)
            hint = "name the folder of a run"
            if mark is not None and mark.kind != CORPUS:
                hint = f"this is the folder of a {mark.kind}, which has no corpus; {hint}"
            raise DatachefError(f"{place} holds no ledger: {error}", hint) from error
        except DatachefError:
            raise
        except Exception as error:  # files that another program wrote may lead to anything
            raise_environment_failure(error)
            raise DatachefError(
                f"the ledger or the manifest of {place} is not what a run writes", _HINT
            ) from error

    @classmethod
    def open_failed(cls, folder: Path) -> FinishedRun:
        """What a run left beside its output that failed because of its rows: ledger and rejects."""
        ledger = orjson.loads((folder / LEDGER).read_bytes())
        return cls(folder, {}, tuple(ledger), Ledger(map(_entry, ledger)), (), (), REJECTED)

    @property
    def place(self) -> Path | str:
        """Where the run is: its folder, or its URL."""
        return self.folder if self.remote is None else self.remote.url

    def file(self, name: str) -> Path:
        """Where a file of the run lies on this machine; of a run under a URL, a copy of it. Raises
        `FileNotFoundError` where there is none under a URL."""
        return _file(self.folder, self.remote, self.manifest, name)

    @property
    def recipe(self) -> Mapping[str, Any]:
        """The recipe as it was run, with its overrides and without what is at its default."""
        recipe: Mapping[str, Any] = self.manifest.get("recipe", {})
        return recipe

    def rows_by_source(self, path: str) -> Mapping[str, tuple[int, int]]:
        """The rows of each source that reached a step on the corpus, and those that passed it;
        nothing for a step of a source."""
        for entry in self.ledger_data:
            if entry["path"] == path:
                found: Mapping[str, Mapping[str, int]] = entry.get(_BY_SOURCE, {})
                return {name: (rows["rows_in"], rows["rows_out"]) for name, rows in found.items()}
        return {}

    @cached_property
    def corpus(self) -> pl.LazyFrame:
        """The rows of the corpus, in their order; read when they are collected.

        Raises `DatachefError` for a corpus in a format that polars does not read."""
        names = [str(output["file"]) for output in self.manifest["outputs"]]
        kinds = {Path(name).name.partition(".")[2] for name in names}
        files = [self.file(name) for name in names]
        if kinds == {"parquet"}:
            return pl.scan_parquet(files)
        if kinds and kinds <= {"jsonl", "jsonl.zst"}:
            return pl.scan_ndjson(files, infer_schema_length=None)
        raise DatachefError(
            f"the corpus in {self.place} has files in the format {', '.join(sorted(kinds))}",
            "it can be read from parquet, jsonl and jsonl.zst",
        )

    @cached_property
    def rejects(self) -> pl.DataFrame:
        """The rejected rows that were kept, with step and reason; none where the recipe keeps none.

        The columns are those of `rejects.parquet`."""
        return self._table(self.rejects_file, REJECT_COLUMNS)

    @cached_property
    def changes(self) -> pl.DataFrame:
        """Some rows that transforms changed: `step`, `id`, `source`, the text `before` and the
        texts that were made of it (`after`), both cut to what is near the first change."""
        return self._table(CHANGES, CHANGE_COLUMNS)

    @cached_property
    def signals(self) -> pl.DataFrame:
        """How often each signal had which value: `rows` by `step`, `signal`, the `reason` for which
        they were dropped (null: kept) and `low`, the least value of a bin (null: not measured).

        Bins are numbers of 7 binary digits (whole numbers up to 128, beyond 64 to a doubling), and
        end at the thresholds. `alone` says that no other rule of the step drops the rows. Of
        reading and writing there are the `tokens` of rows, of a transform whether it changed them.
        """
        return self._table(SIGNALS, SIGNAL_COLUMNS)

    @cached_property
    def thresholds(self) -> pl.DataFrame:
        """The rules of filters that drop what lies below or above a parameter: `step`, `reason`,
        `signal`, `parameter`, `value`, whether it is a `whole` number, which side the rule `drops`,
        and the least value of the upper side (`edge`)."""
        return self._table(THRESHOLDS, THRESHOLD_COLUMNS)

    @cached_property
    def effort(self) -> Mapping[str, Any]:
        """What the run cost: `seconds` in all, and of each of its `steps` those of all processes
        together, `bytes_read`, how many `partitions` there were and were in the cache, and what
        steps asked of `language_models`."""
        try:
            found = orjson.loads(self.file(EFFORT).read_bytes())
            steps = {str(path): float(seconds) for path, seconds in found["steps"].items()}
            return {"language_models": {}, **found, "steps": steps}
        except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
            raise_environment_failure(error)
            raise DatachefError(
                f"{EFFORT} of {self.place} cannot be read: {error}", _HINT
            ) from error

    def dataset(
        self, table: Literal["corpus", "rejects", "changes", "signals", "thresholds"] = "corpus"
    ) -> Any:
        """One of the tables as a `datasets.Dataset`: the corpus read by its card, of the others the
        rows in memory. Raises `MissingPackageError` where `datasets` is not installed."""
        datasets = optional_package("datasets", extra("hf"), "a view of a run as a dataset")
        if table == "corpus":
            return datasets.load_dataset(str(self.place), split="train")
        return datasets.Dataset.from_polars(getattr(self, table))

    def _repr_html_(self) -> str:
        from datachef.core.run.notebook import as_html

        return as_html(self)

    def _table(self, name: str, columns: Mapping[str, Any]) -> pl.DataFrame:
        """A table beside the corpus; empty where the run had nothing to write there."""
        try:
            path = self.file(name)
        except FileNotFoundError:
            return pl.DataFrame(schema=columns)
        if not path.exists():
            return pl.DataFrame(schema=columns)
        try:
            table = pl.read_parquet(path)
        except Exception as error:  # a file that another program wrote may lead to anything
            raise_environment_failure(error, str(path))
            raise DatachefError(f"{path} cannot be read: {error}", _HINT) from error
        _refuse_missing(path, columns, table.columns)
        return table


def _opened(place: Path | str) -> tuple[Path, ObjectFolder | None]:
    """The folder of a run, and what it is read from where it is a URL."""
    if isinstance(place, Path) or not is_url(place):
        return Path(place), None
    from datachef.core.files.object_folder import ObjectFolder

    return Path(place), ObjectFolder(place, default_cache())


def _file(
    folder: Path, remote: ObjectFolder | None, manifest: Mapping[str, Any], name: str
) -> Path:
    stored = manifest.get(BESIDE, {}).get(name, name)
    return folder / stored if remote is None else remote.path(stored)


def _entry(data: Mapping[str, Any]) -> Entry:
    if not isinstance(data, dict) or "rows_in" not in data:
        raise ValueError("its files are not those of a run")
    entry = Entry.from_data({name: value for name, value in data.items() if name != _BY_SOURCE})
    counts = (entry.dropped, entry.failed, entry.counted)
    numbers = [entry.rows_in, entry.rows_out, entry.created, entry.tokens]
    if not all(type(n) is int for n in chain(numbers, *(count.values() for count in counts))):
        raise TypeError("not numbers of rows")
    return entry


def _refuse_missing(path: Path, wanted: Iterable[str], found: Iterable[str]) -> None:
    missing = [name for name in wanted if name not in set(found)]
    if missing:
        raise DatachefError(f"{path} has no column {', '.join(missing)}", _HINT)
