"""Puts a finished corpus in place: all of it, with its accounts, or nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import orjson
import polars as pl

from datachef.core.errors import RunError
from datachef.core.host import Host
from datachef.core.loading import Loaded
from datachef.core.recipe import Recipe
from datachef.core.run.ledger import Ledger
from datachef.core.run.output import (
    SUFFIX,
    common_schema,
    features,
    plan_shards,
    plan_shuffled_shards,
)
from datachef.core.run.plan import Plan
from datachef.core.run.report import Report, dataset_card, manifest
from datachef.core.run.stage import ShardTask
from datachef.core.run.store import checksum
from datachef.core.system_errors import naming

MANIFEST = "manifest.json"
LEDGER = "ledger.json"
REJECTED = "rejects.parquet"


def refuse_foreign(folder: Path) -> None:
    """Raises `RunError` where replacing the folder would delete something that is no corpus."""
    if folder.exists() and not _is_ours(folder):
        raise RunError(
            f"{folder} exists and is not a corpus of datachef", "choose another --output"
        )


def refuse_overlap(folder: Path, cache: Path) -> None:
    """Raises `RunError` where the corpus and the cache would lie one in the other: replacing the
    corpus would delete the cache, and who clears the cache would delete the corpus."""
    inner, outer = folder.resolve(), cache.resolve()
    if inner.is_relative_to(outer) or outer.is_relative_to(inner):
        raise RunError(
            f"the corpus {folder} and the cache {cache} would lie one in the other",
            "choose another --output or --cache",
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


def keep_failed(folder: Path, ledger: Ledger, rejects: pl.DataFrame) -> Path:
    """Leaves ledger and rejected rows of a run that came to nothing beside `folder`, to look at."""
    kept = _failed(folder)
    kept.mkdir(parents=True, exist_ok=True)
    (kept / LEDGER).write_bytes(_pretty([entry.to_data(timed=False) for entry in ledger]))
    rejects.write_parquet(kept / REJECTED)
    return kept


def forget_failed(folder: Path) -> None:
    """Removes what `keep_failed` left, and nothing else."""
    kept = _failed(folder)
    with suppress(OSError):
        for name in (LEDGER, REJECTED):
            (kept / name).unlink(missing_ok=True)
        kept.rmdir()


def _failed(folder: Path) -> Path:
    return folder.with_name(f"{folder.name}.failed")


class Corpus:
    """The corpus of a plan whose units are done."""

    def __init__(self, recipe: Recipe, plan: Plan, records: Mapping[str, Any]) -> None:
        self._output = recipe.output
        self._shuffled = plan.output.order is not None
        self._parts = [(t.key, facts) for t in plan.final for facts in records[t.key]["parts"]]
        self._schema = common_schema([facts for _, facts in self._parts], plan.output)
        self._suffix = SUFFIX[recipe.output.format]

    def shards(self, folder: Path) -> list[ShardTask]:
        """The tasks that write the files of the corpus."""
        planned = plan_shuffled_shards if self._shuffled else plan_shards
        shards = planned(self._parts, self._output.shard_bytes)
        size = sum(facts["memory"] for _, facts in self._parts) // len(shards)
        tasks = []
        for index, blocks in enumerate(shards):
            file = f"data/train-{index:05d}-of-{len(shards):05d}.{self._suffix}"
            tasks.append(
                ShardTask(
                    file, str(folder), self._output.format, tuple(blocks), self._schema, file, size
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
        stated = {
            "shares": [share.to_data() for share in report.shares],
            "warnings": [problem.to_data() for problem in report.warnings],
        }
        with naming(folder):
            (folder / MANIFEST).write_bytes(_pretty(manifest(loaded, plan, host, files) | stated))
            (folder / LEDGER).write_bytes(_pretty(report.ledger_data()))
            (folder / "README.md").write_text(self.card(loaded, plan, report), encoding="utf-8")
            if rejects.height:
                (folder / "rejects").mkdir()
                rejects.write_parquet(folder / "rejects" / REJECTED)


def _pretty(data: Any) -> bytes:
    return orjson.dumps(data, option=orjson.OPT_INDENT_2) + b"\n"
