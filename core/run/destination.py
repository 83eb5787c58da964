"""Where a corpus is put: the folder that it takes the place of."""

from __future__ import annotations

import io
import os
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, suppress
from itertools import chain
from pathlib import Path
from typing import Any

import polars as pl

from datachef.core.errors import RunError
from datachef.core.escaping import indented_json
from datachef.core.recipe.checked import CheckedRecipe
from datachef.core.run.ledger import Ledger
from datachef.core.run.plan import Plan
from datachef.core.system.atomic import replacing
from datachef.core.system.lock import locked
from datachef.core.system.outputs import (
    OutputFolder,
    lies_in,
    refuse_places,
    refuse_unmarked,
    resolved,
)
from datachef.core.system.ownership import (
    CORPUS,
    LEDGER,
    MANIFEST,
    REJECTED,
    foreign_files,
    read_mark,
)
from datachef.core.system.paths import checksum, is_url

FAILED = "failed run"


class Destination(ABC):
    """Takes a corpus: all of it, with its accounts, or nothing.

    `folder` holds, on this machine, what lies beside the rows, and the rows too where there is no
    `url`.
    """

    folder: Path
    url: str = ""

    @abstractmethod
    def refuse(self, checked: CheckedRecipe, plan: Plan, cache: Path) -> None:
        """Raises `RunError` for a place that a corpus cannot take, or must not: one with something
        else in it, an input or the cache."""

    @abstractmethod
    def locked(self) -> AbstractContextManager[None]:
        """Keeps other runs from the place, and clears what killed ones left there."""

    @abstractmethod
    def replacing(self) -> AbstractContextManager[Path]:
        """A folder to write accounts into, which are put in place, with the data, when nothing
        went wrong."""

    @abstractmethod
    def data(self, staging: Path, content: str, names: Sequence[str]) -> tuple[str, str]:
        """Where files of these names go: the folder or URL that they are written below, and the
        name of a folder there. `content` tells their content from any other."""

    @abstractmethod
    def verify(self, staging: Path, files: Sequence[Mapping[str, Any]]) -> None:
        """Raises `RunError` unless the data are exactly these files, as they were written."""

    @abstractmethod
    def manifest(self) -> bytes:
        """The manifest of the corpus that is in place; empty where there is none."""

    @abstractmethod
    def keep_failed(self, ledger: Ledger, rejects: pl.DataFrame) -> Path:
        """Leaves ledger and rejected rows of a run that came to nothing, to look at.

        Raises `RunError` where somebody else has a folder of that name.
        """

    @abstractmethod
    def forget_failed(self) -> None:
        """Removes what `keep_failed` left, and nothing else."""


class FolderDestination(Destination):
    """A folder of this machine, swapped for the new one in one step."""

    def __init__(self, folder: Path) -> None:
        self.folder = resolved(folder)
        self._failed = self.folder.with_name(f"{self.folder.name}.failed")

    def refuse(self, checked: CheckedRecipe, plan: Plan, cache: Path) -> None:
        apart = [("the cache", cache), ("the recipe", Path(checked.document.file))]
        inputs = _inputs_in(self.folder, checked.written or checked, plan)
        apart += [("the input", path) for path in inputs]
        refuse_places(self.folder, apart, replaced=True)
        refuse_unmarked(self.folder, CORPUS)
        self._refuse_data()

    def locked(self) -> AbstractContextManager[None]:
        return locked(self.folder)

    def replacing(self) -> AbstractContextManager[Path]:
        return replacing(self.folder)

    def data(self, staging: Path, content: str, names: Sequence[str]) -> tuple[str, str]:
        return str(staging), "data"

    def verify(self, staging: Path, files: Sequence[Mapping[str, Any]]) -> None:
        found = {str(path.relative_to(staging)) for path in (staging / "data").iterdir()}
        named = {facts["file"] for facts in files}
        refuse_changed(
            [
                *found ^ named,
                *(f["file"] for f in files if f["file"] in found and _differs(staging, f)),
            ]
        )
        self._refuse_data()

    def manifest(self) -> bytes:
        with suppress(OSError):
            return (self.folder / MANIFEST).read_bytes()
        return b""

    def keep_failed(self, ledger: Ledger, rejects: pl.DataFrame) -> Path:
        kept = OutputFolder.open(self._failed, FAILED)
        for name, raw in accounts_of_failure(ledger, rejects).items():
            kept.write(name, raw)
        return kept.path

    def forget_failed(self) -> None:
        with suppress(OSError, RunError):
            kept = OutputFolder.existing(self._failed, FAILED)
            if kept is not None:
                kept.delete()

    def _refuse_data(self) -> None:
        """Raises `RunError` where somebody put files among those of a corpus: they would be read as
        a part of the next one. What is hidden there is not, such as what file managers leave."""
        if not (self.folder / "data").is_dir() or read_mark(self.folder) is None:
            return
        found = [name for name in foreign_files(self.folder) if f"{name}/".startswith("data/")]
        found = [name for name in found if not name.startswith("data/.")]
        if found:
            raise RunError(
                f"{self.folder / found[0]} is not part of this corpus, and would become part of "
                "the next",
                "move it away, or choose another output",
            )


def destination_of(place: Path | str, cache: Path) -> Destination:
    """A folder, or what lies under a URL; `cache` is that of this machine."""
    if isinstance(place, Path):
        return FolderDestination(place)
    from datachef.core.run.hub_destination import HubDestination, is_dataset
    from datachef.core.run.object_destination import ObjectDestination

    if is_dataset(place):
        return HubDestination(place, cache)

    return ObjectDestination(place, cache)


def accounts_of_failure(ledger: Ledger, rejects: pl.DataFrame) -> dict[str, bytes]:
    """The files of a run that came to nothing, by their names."""
    raw = io.BytesIO()
    rejects.write_parquet(raw)
    entries = [entry.to_data(timed=False) for entry in ledger]
    return {LEDGER: indented_json(entries), REJECTED: raw.getvalue()}


def refuse_changed(names: Sequence[str]) -> None:
    """Raises `RunError` where files of a corpus are not as they were written."""
    if names:
        raise RunError(
            f"the corpus changed after it was written: {', '.join(sorted(names))}",
            "does something else write into its folder? run again",
        )


def _differs(folder: Path, facts: Mapping[str, Any]) -> bool:
    path = folder / facts["file"]
    return bool(path.stat().st_size != facts["bytes"] or checksum(path) != facts["checksum"])


def _inputs_in(folder: Path, checked: CheckedRecipe, plan: Plan) -> Iterator[Path]:
    """The local files that sources and steps read from a folder, one of each of its subfolders; and
    all folders that they read, which may hold it."""
    sources = checked.source_info.values()
    partitions = (partition for info in sources for partition in info.partitions)
    read = chain(
        (partition.place.get("path") for partition in partitions),
        *(stage.files for stage in plan.stages),
    )
    seen: set[str] = set()
    for path in dict.fromkeys(read):
        if not isinstance(path, str) or is_url(path):
            continue
        if os.path.isdir(path):  # noqa: PTH112 - of many files
            yield Path(path)
            continue
        above = os.path.dirname(os.path.realpath(path))  # noqa: PTH120
        if above not in seen and lies_in(Path(above), folder):
            yield Path(path)
        seen.add(above)
