"""A Hugging Face dataset, by name on the hub or by local folder, streamed through `datasets`."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

from pydantic import Field

from datachef.core import (
    BrokenFileError,
    ChangedInputError,
    Partition,
    RawRow,
    Source,
    SourceError,
    extra,
    located,
    path_identity,
)
from datachef.core.contracts.source import size_of
from datachef.core.files.parquet import frame_of, rows_of
from datachef.core.system.network import NotAllowedError, guard_hub, refusal_in
from datachef.plugins.sources.dataset_card import check_card, check_files

if TYPE_CHECKING:
    import polars as pl

BATCH_ROWS = 1_000
# What tools keep in the folder of a dataset, which `datasets` does not read: our cache is one.
_BESIDE = (".git", ".cache", ".datachef")
_ON_THE_HUB = re.compile(r"(?![./~-])[\w.-]{1,96}(?:/[\w.-]{1,96})?")


class HubSource(Source):
    """A dataset for `datasets.load_dataset`; the manifest pins the revision that was read."""

    key: ClassVar[str] = "hf"
    uniform: ClassVar[bool] = True

    hf: str = Field(min_length=1, max_length=4096, description="org/name, or a local folder.")
    config: str | None = Field(None, description="The configuration, where there are several.")
    split: str = Field("train", description="The split to read.")
    revision: str | None = Field(
        None, description="A branch, tag or commit; by default the newest."
    )

    def requires(self) -> Mapping[str, str]:
        return {"datasets": extra("hf")}

    def located(self, folder: Path) -> Self:
        local = located(folder, self.hf)
        return self.model_copy(update={"hf": str(local)}) if local.is_dir() else self

    def partitions(self) -> Sequence[Partition]:
        shards = self._opened().num_shards
        place: dict[str, Any] = {"revision": self._commit, "shards": shards}
        if not self._is_hub:
            place["path"] = self.hf
        return [
            Partition(
                name=f"{Path(self.hf).name}/{self.split}-{index}",
                identity=json.dumps(
                    [self.hf, self.config, self.split, self._commit, index, shards]
                ),
                size=self._bytes // shards,
                place=place | {"index": index},
            )
            for index in range(shards)
        ]

    def read(self, partition: Partition) -> Iterator[RawRow]:
        dataset = self._opened(partition.place["revision"])
        features = {} if dataset.features is None else dataset.features.to_dict()
        shard = dataset.shard(num_shards=partition.place["shards"], index=partition.place["index"])
        # as tables, in which values still have their exact types
        tables = shard.with_format("arrow").iter(batch_size=BATCH_ROWS)
        position = 0
        while (table := self._next(tables)) is not None:
            for row in rows_of(table, features):
                yield RawRow(position, position + 1, size_of(row), row)
                position += 1

    def verify(self, partition: Partition) -> None:
        planned = str(partition.place["revision"])
        if planned.startswith("[") and self._content() != planned:
            raise ChangedInputError(f"{self.hf}: it changed after the run was planned")

    def verify_all(self, partitions: Iterable[Partition]) -> None:
        for partition in islice(partitions, 1):  # all are parts of one folder, or of one revision
            self.verify(partition)

    def _next(self, tables: Iterator[Any]) -> pl.DataFrame | None:
        try:
            table = next(tables, None)
        except Exception as error:
            first = (str(error).splitlines() or [""])[0]
            raise BrokenFileError(
                f"{type(error).__name__}: {first}",
                "does datasets.load_dataset read it?",
                passing=self._is_hub or isinstance(error, OSError),
            ) from error
        return None if table is None else frame_of(table)

    def provenance(self) -> Mapping[str, Any]:
        return {"hf": self.hf if self._is_hub else Path(self.hf).name, "revision": self._commit}

    @property
    def _is_hub(self) -> bool:
        return not Path(self.hf).is_dir()

    @cached_property
    def _commit(self) -> str:
        if not self._is_hub:
            return self._content()
        if not _ON_THE_HUB.fullmatch(self.hf):
            raise SourceError(
                "no_file",
                f"{self.hf!r} is no folder, and no dataset's name",
                "org/name, or a folder",
            )
        try:
            guard_hub(self.network)
        except NotAllowedError as error:
            message = f"{self.hf!r} is no folder here, and {error}"
            raise SourceError("not_allowed", message, error.hint) from error
        from huggingface_hub import HfApi

        try:
            return str(HfApi().dataset_info(self.hf, revision=self.revision).sha)
        except Exception as error:
            if (refused := refusal_in(error)) is not None:
                raise refused from error
            raise SourceError(
                "unreachable",
                f"{self.hf!r} on the hub: {type(error).__name__}",
                "check name and network; a private or gated dataset needs HF_TOKEN",
            ) from error

    def _content(self) -> str:
        """What the folder holds now."""
        return json.dumps(path_identity(self.hf, without=_BESIDE))

    @property
    def _bytes(self) -> int:
        if not self._is_hub:
            return sum(path.stat().st_size for path in Path(self.hf).rglob("*") if path.is_file())
        return 0

    def _opened(self, revision: str | None = None) -> Any:
        """The dataset, of which nothing but its own files is read."""
        from datasets import load_dataset_builder

        commit = (revision or self._commit) if self._is_hub else None
        if commit is not None:
            guard_hub(self.network)
        try:
            check_card(self.hf, commit)
            builder = load_dataset_builder(self.hf, self.config, revision=commit)
            check_files(builder, self.hf, commit)
            return builder.as_streaming_dataset(split=self.split)
        except SourceError:
            raise
        except Exception as error:
            if (refused := refusal_in(error)) is not None:
                raise refused from error
            first = (str(error).splitlines() or [""])[0]
            raise SourceError("unreadable_dataset", f"{self.hf!r}: {first}") from error
