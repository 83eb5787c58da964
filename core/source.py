"""Where rows come from: the contract of a source, its units and its raw rows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, NamedTuple, Self

from pydantic import BaseModel, ConfigDict, Field

from datachef.core.formats import Format
from datachef.core.operator import Operator


@dataclass(frozen=True)
class Unit:
    """A part of a source that one worker reads: a byte range, a compressed file, a row group.

    `name` is the file as people know it, `identity` tells one version of its content from another,
    `place` is what the source needs to read it in another process (plain JSON), `size` its bytes on
    disk.
    """

    name: str
    identity: str
    size: int
    place: Mapping[str, Any] = field(default_factory=dict)


class RawRow(NamedTuple):
    """One row as it was found: `data`, or the `reason` for which there is none.

    With neither it is no row but a line without one (a blank line), which only counts as a line.
    `position` is unique in the file and does not depend on units (an offset or a row number);
    `line` counts from 1 at the start of the unit, 0 where a source has no lines; `size` is bytes.
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


class Source(BaseModel):
    """A named origin of rows in a recipe or pool; subclass it to add a kind.

    A kind is told from the others by the field that `key` names (`path`, `hf`).
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
    key: ClassVar[str] = ""

    format: Format | None = Field(None, description="How fields map to text or messages.")
    description: str = Field("", description="What the source holds, for people and the policy.")
    licence: str = Field("", description="The licence of the data.")
    take: int | None = Field(None, ge=1, description="So many rows, drawn by the seed.")
    max_failed: float = Field(
        0.1, ge=0, le=1, description="Share of rows that may fail before the run does."
    )
    steps: tuple[Operator, ...] = ()

    def located(self, folder: Path) -> Self:
        """This source with relative paths resolved against the folder of the file that names it."""
        return self

    def requires(self) -> Mapping[str, str]:
        """Importable modules this source needs, each with what `pip install` takes."""
        return {}

    def units(self) -> Sequence[Unit]:
        """The parts of this source, in the order of the data. Raises `SourceError`."""
        raise NotImplementedError

    def read(self, unit: Unit) -> Iterator[RawRow]:
        """The rows of one unit, in order, bad ones included."""
        raise NotImplementedError

    def provenance(self) -> Mapping[str, Any]:
        """What the manifest says of this source besides its units (a revision, a URL)."""
        return {}


class SourceError(Exception):
    """A source that cannot be read at all; `code` and `hint` as in `Problem`."""

    def __init__(self, code: str, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.code = code
        self.hint = hint
