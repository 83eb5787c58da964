"""The rejected rows of a run, gathered from its units."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

import polars as pl

from datachef.core.recipe import Rejects
from datachef.core.run.intake import REJECTS
from datachef.core.run.plan import Plan
from datachef.core.run.store import Store


def gather(plan: Plan, records: Mapping[str, Any], store: Store, settings: Rejects) -> pl.DataFrame:
    """The rejected rows that are kept, in the order of the data.

    Units count lines from their own beginning; here they are counted from that of the file.
    """
    frames = []
    lines: Counter[str] = Counter()
    for task in (task for wave in plan.waves for task in wave.tasks if task.key in records):
        record = records[task.key]
        before = 0
        if task.unit is not None and task.stage.source is not None:
            file = f"{task.stage.source.name}/{task.unit.name}"
            before = lines[file]
            lines[file] += record["lines"]
        if record["rejects"]:
            rejects = store.read(task.key, record["rejects"])
            frames.append(rejects.with_columns(pl.col("line") + before))
    table = pl.concat(frames) if frames else pl.DataFrame(schema=REJECTS)
    if settings.keep == "sample":
        table = table.group_by("step", "reason", maintain_order=True).head(settings.per_reason)
    return table.select(list(REJECTS))
