"""Runs a recipe of one step whose operator is written in a test, on four rows."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from datachef.core import Host, run_recipe
from datachef.core.run.report import Report

HEAD = """
import os, random, signal, sys
from typing import Literal
import polars as pl
from datachef.core import (CorpusOperator, Filter, MixOperator, Outcome, Partition, RawRow,
                           RunObserver, Source, TextTransform, Transform, hookimpl)

class Lengths(Filter):
    def signals(self):
        return {"size": pl.col("text").str.len_chars()}
    def rules(self):
        return {"small": pl.col("size") < 2}

class Chooser(CorpusOperator):
    def reasons(self):
        return ("bad",)
    def summarize(self, batch):
        return batch.select("id")
    def resolve(self, summaries, context):
        return summaries.head(1).select("id", pl.lit("bad").alias("reason")).collect()

class Mix(MixOperator):
    def resolve(self, summaries, context):
        return summaries.select("id", pl.lit(2).alias("copies")).collect()
"""
HOOK = """
@hookimpl
def datachef_operators():
    return [X]
"""


@dataclass
class StepRunner:
    """Runs one step, made of a base class and methods, in a folder; `host` is that of the last."""

    folder: Path
    texts: Sequence[str] = ("a", "bb", "ccc", "dddd")
    host: Host | None = None

    def __call__(
        self, base: str, body: str, *, engine: str = "inline", more: str = "", after: str = ""
    ) -> Report:
        """`more` stands behind the operator in the plugin, `after` behind its step."""
        lines = [json.dumps({"text": text}) + "\n" for text in self.texts]
        (self.folder / "rows.jsonl").write_text("".join(lines))
        body = body.replace("\n", "\n    ")
        code = f'{HEAD}\nclass X({base}):\n    "X."\n    op: Literal["x"] = "x"\n    {body}\n'
        plugin = self.folder / "odd.py"
        plugin.write_text(code + HOOK + more)
        mixes = base in ("Mix", "MixOperator")
        place = f"mix: {{op: x}}\nsteps: [{after}]" if mixes else f"steps: [{{op: x}}, {after}]"
        recipe = self.folder / "r.yaml"
        recipe.write_text(
            f"name: r\nsources:\n  a: {{path: rows.jsonl, max_failed: 0.5}}\n{place}\n"
        )
        self.host = Host([str(plugin)], only={"sources", "engines"})
        return run_recipe(
            recipe,
            self.folder / "out",
            host=self.host,
            engine=engine,
            workers=1,
            cache=self.folder / "cache",
        )
