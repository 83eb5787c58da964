"""Results on disk under their keys: each is there whole or not at all."""

from __future__ import annotations

import hashlib
import io
import uuid
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from typing import Any

import polars as pl

from datachef.core.errors import RunError
from datachef.core.rows.columns import concat
from datachef.core.system.atomic import (
    cache_scratch,
    clear_scratch,
    is_file,
    put,
    read_record,
    scratch_folder,
    write_record,
)
from datachef.core.system.paths import checksum


class Store:
    """The cache of one project: records (JSON) and the files that they name, by key.

    A record that is `passing` tells of what failed for a reason that may pass, or was made from
    such a result. It holds for one `run` alone, in all of whose processes it is found.
    """

    def __init__(self, root: Path, run: str = "") -> None:
        self.root = root
        self.run = run or uuid.uuid4().hex

    def prepare(self) -> None:
        """Makes the folder of the cache, and removes what dead processes left half written.

        Raises `OSError` where there can be none, or none that can be written: better before the
        work than after it."""
        self.root.mkdir(parents=True, exist_ok=True)
        clear_scratch(self.root)
        with cache_scratch(self.root, self.root / "probe"):
            pass

    def folder(self, key: str) -> Path:
        return self.root / "partitions" / key[:2]

    def path(self, key: str, suffix: str) -> Path:
        return self.folder(key) / f"{key}.{suffix}"

    def record(self, key: str) -> dict[str, Any] | None:
        """What is known of a finished result; None where it, or one of its files, is missing, or
        is not as it was written. The content of its files is verified when it is read."""
        return self._record(key, self._passing(key)) or self._record(key, self.path(key, "json"))

    def _record(self, key: str, path: Path) -> dict[str, Any] | None:
        record: dict[str, Any] | None = read_record(path, key)
        if record is None:
            return None
        folder = self.folder(key)
        if not all(is_file(folder / facts["file"], facts["bytes"]) for facts in record["files"]):
            return None
        return record

    def write(
        self, key: str, suffix: str, frame: pl.DataFrame, compression: Any = "lz4"
    ) -> dict[str, Any]:
        """Keeps a table as a file of a result, atomically; tells its name, size and checksum.

        The content is part of the name: two runs that make the same result at the same time, and
        not the same bytes of it (a language model was asked), do not overwrite each other's.
        """
        with cache_scratch(self.root, self.path(key, suffix)) as temporary:
            frame.write_parquet(temporary, compression=compression, statistics=False)
            digest = checksum(temporary)
            file, size = f"{key}.{digest[:8]}.{suffix}", temporary.stat().st_size
            put(temporary, self.folder(key) / file, self.root)
        return {"file": file, "rows": frame.height, "bytes": size, "checksum": digest}

    def write_pieces(self, key: str, suffix: str, frames: Sequence[pl.DataFrame]) -> dict[str, Any]:
        """Keeps several tables in one file, as `write` does; `pieces` has the facts of each."""
        pieces = []
        with cache_scratch(self.root, self.path(key, suffix)) as temporary:
            with temporary.open("wb") as stream:
                for frame in frames:
                    raw = io.BytesIO()
                    frame.write_parquet(raw, compression="lz4", statistics=False)
                    piece: dict[str, Any] = {
                        "rows": frame.height,
                        "offset": stream.tell(),
                        "bytes": raw.getbuffer().nbytes,
                        "checksum": _digest(raw.getvalue()),
                    }
                    pieces.append(piece)
                    stream.write(raw.getbuffer())
            digest = _digest("".join(str(piece["checksum"]) for piece in pieces).encode())
            file, size = f"{key}.{digest[:8]}.{suffix}", temporary.stat().st_size
            put(temporary, self.folder(key) / file, self.root)
        rows = sum(frame.height for frame in frames)
        pieces = [{"file": file, **piece} for piece in pieces]
        return {"file": file, "rows": rows, "bytes": size, "pieces": pieces}

    def read(self, key: str, facts: Mapping[str, Any]) -> pl.DataFrame:
        """A table that a record names. Raises `RunError` where it is damaged."""
        if "offset" not in facts:
            return pl.read_parquet(self._checked(key, facts))
        path = self.folder(key) / str(facts["file"])
        try:
            with path.open("rb") as stream:
                stream.seek(facts["offset"])
                raw = stream.read(facts["bytes"])
        except FileNotFoundError:
            raise self._gone(path) from None
        if _digest(raw) != facts["checksum"]:
            raise self._damaged(key, path)
        return pl.read_parquet(raw)

    def scan(self, key: str, facts: Mapping[str, Any]) -> pl.LazyFrame:
        """The same, without holding all of it."""
        return pl.scan_parquet(self._checked(key, facts))

    def scratch_folder(self) -> AbstractContextManager[Path]:
        """A folder for what is too large for memory, gone in the end."""
        return scratch_folder(self.root, "merging")

    def rows(self, key: str) -> pl.DataFrame:
        """The rows of a finished partition. Raises `RunError` where they are gone or damaged."""
        record = self.record(key)
        if record is None:
            raise RunError(f"the rows of {key} are gone from the cache", "run again")
        frames = [self.read(key, facts) for facts in record["parts"]]
        return concat(frames) if frames else pl.DataFrame()

    def finish(
        self, key: str, record: Mapping[str, Any], *, anew: bool = False
    ) -> Mapping[str, Any]:
        """Marks a result as done, its files in place, and returns the record that holds.

        Where another run finished the same result meanwhile, that is its record, on which others
        may build already; `anew` replaces it.
        """
        known = None if anew else self.record(key)
        if known is None:
            path = self._passing(key) if record.get("passing") else self.path(key, "json")
            write_record(path, self.root, key, record)
        return known or record

    def _passing(self, key: str) -> Path:
        return self.path(key, f"{self.run}.passing.json")

    def forget_passing(self, key: str) -> None:
        """Forgets what holds for this run alone, at its end."""
        with suppress(OSError):
            self._passing(key).unlink()

    def forget(self, key: str) -> None:
        """Makes a result be done again by the next run that needs it."""
        for path in (self.path(key, "json"), self._passing(key)):
            with suppress(OSError):
                path.unlink()

    def discard(self, key: str, file: str) -> None:
        """Removes a file that no record names any more."""
        with suppress(OSError):
            (self.folder(key) / file).unlink()

    def _checked(self, key: str, facts: Mapping[str, Any]) -> Path:
        """The path of a file that a record names, its content verified.

        Raises `RunError` when the file is gone, or was damaged: then after forgetting the record,
        so that the next run makes it anew.
        """
        path = self.folder(key) / str(facts["file"])
        try:
            intact = checksum(path) == facts["checksum"]
        except FileNotFoundError:
            raise self._gone(path) from None
        if not intact:
            raise self._damaged(key, path)
        return path

    def _damaged(self, key: str, path: Path) -> RunError:
        self.forget(key)
        return RunError(f"the cached file {path} is damaged", "run again: it will be made anew")

    def _gone(self, path: Path) -> RunError:
        return RunError(f"the cached file {path} is gone", "run again")


class MemoryStore(Store):
    """A store of one process. `trim` forgets what was used longest ago; nothing else does."""

    def __init__(self) -> None:
        super().__init__(Path())
        self._records: OrderedDict[str, dict[str, Any]] = OrderedDict()
        self._tables: dict[str, dict[str, pl.DataFrame]] = {}
        self._bytes: dict[str, int] = {}

    def record(self, key: str) -> dict[str, Any] | None:
        if key in self._records:
            self._records.move_to_end(key)
        return self._records.get(key)

    def finish(
        self, key: str, record: Mapping[str, Any], *, anew: bool = False
    ) -> Mapping[str, Any]:
        self._records[key] = dict(record)
        self._records.move_to_end(key)
        self._bytes[key] = sum(int(t.estimated_size()) for t in self._tables.get(key, {}).values())
        return record

    def forget(self, key: str) -> None:
        self._records.pop(key, None)
        self._tables.pop(key, None)
        self._bytes.pop(key, None)

    def write(
        self, key: str, suffix: str, frame: pl.DataFrame, compression: Any = None
    ) -> dict[str, Any]:
        self._tables.setdefault(key, {})[suffix] = frame
        return {"file": suffix, "rows": frame.height}

    def read(self, key: str, facts: Mapping[str, Any]) -> pl.DataFrame:
        try:
            return self._tables[key][facts["file"]]
        except KeyError:
            raise RunError(f"the rows of {key} are gone from memory", "run again") from None

    def scan(self, key: str, facts: Mapping[str, Any]) -> pl.LazyFrame:
        return self.read(key, facts).lazy()

    def trim(self, most_bytes: int) -> None:
        """Forgets the oldest results beyond `most_bytes` of tables, and all that failed in passing.

        Not to be called during a run.
        """
        for key in [key for key, record in self._records.items() if record.get("passing")]:
            self.forget(key)
        while sum(self._bytes.values()) > most_bytes:
            self.forget(next(iter(self._records)))


def _digest(raw: bytes) -> str:
    return hashlib.blake2b(raw, digest_size=16).hexdigest()
