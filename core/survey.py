"""What a source offers: its units, its format, its columns - from its first rows alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from itertools import chain
from typing import Any

from datachef.core.chat import TEMPLATE_COLUMNS, stored
from datachef.core.distribution import install_command
from datachef.core.errors import MAX_ROW_BYTES, MissingPackageError, RowError, RunError
from datachef.core.formats import Conversation, Format, PromptFormat, recognise
from datachef.core.problems import did_you_mean
from datachef.core.run.columns import NULL, kind_of
from datachef.core.run.conversations import unfit
from datachef.core.run.intake import fields_of, length, sample, stored_names
from datachef.core.run.tokens import BYTES_PER_TOKEN
from datachef.core.source import Source, SourceError, Unit, first_rows
from datachef.core.values import plain

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


@dataclass(frozen=True)
class Survey:
    """A source as it was found; `kinds`, `mostly` and `unsupported` as in `Fields`.

    Of its first `sampled` rows, `misfits` tells how many do not fit the format and why, by reason;
    `unwritable` how many conversations each schema of the output could not hold as they are.
    """

    source: Source
    units: Sequence[Unit]
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
        return sum(unit.size for unit in self.units)

    @property
    def packed(self) -> bool:
        """Whether its bytes are compressed, some of them at least."""
        return any(unit.name.endswith((".gz", ".zst", ".parquet")) for unit in self.units)

    @property
    def most_tokens(self) -> int | None:
        """No source can hold more tokens than its bytes, however well they are compressed; None
        where its size is unknown."""
        if any(unit.size == 0 for unit in self.units):
            return None
        unpacked = self.size * (MOST_COMPRESSION if self.packed else 1)
        return unpacked // BYTES_PER_TOKEN + len(self.units)

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

    def with_late(self, names: set[str]) -> Survey:
        """This survey with those of the named fields that come later than the first rows, if they
        come soon enough to be found."""
        late = names - self.format.uses() - self.kinds.keys() - self.unsupported.keys()
        found: dict[str, str] = {}
        left = LATE_BYTES
        with suppress(SourceError, RunError, OSError, ValueError):
            for raw in chain.from_iterable(first_rows(self.source, unit) for unit in self.units):
                left -= raw.size
                if left < 0 or late <= found.keys():
                    break
                for name in (late & (raw.data or {}).keys()) - found.keys():
                    kind = kind_of(plain(raw.data[name])) if raw.data else NULL
                    if kind != NULL:
                        found[name] = kind
        return replace(self, kinds={**self.kinds, **found})


class Surveyor:
    """Looks at each source once, whatever steps it is given."""

    def __init__(self) -> None:
        self._seen: dict[str, Survey] = {}

    def look(self, source: Source) -> Survey:
        """The survey of a source, from memory where it was seen before. Raises `SourceError`."""
        key = f"{source.key} {source.model_dump_json(exclude={'steps', 'take'})}"
        known = self._seen.get(key)
        if known is None:
            known = self._seen[key] = survey(source)
        return replace(known, source=source)


def survey(source: Source) -> Survey:
    """Looks at a source. Raises `SourceError` where it cannot be read or its format is unclear."""
    units = _units(source)
    rows = sample(source, units)
    if not rows:
        raise SourceError("no_rows", _no_row(source, units), "is the file format right?")
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
    return Survey(source, units, row_format, *fields, len(rows), misfits, unwritable)


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
    rows = stored(turns).to_frame()
    return {
        schema: dict(unfit(rows, schema).drop_nulls().value_counts(sort=True).iter_rows())
        for schema in ("messages", "prompt_completion")
    }


def _no_row(source: Source, units: Sequence[Unit]) -> str:
    """That there is none, with what is wrong with the first."""
    message = "not one readable row at its beginning"
    for unit in units[:1]:
        first = next((raw for raw in first_rows(source, unit) if raw.reason), None)
        if first is not None:
            message += f"; {unit.name} line {first.line}: {first.detail or first.reason}"
    return message


def _units(source: Source) -> Sequence[Unit]:
    try:
        return source.units()
    except ImportError as error:
        requirement = next(iter(source.requires().values()), str(error.name))
        raise SourceError(
            "missing_package", f"needs {error.name}", install_command(requirement)
        ) from error
    except MissingPackageError as error:
        raise SourceError("missing_package", error.message, error.hint) from error
