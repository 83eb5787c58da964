"""What a source offers, from its first rows: partitions, format, columns, and about how much."""

from __future__ import annotations

import zlib
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from itertools import chain, islice
from typing import Any

import orjson
import polars as pl

from datachef.core.contracts.corpus import Size
from datachef.core.contracts.source import (
    BrokenFileError,
    Partition,
    RawRow,
    Source,
    SourceError,
    first_rows,
)
from datachef.core.distribution import install_command
from datachef.core.errors import (
    MAX_ROW_BYTES,
    MissingPackageError,
    RowError,
    RunError,
    did_you_mean,
)
from datachef.core.language_models.tokens import BYTES_PER_TOKEN, TokenCounter
from datachef.core.rows.columns import NULL, concat, kind_of
from datachef.core.rows.reader import RowReader, fields_of, length, sample, stored_names
from datachef.core.rows.stored_conversations import unfit
from datachef.core.text.conversations import TEMPLATE_COLUMNS, turns_column
from datachef.core.text.formats import Conversation, Format, PromptFormat, recognise
from datachef.core.text.values import plain

# Text rarely compresses better than this, so that a budget beyond it is surely impossible.
MOST_COMPRESSION = 100
# How far a source is read for a column that is named and not in its first rows.
LATE_BYTES = 32 * 2**20
# What to do where rows do not fit a format, by reason.
REMEDIES = {
    "unknown_role": "name it in the format, as in roles: {student: user}",
    "unsupported_content": "only text can be trained on: leave the source out, or its pictures",
    "bad_tools": "if the field holds no tools, write tools: null into the format",
}
PLACES = 4
ROWS = 100


@dataclass(frozen=True)
class SourceInfo:
    """A source as it was found; `kinds`, `mostly` and `unsupported` as in `Fields`.

    Of its first `sampled` rows, `misfits` tells how many do not fit the format and why, by reason;
    `unwritable` how many conversations each schema of the output could not hold as they are.
    """

    source: Source
    partitions: Sequence[Partition]
    format: Format
    kinds: Mapping[str, str]
    mostly: Mapping[str, str] = field(default_factory=dict)
    unsupported: Mapping[str, str] = field(default_factory=dict)
    sampled: int = 0
    misfits: Mapping[str, tuple[int, str]] = field(default_factory=dict)
    unwritable: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    # What was estimated of it, by how tokens are counted: looked up once, whatever its steps.
    estimates: dict[Any, Any] = field(default_factory=dict, compare=False, repr=False)

    @property
    def size(self) -> int:
        """Bytes on disk."""
        return sum(partition.size for partition in self.partitions)

    @property
    def packed(self) -> bool:
        """Whether its bytes are compressed, some of them at least."""
        return any(
            partition.name.endswith((".gz", ".zst", ".parquet")) for partition in self.partitions
        )

    @property
    def most_tokens(self) -> int | None:
        """No source can hold more tokens than its bytes, however well they are compressed; None
        where its size is unknown."""
        if any(partition.size == 0 for partition in self.partitions):
            return None
        unpacked = self.size * (MOST_COMPRESSION if self.packed else 1)
        return unpacked // BYTES_PER_TOKEN + len(self.partitions)

    @property
    def unread(self) -> dict[str, str]:
        """Fields that mostly belong to conversations and that a format which was recognised, not
        written, leaves out, with how a format names them."""
        if self.source.format is not None or not self.format.conversational:
            return {}
        known = {name: f"system: {name}" for name in ("system_prompt", "system_message")}
        if isinstance(self.format, PromptFormat):
            known["context"] = 'prompt: "{context} {' + self.format.prompt + '}"'
        return {name: how for name, how in known.items() if self.kinds.get(name, NULL) != NULL}

    @property
    def columns(self) -> set[str]:
        """The columns that rows of this source have when they are read."""
        content = (
            {"text", "messages", *TEMPLATE_COLUMNS} if self.format.conversational else {"text"}
        )
        return {"id", "source"} | content | set(self.column_kinds)

    @property
    def column_kinds(self) -> dict[str, str]:
        """The columns beside the content, with the types in which a step reads them."""
        kinds = {**self.kinds, **self.mostly}
        return {name: kinds[field] for field, name in stored_names(self.kinds).items()}

    def with_late(self, names: set[str]) -> SourceInfo:
        """This, with those of the named fields that come later than the first rows, if they
        come soon enough to be found."""
        late = names - self.format.uses() - self.kinds.keys() - self.unsupported.keys()
        found: dict[str, str] = {}
        left = LATE_BYTES
        with suppress(SourceError, RunError, OSError, ValueError):
            for raw in chain.from_iterable(
                first_rows(self.source, partition) for partition in self.partitions
            ):
                left -= raw.size
                if left < 0 or late <= found.keys():
                    break
                for name in (late & (raw.data or {}).keys()) - found.keys():
                    kind = kind_of(plain(raw.data[name])) if raw.data else NULL
                    if kind != NULL:
                        found[name] = kind
        return replace(self, kinds={**self.kinds, **found})


@dataclass(frozen=True)
class SourceSample:
    """The sample of one source: a JSON-lines file with rows as the source has them.

    `rows` are in the file, `available` are in the source that fit its format (estimated by bytes
    where some partitions were not read, and no more than its `take`), `failed` is the share of rows
    that do not fit.
    """

    path: str
    rows: int
    available: float
    failed: float

    @property
    def rate(self) -> float:
        """The share of the source's rows that is in the sample."""
        return self.rows / self.available if self.available else 1.0


class SourceInspector:
    """Inspects each source once, whatever steps it is given."""

    def __init__(self) -> None:
        self._seen: dict[str, SourceInfo] = {}

    def inspect(self, source: Source) -> SourceInfo:
        """What is known of a source, kept for the next time. Raises `SourceError`."""
        key = f"{source.key} {source.model_dump_json(exclude={'steps', 'take'})}"
        known = self._seen.get(key)
        if known is None:
            known = self._seen[key] = inspect_source(source)
        return replace(known, source=source)


def inspect_source(source: Source) -> SourceInfo:
    """Inspects a source. Raises `SourceError` where it cannot be read or its format is unclear."""
    partitions = _partitions(source)
    rows = sample(source, partitions)
    if not rows:
        raise SourceError("no_rows", _no_row(source, partitions), "is the file format right?")
    counts = Counter(name for row in rows for name in row)
    names = set(counts)
    row_format = source.format or recognise(n for n in names if counts[n] > len(rows) / 2)
    if row_format is None:
        raise SourceError(
            "unclear_format",
            f"no usual format fits the fields {', '.join(sorted(names)[:12])}",
            source.advice(names)
            or "say which hold the content, for example format: {text: FIELD}, "
            "format: {messages: FIELD} or format: {prompt: FIELD, completion: FIELD}",
        )
    fitting, misfits = _converted(row_format, rows)
    if not fitting:
        (reason, (_, trouble)), *_ = misfits.items()
        missing = row_format.fields() - names
        hint = source.advice(names) or REMEDIES.get(reason, "look at the first rows")
        if missing and not source.advice(names):
            hint = did_you_mean(min(missing), names)
        raise SourceError(
            "format_mismatch", f"the format fits none of the first rows: {trouble}", hint
        )
    fields = fields_of(rows, row_format.uses())
    unwritable = _unwritable(fitting) if row_format.conversational else {}
    return SourceInfo(source, partitions, row_format, *fields, len(rows), misfits, unwritable)


def _converted(
    row_format: Format, rows: Sequence[Mapping[str, Any]]
) -> tuple[list[str | Conversation], dict[str, tuple[int, str]]]:
    """The content of rows, and of those without one how many there are and why, by reason."""
    fitting: list[str | Conversation] = []
    misfits: dict[str, tuple[int, str]] = {}
    made = 0
    for row in rows:
        if made > MAX_ROW_BYTES:
            break  # fields that are composed may come to far more than was read
        try:
            content = row_format.convert(row)
            made += length(content)
            fitting.append(content)
        except RowError as error:
            count, detail = misfits.get(error.reason, (0, str(error)))
            misfits[error.reason] = (count + 1, detail)
    return fitting, misfits


def _unwritable(content: Sequence[str | Conversation]) -> dict[str, dict[str, int]]:
    """For every schema of conversations, how many of them it cannot hold, by reason."""
    turns = [row.turns for row in content if isinstance(row, Conversation)]
    rows = turns_column(turns).to_frame()
    return {
        schema: dict(unfit(rows, schema).drop_nulls().value_counts(sort=True).iter_rows())
        for schema in ("messages", "prompt_completion")
    }


def _no_row(source: Source, partitions: Sequence[Partition]) -> str:
    """That there is none, with what is wrong with the first."""
    message = "not one readable row at its beginning"
    for partition in partitions[:1]:
        first = next((raw for raw in first_rows(source, partition) if raw.reason), None)
        if first is not None:
            message += f"; {partition.name} line {first.line}: {first.detail or first.reason}"
    return message


def _partitions(source: Source) -> Sequence[Partition]:
    try:
        return source.partitions()
    except ImportError as error:
        requirement = next(iter(source.requires().values()), str(error.name))
        raise SourceError(
            "missing_package", f"needs {error.name}", install_command(requirement)
        ) from error
    except MissingPackageError as error:
        raise SourceError("missing_package", error.message, error.hint) from error


def estimated_size(found: SourceInfo, counter: TokenCounter) -> Size | None:
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


def _estimated(found: SourceInfo, counter: TokenCounter) -> Size | None:
    looked = [_looked(found, partition, counter) for partition in _spread(found.partitions)]
    if any(partition.size == 0 and partition.rows is None for partition in found.partitions):
        return None
    sampled = sum(part.rows for part in looked)
    if not sampled:
        return None
    rows = sum(part.whole for part in looked)
    measured, all_bytes = sum(partition.size for partition in _spread(found.partitions)), found.size
    if len(looked) < len(found.partitions):
        counts = [partition.rows for partition in found.partitions]
        known = [count for count in counts if count is not None]
        rows = sum(known) if len(known) == len(counts) else rows * all_bytes / max(measured, 1)
    kept = rows * sum(part.kept for part in looked) / sampled
    tokens = sum(part.tokens for part in looked) / max(sum(part.kept for part in looked), 1)
    return Size(kept, kept * tokens)


class _Looked:
    """The first rows of a partition: how many, kept and tokens, and how many it holds in all."""

    def __init__(
        self, partition: Partition, raws: Sequence[RawRow], frames: Sequence[pl.DataFrame]
    ) -> None:
        held = [raw for raw in raws if raw.data is not None or raw.reason]
        self.rows = len(held)
        self.kept = sum(frame.height for frame in frames)
        self.tokens = 0
        size = sum(raw.size for raw in raws)
        if len(raws) < ROWS or not size:
            self.whole = float(self.rows)
        elif partition.rows is not None:
            self.whole = float(partition.rows)
        else:
            self.whole = self.rows * partition.size * _packing(partition, held) / size


def rows_of_places(found: SourceInfo, name: str, rows: int) -> pl.DataFrame:
    """About `rows` rows of the source `name` as its steps are given them, from up to `PLACES`
    places."""
    spread = _spread(found.partitions)
    each = -(-rows // len(spread))
    reader = RowReader(name, found.format, found.kinds)
    parts = [(partition.name, _first(found, partition, each)) for partition in spread]
    frames = list(reader.batches(parts, 1 << 62))
    return concat(frames) if frames else pl.DataFrame()


def _first(found: SourceInfo, partition: Partition, rows: int) -> list[RawRow]:
    """The first rows of a partition, as far as it can be read."""
    raws: list[RawRow] = []
    with suppress(BrokenFileError, OSError):
        raws += islice(found.source.read(partition), rows)
    return raws


def _looked(found: SourceInfo, partition: Partition, counter: TokenCounter) -> _Looked:
    raws = _first(found, partition, ROWS)
    reader = RowReader(found.source.key, found.format, {})
    frames = list(reader.batches([(partition.name, raws)], 1 << 62))
    looked = _Looked(partition, raws, frames)
    looked.tokens = sum(int(counter.count_rows(frame).sum()) for frame in frames)
    return looked


def _spread(partitions: Sequence[Partition]) -> list[Partition]:
    """Some of the partitions, from the first to the last."""
    if len(partitions) <= PLACES:
        return list(partitions)
    return [
        partitions[round(index * (len(partitions) - 1) / (PLACES - 1))] for index in range(PLACES)
    ]


def _packing(partition: Partition, rows: Sequence[RawRow]) -> float:
    """How many bytes of rows a byte on disk stands for, where a file is compressed."""
    if not partition.name.endswith((".gz", ".zst")):
        return 1.0
    raw = b"\n".join(orjson.dumps(row.data, default=str) for row in rows if row.data is not None)
    return len(raw) / len(zlib.compress(raw)) if raw else 1.0
