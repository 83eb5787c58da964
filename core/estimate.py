"""How much a source holds, estimated from rows at a few places of it."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from contextlib import suppress
from itertools import islice

import orjson
import polars as pl

from datachef.core.corpus import Size
from datachef.core.run.intake import Intake
from datachef.core.run.tokens import TokenCounter
from datachef.core.source import BrokenFileError, RawRow, Unit
from datachef.core.survey import Survey

PLACES = 4
ROWS = 100


def estimated_size(found: Survey, counter: TokenCounter) -> Size | None:
    """What a source holds before its steps, by up to `ROWS` rows at each of up to `PLACES` places;
    None where its rows cannot be told from its size.

    Exact where these are all its rows.
    """
    if counter.identity not in found.estimates:
        found.estimates[counter.identity] = _estimated(found, counter)
    whole: Size | None = found.estimates[counter.identity]
    if whole is None or found.source.take is None or whole.rows <= found.source.take:
        return whole
    return Size(found.source.take, whole.tokens * found.source.take / whole.rows)


def _estimated(found: Survey, counter: TokenCounter) -> Size | None:
    looked = [_looked(found, unit, counter) for unit in _spread(found.units)]
    if any(unit.size == 0 and unit.rows is None for unit in found.units):
        return None
    sampled = sum(part.rows for part in looked)
    if not sampled:
        return None
    rows = sum(part.whole for part in looked)
    measured, all_bytes = sum(unit.size for unit in _spread(found.units)), found.size
    if len(looked) < len(found.units):
        counts = [unit.rows for unit in found.units]
        known = [count for count in counts if count is not None]
        rows = sum(known) if len(known) == len(counts) else rows * all_bytes / max(measured, 1)
    kept = rows * sum(part.kept for part in looked) / sampled
    tokens = sum(part.tokens for part in looked) / max(sum(part.kept for part in looked), 1)
    return Size(kept, kept * tokens)


class _Looked:
    """The first rows of a unit: how many, kept and tokens, and how many the unit holds in all."""

    def __init__(self, unit: Unit, raws: Sequence[RawRow], frames: Sequence[pl.DataFrame]) -> None:
        held = [raw for raw in raws if raw.data is not None or raw.reason]
        self.rows = len(held)
        self.kept = sum(frame.height for frame in frames)
        self.tokens = 0
        size = sum(raw.size for raw in raws)
        if len(raws) < ROWS or not size:
            self.whole = float(self.rows)
        elif unit.rows is not None:
            self.whole = float(unit.rows)
        else:
            self.whole = self.rows * unit.size * _packing(unit, held) / size


def _looked(found: Survey, unit: Unit, counter: TokenCounter) -> _Looked:
    raws: list[RawRow] = []
    with suppress(BrokenFileError, OSError):
        raws += islice(found.source.read(unit), ROWS)
    intake = Intake(found.source.key, unit, found.format, {})
    frames = list(intake.batches(raws, 1 << 62))
    looked = _Looked(unit, raws, frames)
    looked.tokens = sum(int(counter.count_rows(frame).sum()) for frame in frames)
    return looked


def _spread(units: Sequence[Unit]) -> list[Unit]:
    """Some of the units, from the first to the last."""
    if len(units) <= PLACES:
        return list(units)
    return [units[round(index * (len(units) - 1) / (PLACES - 1))] for index in range(PLACES)]


def _packing(unit: Unit, rows: Sequence[RawRow]) -> float:
    """How many bytes of rows a byte on disk stands for, where a file is compressed."""
    if not unit.name.endswith((".gz", ".zst")):
        return 1.0
    raw = b"\n".join(orjson.dumps(row.data, default=str) for row in rows if row.data is not None)
    return len(raw) / len(zlib.compress(raw)) if raw else 1.0
