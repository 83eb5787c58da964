"""What a finished corpus is made of: the files with its rows, and its accounts."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import polars as pl

from datachef.core.contracts.recipe import Recipe
from datachef.core.contracts.writer import Writer
from datachef.core.escaping import indented_json
from datachef.core.recipe.checked import CheckedRecipe
from datachef.core.registry.host import Host
from datachef.core.run.destination import Destination
from datachef.core.run.output import (
    common_schema,
    features,
    plan_shards,
    plan_shuffled_shards,
    refuse_copies,
)
from datachef.core.run.plan import Plan
from datachef.core.run.report import Report, dataset_card, manifest
from datachef.core.run.stage import ShardWork, key_of
from datachef.core.run.store import Store
from datachef.core.system.failures import naming
from datachef.core.system.ownership import CARD, EFFORT, LEDGER, MANIFEST, facts_of


class Corpus:
    """The corpus of a plan whose partitions are done."""

    def __init__(
        self, recipe: Recipe, plan: Plan, records: Mapping[str, Any], writer: Writer
    ) -> None:
        self._environment = plan.environment
        self._output = recipe.output
        self._shuffled = plan.output.order is not None
        self._parts = [(t.key, facts) for t in plan.final for facts in records[t.key]["parts"]]
        self._schema = common_schema([facts for _, facts in self._parts], plan.output)
        self._suffix = writer.suffix
        self._typed = writer.typed
        self._data = ""

    def shards(self, destination: Destination, staging: Path) -> list[ShardWork]:
        """The work on the files of the corpus, one item each."""
        planned = plan_shuffled_shards if self._shuffled else plan_shards
        shards = planned(self._parts, self._output.shard_bytes)
        size = sum(facts["memory"] for _, facts in self._parts) // len(shards)
        count = len(shards)
        names = [f"train-{n:05d}-of-{count:05d}.{self._suffix}" for n in range(count)]
        place, self._data = destination.data(staging, self._content(), names)
        return [
            ShardWork(
                f"{self._data}/{name}", place, self._output.format, tuple(blocks), self._schema,
                f"{self._data}/{name}", size,
            )
            for name, blocks in zip(names, shards, strict=True)
        ]  # fmt: skip

    def _content(self) -> str:
        """Tells what the files will hold from what any other files do."""
        output = [self._output.format, self._output.shard_bytes, self._shuffled]
        return key_of("corpus", self._environment, output, self._schema, self._parts)

    def refuse_repeated_ids(self, store: Store) -> None:
        """Raises `PluginError` where two rows have one id; those in shuffled order are looked at
        as they are written."""
        if not self._shuffled:
            refuse_copies(store, self._parts)

    def card(self, checked: CheckedRecipe, plan: Plan, report: Report) -> str:
        """The dataset card; it names the types of columns where the files do not."""
        types = [] if self._typed else features(self._schema)
        return dataset_card(checked, plan, report, f"{self._data}/train-*.{self._suffix}", types)

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
            (folder / LEDGER).write_bytes(indented_json(report.ledger_data()))
            stated["card"] = facts_of(folder / CARD)
            (folder / MANIFEST).write_bytes(
                indented_json(manifest(checked, plan, host, files) | stated)
            )
            (folder / EFFORT).write_bytes(indented_json(report.effort()))
            for name, table in tables.items():
                if table.height:
                    (folder / name).parent.mkdir(exist_ok=True)
                    table.write_parquet(folder / name)
