"""Results in the memory of one process."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import polars as pl

from datachef.core.errors import RunError
from datachef.core.run.store import Store


class MemoryStore(Store):
    """A store of one process. `trim` forgets what was used longest ago; nothing else does."""

    def __init__(self) -> None:
        super().__init__()
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

    def write(self, key: str, suffix: str, frame: pl.DataFrame) -> dict[str, Any]:
        self._tables.setdefault(key, {})[suffix] = frame
        return {"file": suffix, "rows": frame.height}

    def write_pieces(self, key: str, suffix: str, frames: Iterable[pl.DataFrame]) -> dict[str, Any]:
        pieces = [self.write(key, f"{number}.{suffix}", f) for number, f in enumerate(frames)]
        return {"file": suffix, "rows": sum(piece["rows"] for piece in pieces), "pieces": pieces}

    def read(self, key: str, facts: Mapping[str, Any]) -> pl.DataFrame:
        try:
            return self._tables[key][facts["file"]]
        except KeyError:
            raise RunError(f"the rows of {key} are gone from memory", "run again") from None

    @contextmanager
    def scratch_folder(self) -> Iterator[Path]:
        with TemporaryDirectory() as folder:
            yield Path(folder)

    def trim(self, most_bytes: int) -> None:
        """Forgets the oldest results beyond `most_bytes` of tables, and all that failed in passing.

        Not to be called during a run.
        """
        for key in [key for key, record in self._records.items() if record.get("passing")]:
            self.forget(key)
        while sum(self._bytes.values()) > most_bytes:
            self.forget(next(iter(self._records)))
