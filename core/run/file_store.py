"""Results in files under their keys, on a disk or behind a URL."""

from __future__ import annotations

import io
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from typing import Any

import polars as pl

from datachef.core.contracts.engine import WorkerConfig
from datachef.core.errors import RunError, is_panic
from datachef.core.run.store import Store
from datachef.core.system.ahead import ahead
from datachef.core.system.atomic import sealed, unsealed
from datachef.core.system.failures import raise_environment_failure
from datachef.core.system.folder import Folder, LocalFolder
from datachef.core.system.paths import checksum, content_checksum

# The folder of all results.
RESULTS = "partitions"
# As fast as lz4, and of text two thirds of the size.
_WRITTEN: Any = {"compression": "zstd", "compression_level": 1, "statistics": False}
_PAUSE = 0.5


class FileStore(Store):
    """Records as JSON and tables as Parquet files; a record is written after what it names."""

    def __init__(self, folder: Folder, run: str = "") -> None:
        super().__init__(run)
        self.folder = folder

    @classmethod
    def of(cls, config: WorkerConfig) -> FileStore:
        """The store of a run: under its URL, where it has one, or in its cache."""
        if not config.remote:
            return cls(LocalFolder(config.cache), config.run)
        from datachef.core.files.object_folder import ObjectFolder

        return cls(ObjectFolder(config.remote, config.cache), config.run)

    def prepare(self) -> None:
        self.folder.prepare()

    def record(self, key: str) -> dict[str, Any] | None:
        return self._record(key, self._passing(key)) or self._record(key, record_name(key))

    def _record(self, key: str, name: str) -> dict[str, Any] | None:
        record: dict[str, Any] | None = unsealed(key, self.folder.content(name))
        if record is None:
            return None
        if not all(self.folder.holds(_place(key, f["file"]), f["bytes"]) for f in record["files"]):
            return None
        return record

    def records(self, keys: Iterable[str]) -> dict[str, dict[str, Any]]:
        if not self.folder.remote:
            return super().records(keys)
        keys = list(keys)
        found = zip(keys, ahead(partial(self.record, key) for key in keys), strict=True)
        return {key: record for key, record in found if record is not None}

    def awaited(self, key: str) -> dict[str, Any] | None:
        end = time.monotonic() + self.folder.late
        while (record := self.record(key)) is None and time.monotonic() < end:
            time.sleep(_PAUSE)
        return record

    def write(self, key: str, suffix: str, frame: pl.DataFrame) -> dict[str, Any]:
        """The content is part of the name: two runs that make the same result at the same time, and
        not the same bytes of it (a language model was asked), do not overwrite each other's."""
        with self.folder.scratch(_name(key, suffix)) as temporary:
            frame.write_parquet(temporary, **_WRITTEN)
            digest = checksum(temporary)
            file, size = f"{key}.{digest[:8]}.{suffix}", temporary.stat().st_size
            self.folder.put(temporary, _place(key, file))
        return {"file": file, "rows": frame.height, "bytes": size, "checksum": digest}

    def write_pieces(self, key: str, suffix: str, frames: Iterable[pl.DataFrame]) -> dict[str, Any]:
        pieces = []
        with self.folder.scratch(_name(key, suffix)) as temporary:
            with temporary.open("wb") as stream:
                for frame in frames:
                    raw = io.BytesIO()
                    frame.write_parquet(raw, **_WRITTEN)
                    piece: dict[str, Any] = {
                        "rows": frame.height,
                        "offset": stream.tell(),
                        "bytes": raw.getbuffer().nbytes,
                        "checksum": content_checksum(raw.getvalue()),
                    }
                    pieces.append(piece)
                    stream.write(raw.getbuffer())
            digest = content_checksum("".join(str(piece["checksum"]) for piece in pieces).encode())
            file, size = f"{key}.{digest[:8]}.{suffix}", temporary.stat().st_size
            self.folder.put(temporary, _place(key, file))
        pieces = [{"file": file, **piece} for piece in pieces]
        rows = sum(piece["rows"] for piece in pieces)
        return {"file": file, "rows": rows, "bytes": size, "pieces": pieces}

    def read(self, key: str, facts: Mapping[str, Any]) -> pl.DataFrame:
        if "offset" not in facts:
            return pl.read_parquet(self._checked(key, facts))
        name = _place(key, facts["file"])
        try:
            raw = self.folder.piece(name, facts["offset"], facts["bytes"])
        except FileNotFoundError:
            raise self._gone(name) from None
        if content_checksum(raw) != facts["checksum"]:
            raise self._damaged(key, name)
        return pl.read_parquet(raw)

    def columns(self, key: str, facts: Mapping[str, Any], names: Sequence[str]) -> pl.DataFrame:
        file = _place(key, facts["file"])
        try:
            return pl.read_parquet(self.folder.path(file), columns=list(names)).select(names)
        except BaseException as error:
            if not isinstance(error, OSError | pl.exceptions.PolarsError) and not is_panic(error):
                raise
            raise_environment_failure(error, self.folder.shown(file))
            return super().columns(key, facts, names)

    def verify(self, key: str, facts: Mapping[str, Any]) -> None:
        if "offset" in facts:
            self.read(key, facts)
        else:
            self._checked(key, facts)

    def scratch_folder(self) -> AbstractContextManager[Path]:
        return self.folder.scratch_folder("decision")

    def finish(
        self, key: str, record: Mapping[str, Any], *, anew: bool = False
    ) -> Mapping[str, Any]:
        known = None if anew else self.record(key)
        if known is None:
            name = self._passing(key) if record.get("passing") else record_name(key)
            self.folder.put_bytes(sealed(key, record), name)
        return known or record

    def _passing(self, key: str) -> str:
        return _name(key, f"{self.run}.passing.json")

    def forget_passing(self, key: str) -> None:
        self.folder.remove(self._passing(key))

    def forget(self, key: str) -> None:
        for name in (record_name(key), self._passing(key)):
            self.folder.remove(name)

    def discard(self, key: str, file: str) -> None:
        self.folder.remove(_place(key, file))

    def remember(self, name: str, data: Any) -> None:
        self.folder.put_bytes(sealed(name.rpartition("/")[2], data), name)

    def recall(self, name: str) -> Any:
        return unsealed(name.rpartition("/")[2], self.folder.content(name))

    def _checked(self, key: str, facts: Mapping[str, Any]) -> Path:
        """The path of a file that a record names, or of its copy here, its content verified.

        Raises `RunError` when the file is gone, or was damaged: then after forgetting the record,
        so that the next run makes it anew.
        """
        name = _place(key, facts["file"])
        try:
            path = self.folder.path(name)
            intact = checksum(path) == facts["checksum"]
        except FileNotFoundError:
            raise self._gone(name) from None
        if not intact:
            raise self._damaged(key, name)
        return path

    def _damaged(self, key: str, name: str) -> RunError:
        self.forget(key)
        shown = self.folder.shown(name)
        return RunError(f"the cached file {shown} is damaged", "run again: it will be made anew")

    def _gone(self, name: str) -> RunError:
        return RunError(f"the cached file {self.folder.shown(name)} is gone", "run again")


def record_name(key: str) -> str:
    """The name of the file with the record of a result."""
    return _name(key, "json")


def _name(key: str, suffix: str) -> str:
    return _place(key, f"{key}.{suffix}")


def _place(key: str, file: str) -> str:
    return f"{RESULTS}/{key[:2]}/{file}"
