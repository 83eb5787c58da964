"""Puts a finished corpus in place: all of it, with its accounts, or nothing."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import chain
from pathlib import Path
from typing import Any

import orjson
import polars as pl

from datachef.core.contracts.recipe import Recipe
from datachef.core.contracts.writer import Writer
from datachef.core.errors import RunError
from datachef.core.escaping import escaped_json
from datachef.core.files.urls import is_url
from datachef.core.recipe.checked import CheckedRecipe
from datachef.core.registry.host import Host
from datachef.core.run.ledger import Ledger
from datachef.core.run.output import (
    common_schema,
    features,
    plan_shards,
    plan_shuffled_shards,
    refuse_copies,
)
from datachef.core.run.plan import Plan
from datachef.core.run.report import Report, dataset_card, manifest
from datachef.core.run.stage import ShardWork
from datachef.core.run.store import Store
from datachef.core.system.failures import naming
from datachef.core.system.outputs import OutputFolder, lies_in, refuse_places, refuse_unmarked
from datachef.core.system.ownership import (
    CARD,
    CORPUS,
    EFFORT,
    LEDGER,
    MANIFEST,
    REJECTED,
    facts_of,
    foreign_files,
    read_mark,
)
from datachef.core.system.paths import checksum

FAILED = "failed run"


def refuse_output(folder: Path, checked: CheckedRecipe, plan: Plan, cache: Path) -> None:
    """Raises `RunError` for a folder that a corpus cannot take the place of, or must not: one with
    something else in it, an input or the cache."""
    apart = [("the cache", cache), ("the recipe", Path(checked.document.file))]
    apart += [("the input", path) for path in _inputs_in(folder, checked.written or checked, plan)]
    refuse_places(folder, apart, replaced=True)
    refuse_unmarked(folder, CORPUS)
    refuse_data(folder)


def refuse_data(folder: Path) -> None:
    """Raises `RunError` where somebody put files among those of a corpus: they would be read as a
    part of the next one. What is hidden there is not, such as what file managers leave."""
    if not (folder / "data").is_dir() or read_mark(folder) is None:
        return
    found = [name for name in foreign_files(folder) if f"{name}/".startswith("data/")]
    found = [name for name in found if not name.startswith("data/.")]
    if found:
        raise RunError(
            f"{folder / found[0]} is not part of this corpus, and would become part of the next",
            "move it away, or choose another output",
        )


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


def verify(folder: Path, files: Sequence[Mapping[str, Any]]) -> None:
    """Raises `RunError` unless the data of a corpus are exactly these files, as they were written.

    Done before the corpus is put in place, where nobody else writes.
    """
    found = {str(path.relative_to(folder)) for path in (folder / "data").iterdir()}
    wrong = sorted(found ^ {facts["file"] for facts in files})
    wrong += [facts["file"] for facts in files if facts["file"] in found and not _is(folder, facts)]
    if wrong:
        raise RunError(
            f"the corpus changed after it was written: {', '.join(wrong)}",
            "does something else write into its folder? run again",
        )


def _is(folder: Path, facts: Mapping[str, Any]) -> bool:
    path = folder / facts["file"]
    return bool(path.stat().st_size == facts["bytes"] and checksum(path) == facts["checksum"])


def keep_failed(folder: Path, ledger: Ledger, rejects: pl.DataFrame) -> Path:
    """Leaves ledger and rejected rows of a run that came to nothing beside `folder`, to look at.

    Raises `RunError` where somebody else has a folder of that name.
    """
    kept = OutputFolder.open(_failed(folder), FAILED)
    raw = io.BytesIO()
    rejects.write_parquet(raw)
    kept.write(LEDGER, _pretty([entry.to_data(timed=False) for entry in ledger]))
    kept.write(REJECTED, raw.getvalue())
    return kept.path


def forget_failed(folder: Path) -> None:
    """Removes what `keep_failed` left, and nothing else."""
    with suppress(OSError, RunError):
        kept = OutputFolder.existing(_failed(folder), FAILED)
        if kept is not None:
            kept.delete()


def _failed(folder: Path) -> Path:
    return folder.with_name(f"{folder.name}.failed")


class Corpus:
    """The corpus of a plan whose partitions are done."""

    def __init__(
        self, recipe: Recipe, plan: Plan, records: Mapping[str, Any], writer: Writer
    ) -> None:
        self._output = recipe.output
        self._shuffled = plan.output.order is not None
        self._parts = [(t.key, facts) for t in plan.final for facts in records[t.key]["parts"]]
        self._schema = common_schema([facts for _, facts in self._parts], plan.output)
        self._suffix = writer.suffix
        self._typed = writer.typed

    def shards(self, folder: Path) -> list[ShardWork]:
        """The work on the files of the corpus, one item each."""
        planned = plan_shuffled_shards if self._shuffled else plan_shards
        shards = planned(self._parts, self._output.shard_bytes)
        size = sum(facts["memory"] for _, facts in self._parts) // len(shards)
        items = []
        for index, blocks in enumerate(shards):
            file = f"data/train-{index:05d}-of-{len(shards):05d}.{self._suffix}"
            items.append(
                ShardWork(
                    file, str(folder), self._output.format, tuple(blocks), self._schema, file, size
                )
            )
        return items

    def refuse_repeated_ids(self, store: Store) -> None:
        """Raises `PluginError` where two rows have one id; those in shuffled order are looked at
        as they are written."""
        if not self._shuffled:
            refuse_copies(store, self._parts)

    def card(self, checked: CheckedRecipe, plan: Plan, report: Report) -> str:
        """The dataset card; it names the types of columns where the files do not."""
        types = [] if self._typed else features(self._schema)
        return dataset_card(checked, plan, report, f"data/train-*.{self._suffix}", types)

    def write_accounts(
        self,
        folder: Path,
        context: tuple[CheckedRecipe, Plan, Host],
        files: list[dict[str, Any]],
        report: Report,
        tables: Mapping[str, pl.DataFrame],
    ) -> None:
        """Manifest, ledger and card, and the `tables` by the names of their files, beside the
        data; a table without rows is left out."""
        checked, plan, host = context
        stated: dict[str, Any] = {
            "shares": [share.to_data() for share in report.shares],
            "warnings": [problem.to_data() for problem in report.warnings],
        }
        with naming(folder):
            (folder / CARD).write_text(self.card(checked, plan, report), encoding="utf-8")
            (folder / LEDGER).write_bytes(_pretty(report.ledger_data()))
            stated["card"] = facts_of(folder / CARD)
            (folder / MANIFEST).write_bytes(_pretty(manifest(checked, plan, host, files) | stated))
            (folder / EFFORT).write_bytes(_pretty(report.effort()))
            for name, table in tables.items():
                if table.height:
                    (folder / name).parent.mkdir(exist_ok=True)
                    table.write_parquet(folder / name)


def _pretty(data: Any) -> bytes:
    return escaped_json(orjson.dumps(data, option=orjson.OPT_INDENT_2)) + b"\n"
