"""Puts a finished corpus in place: all of it, with its accounts, or nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import orjson
import polars as pl

from datachef.core.errors import RunError
from datachef.core.host import Host
from datachef.core.loading import Loaded
from datachef.core.recipe import Recipe
from datachef.core.run.output import SUFFIX, common_schema, features, plan_shards
from datachef.core.run.plan import Plan
from datachef.core.run.report import Report, dataset_card, manifest
from datachef.core.run.stage import OutputSpec, ShardTask
from datachef.core.run.store import checksum

MANIFEST = "manifest.json"


def refuse_foreign(folder: Path) -> None:
    """Raises `RunError` where replacing the folder would delete something that is no corpus."""
    if folder.exists() and not _is_ours(folder):
        raise RunError(
            f"{folder} exists and is not a corpus of datachef", "choose another --output"
        )


def _is_ours(folder: Path) -> bool:
    if not folder.is_dir():
        return False
    try:
        return "datachef" in orjson.loads((folder / MANIFEST).read_bytes())
    except (OSError, orjson.JSONDecodeError, TypeError):
        return not any(folder.iterdir())


def verify(folder: Path, files: Sequence[Mapping[str, Any]]) -> None:
    """Raises `RunError` unless the data of a corpus are exactly these files, as they were written.

    Done before the corpus is put in place, where nobody else writes.
    """
    found = {str(path.relative_to(folder)) for path in (folder / "data").iterdir()}
    wrong = sorted(found ^ {facts["file"] for facts in files})
    wrong += [facts["file"] for facts in files if facts["file"] in found and not _is(folder, facts)]
    if wrong:
        raise RunError(
            f"the corpus is not as it was written: {', '.join(wrong)} changed, came or went",
            "does something else write into its folder? run again",
        )


def _is(folder: Path, facts: Mapping[str, Any]) -> bool:
    path = folder / facts["file"]
    return bool(path.stat().st_size == facts["bytes"] and checksum(path) == facts["checksum"])


class Corpus:
    """The corpus of a plan whose units are done."""

    def __init__(self, recipe: Recipe, plan: Plan, records: Mapping[str, Any]) -> None:
        self._output = recipe.output
        self._parts = [(t.key, facts) for t in plan.final for facts in records[t.key]["parts"]]
        spec = OutputSpec(plan.schema, recipe.output.columns, recipe.output.separator)
        self._schema = common_schema([facts for _, facts in self._parts], spec)
        self._suffix = SUFFIX[recipe.output.format]

    def shards(self, folder: Path) -> list[ShardTask]:
        """The tasks that write the files of the corpus."""
        shards = plan_shards(self._parts, self._output.shard_bytes)
        tasks = []
        for index, parts in enumerate(shards):
            file = f"data/train-{index:05d}-of-{len(shards):05d}.{self._suffix}"
            size = sum(facts["memory"] for _, facts in parts)
            tasks.append(
                ShardTask(
                    file, str(folder), self._output.format, tuple(parts), self._schema, file, size
                )
            )
        return tasks

    def card(self, loaded: Loaded, plan: Plan, report: Report) -> str:
        """The dataset card; it names the types of columns where the files do not."""
        types = features(self._schema) if self._output.format != "parquet" else []
        return dataset_card(loaded, plan, report, f"data/train-*.{self._suffix}", types)

    def write_accounts(
        self,
        folder: Path,
        context: tuple[Loaded, Plan, Host],
        files: list[dict[str, Any]],
        report: Report,
        rejects: pl.DataFrame,
    ) -> None:
        """Manifest, ledger, card and rejected rows, beside the data."""
        loaded, plan, host = context
        (folder / MANIFEST).write_bytes(_pretty(manifest(loaded, plan, host, files)))
        ledger = [entry.to_data(timed=False) for entry in report.ledger]
        (folder / "ledger.json").write_bytes(_pretty(ledger))
        (folder / "README.md").write_text(self.card(loaded, plan, report), encoding="utf-8")
        if rejects.height:
            (folder / "rejects").mkdir()
            rejects.write_parquet(folder / "rejects" / "rejects.parquet")


def _pretty(data: Any) -> bytes:
    return orjson.dumps(data, option=orjson.OPT_INDENT_2) + b"\n"
