"""The contract of a file format of corpora."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    import polars as pl


class Writer(ABC):
    """Writes the files of a corpus in one format.

    `name` is what a recipe says as `output.format`, `suffix` how its files end, without the first
    dot. Files with `typed` columns tell their types themselves; of others the dataset card does.
    """

    name: ClassVar[str] = ""
    suffix: ClassVar[str] = ""
    typed: ClassVar[bool] = False

    @abstractmethod
    def write(self, rows: pl.DataFrame, schema: Mapping[str, str], path: Path) -> None:
        """Writes one file. The same rows give the same bytes.

        `schema` has the type of each column, of conversations with the fields that their turns
        have; in `rows`, all fields of a turn besides `role` and `content` are JSON text in `extra`.
        `json_lines(rows, schema)` has them in their places.
        """
        raise NotImplementedError
