"""The contract of a source: its partitions, its raw rows, and how its files are written."""

from __future__ import annotations

import codecs
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, NamedTuple, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, PrivateAttr, model_validator

from datachef.core.contracts.operator import Operator
from datachef.core.errors import ChangedInputError
from datachef.core.system.failures import raise_environment_failure
from datachef.core.system.network import Network
from datachef.core.text.formats import Format

if TYPE_CHECKING:
    from datachef.core.contracts.reader import Reader

# The reason of rows that are known to have been in the part of a file that cannot be read.
LOST = "broken_file"


@dataclass(frozen=True)
class Partition:
    """A part of a source that one worker reads: a byte range, a compressed file, a row group.

    `name` is the file as people know it, `identity` tells one version of its content from another,
    `place` is what the source needs to read it in another process (plain JSON), `size` its bytes on
    disk, `rows` how many it holds, where that is known without reading them.
    """

    name: str
    identity: str
    size: int
    place: Mapping[str, Any] = field(default_factory=dict)
    rows: int | None = None


class RawRow(NamedTuple):
    """One row as it was found: `data`, or the `reason` for which there is none.

    With neither it is no row but a line without one (a blank line), which only counts as a line;
    where `detail` says what it is instead (a record of another kind), it is counted as skipped.
    `position` is unique in the file and does not depend on partitions (an offset or a row number);
    `line` counts from 1 at the start of the partition, 0 where a source has no lines; `size` is in
    bytes.
    """

    position: int
    line: int
    size: int
    data: Mapping[str, Any] | None
    reason: str = ""
    detail: str = ""


def size_of(value: Any) -> int:
    """About how many bytes a value of a row is, nested ones included."""
    if isinstance(value, str | bytes):
        return len(value)
    if isinstance(value, Mapping):
        return sum(map(size_of, value.values()))
    return sum(map(size_of, value)) if isinstance(value, list | tuple) else 8


def _known_encoding(name: str) -> str:
    try:
        info = codecs.lookup(name)
    except LookupError:
        raise ValueError(f"no encoding {name!r}; usual ones are utf-8, utf-16, cp1252") from None
    if not info._is_text_encoding:
        raise ValueError(f"{name!r} is no encoding of text")
    return "utf-8" if info.name in ("utf-8-sig", "ascii") else info.name


Encoding = Annotated[
    str,
    AfterValidator(_known_encoding),
    Field(description="Encoding of text files; by default what their first bytes say, or UTF-8."),
]


class CsvOptions(BaseModel):
    """How tables in text are written; by default as RFC 4180 has it, tab-separated without quotes.

    A quote within quotes is doubled, or follows the `escape` where one is given. Nothing is
    guessed: a row that cannot be read in this way fails with its line.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    delimiter: str | None = Field(
        None, min_length=1, max_length=8, description="Between fields: a comma, in tsv a tab."
    )
    quoting: Literal["minimal", "none"] | None = Field(
        None, description="minimal: fields may be quoted; none: a quote is a character like others."
    )
    quote: str = Field('"', min_length=1, max_length=1, description="The quote.")
    escape: str | None = Field(
        None, min_length=1, max_length=1, description="What stands before a quote within quotes."
    )
    encoding: Encoding | None = None
    columns: tuple[str, ...] | None = Field(
        None, min_length=1, description="The columns, where the file has no header."
    )
    skip_initial_space: bool = Field(False, description="Spaces after a delimiter are no content.")
    max_lines: int = Field(
        100_000, ge=1, le=10_000_000, description="Lines that a quoted field may run over."
    )

    @model_validator(mode="after")
    def _distinct(self) -> CsvOptions:
        marks = [mark for mark in (self.delimiter, self.quote, self.escape) if mark is not None]
        if any(set(mark) & {"\r", "\n"} for mark in marks):
            raise ValueError("a line end ends a row and can be nothing else")
        if self.delimiter and {self.quote, self.escape} & set(self.delimiter):
            raise ValueError("delimiter, quote and escape must differ")
        if self.escape == self.quote:
            raise ValueError("a quote that is doubled needs no escape: leave it out")
        if self.columns and len(set(self.columns)) < len(self.columns):
            raise ValueError("each column has a name of its own")
        return self


class Source(BaseModel):
    """A named origin of rows in a recipe or pool; subclass it to add a kind.

    A kind is told from the others by the field that `key` names (`path`, `hf`).
    """

    # The model of recipes builds what it holds itself.
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, defer_build=True)
    key: ClassVar[str] = ""
    # Whether the rows of all partitions have the same fields and types, so that one tells them.
    uniform: ClassVar[bool] = False

    format: Format | None = Field(None, description="How fields map to text or messages.")
    description: str = Field("", description="What the source holds, for people and the policy.")
    licence: str = Field("", description="The licence of the data.")
    take: int | None = Field(None, ge=1, description="Number of rows to draw, by the seed.")
    max_failed: float = Field(
        0.1, ge=0, le=1, description="Share of rows that may fail before the run does."
    )
    max_failed_files: int = Field(
        0, ge=0, description="Files that may turn out damaged or unreadable before the run fails."
    )
    steps: tuple[Operator, ...] = ()
    _granted: tuple[str, ...] = PrivateAttr(())
    _readers: Mapping[str, type[Reader]] = PrivateAttr(default_factory=dict)

    @property
    def network(self) -> Network:
        """What this source may reach: what the user allowed, and the pool that it is of."""
        return Network.of_environment().and_also(self._granted)

    @property
    def granted(self) -> tuple[str, ...]:
        """The places that the pool lets its sources reach, whatever the environment says."""
        return self._granted

    def reaching(self, places: Iterable[str]) -> Self:
        """This source, which may also reach some places on the network (see `network.places`)."""
        copy = self.model_copy()
        copy._granted = tuple(places)
        return copy

    @property
    def readers(self) -> Mapping[str, type[Reader]]:
        """The file formats that are registered, by name; none where nobody told this source."""
        return self._readers

    def reading(self, readers: Mapping[str, type[Reader]]) -> Self:
        """This source, which reads files in these formats."""
        copy = self.model_copy()
        copy._readers = readers
        return copy

    def readers_of(self, partitions: Iterable[Partition]) -> Mapping[str, type[Reader]]:
        """The readers of these partitions, by name: their code made the rows too."""
        return {}

    def located(self, folder: Path) -> Self:
        """This source with relative paths resolved against the folder of the file that names it."""
        return self

    def requires(self) -> Mapping[str, str]:
        """Importable modules this source needs, each with what `pip install` takes."""
        return {}

    def partitions(self) -> Sequence[Partition]:
        """The parts of this source, in the order of the data. Raises `SourceError`."""
        raise NotImplementedError

    def read(self, partition: Partition) -> Iterator[RawRow]:
        """The rows of one partition, in order, bad ones included.

        Raises `BrokenFileError` after the last row that can be read, where that is not the end.
        """
        raise NotImplementedError

    def verify(self, partition: Partition) -> Any:
        """Raises `ChangedInputError` where a partition holds something else than its identity says.

        Called before and after a partition is read, and before a corpus is published. What it
        returns (the times of a file) must be the same before and after.
        """

    def verify_all(self, partitions: Iterable[Partition]) -> None:
        """The same for all partitions of a run; of those of one name, which are parts of one file,
        one is looked at."""
        for partition in {partition.name: partition for partition in partitions}.values():
            self.verify(partition)

    def advice(self, columns: Iterable[str]) -> str:
        """What may be wrong with how rows are read, given their columns; nothing by default."""
        return ""

    def provenance(self) -> Mapping[str, Any]:
        """What the manifest says of this source besides its partitions (a revision, a URL)."""
        return {}


class SourceError(Exception):
    """A source that cannot be read at all; `code` and `hint` as in `Problem`."""

    def __init__(self, code: str, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.code = code
        self.hint = hint


class BrokenFileError(SourceError):
    """A file that cannot be read to its end: cut off, damaged, gone, or not what its name says.

    `bytes_read` of the file had been read by then. `passing` says that another try may succeed, so
    that the result is not kept as done.
    """

    def __init__(
        self,
        message: str,
        hint: str = "",
        *,
        bytes_read: int = 0,
        passing: bool = False,
        code: str = LOST,
    ) -> None:
        super().__init__(code, message, hint)
        self.bytes_read = bytes_read
        self.passing = passing


def read_unchanged(source: Source, partition: Partition) -> Iterator[RawRow]:
    """What `Source.read` gives. Raises `ChangedInputError` where the partition is another than was
    planned, or becomes another meanwhile: by then, rows of both may have been given."""
    before = source.verify(partition)
    try:
        yield from source.read(partition)
    except BrokenFileError:
        _verify_again(source, partition, before)  # what is being rewritten looks damaged
        raise
    _verify_again(source, partition, before)


def _verify_again(source: Source, partition: Partition, before: Any) -> None:
    if source.verify(partition) != before:
        raise ChangedInputError(f"{partition.name}: it changed while it was read")


def first_rows(source: Source, partition: Partition) -> Iterator[RawRow]:
    """The first rows of a partition; ends where its file breaks off, if the source allows it.

    Raises `SourceError` where a run would fail of it.
    """
    try:
        yield from read_unchanged(source, partition)
    except ChangedInputError as error:
        raise SourceError("changed_input", error.message, error.hint) from error
    except BrokenFileError as error:
        raise_environment_failure(error, partition.name)
        if source.max_failed_files == 0:
            hint = error.hint or "replace it; to do without the rest of it: max_failed_files: 1"
            code = "unreachable" if error.passing else error.code
            raise SourceError(code, f"{partition.name}: {error}", hint) from error
