"""A plugin file with small operators, so that what is checked depends on no operator of ours."""

from collections.abc import Iterable, Mapping
from typing import Literal

import polars as pl
from pydantic import Field

from datachef.core import (
    BenchmarkFile,
    Budget,
    CorpusOperator,
    Filter,
    MixOperator,
    Problem,
    TextTransform,
    hookimpl,
    source_weights,
    threshold,
)


class SizeFilter(Filter):
    """Drops short and long texts."""

    op: Literal["size_filter"] = "size_filter"
    min_size: int = threshold(1, ge=0, le=1_000_000, description="Smallest.")
    max_size: int = threshold(1_000_000, ge=0, le=1_000_000, description="Largest.")

    def signals(self):
        return {"size": pl.col("text").str.len_chars()}

    def rules(self):
        return {"small": pl.col("size") < self.min_size, "large": pl.col("size") > self.max_size}


class Upper(TextTransform):
    """Writes in capitals."""

    op: Literal["upper"] = "upper"
    column: str | None = Field(None, max_length=100, description="A column that must be there.")
    writes_column: str | None = Field(None, max_length=100, description="A column it brings.")

    def reads(self):
        return {"text", self.column} if self.column else {"text"}

    def writes(self):
        return {self.writes_column} if self.writes_column else set()

    def rewrite(self, text):
        return text.str.to_uppercase()


class ToChat(TextTransform):
    """Makes conversations of documents."""

    op: Literal["to_chat"] = "to_chat"

    def writes(self):
        return {"messages"}

    def rewrite(self, text):
        return text


class Heavy(TextTransform):
    """Needs a package that nobody has."""

    op: Literal["heavy"] = "heavy"

    def requires(self) -> Mapping[str, str]:
        return {"a_module_that_does_not_exist.sub": "a-package[heavy]"}

    def rewrite(self, text):
        return text


class Reader(TextTransform):
    """Reads a file beside the rows."""

    op: Literal["reader"] = "reader"
    file: str = Field(description="The file.")

    def files(self):
        return (self.file,)

    def rewrite(self, text):
        return text


class Guard(Filter):
    """Guards every task."""

    op: Literal["guard"] = "guard"
    guards_task = True
    benchmark: BenchmarkFile | None = Field(None, description="The test items.")

    def for_task(self, task):
        return self.model_copy(update={"benchmark": task.benchmark})

    def files(self):
        return (self.benchmark.path,) if isinstance(self.benchmark, BenchmarkFile) else ()

    def signals(self):
        return {"guarded": pl.col("text").str.len_chars()}

    def rules(self):
        return {"contaminated": pl.col("guarded") < 0}


class Sorter(CorpusOperator):
    """Looks at the whole corpus."""

    op: Literal["sorter"] = "sorter"

    def summarize(self, batch):
        return batch.select("id")

    def resolve(self, summaries, context):
        return pl.DataFrame(schema={"id": pl.String, "reason": pl.String})


class Untouched(MixOperator):
    """Takes every row once."""

    def summarize(self, batch):
        return batch.select("id")

    def resolve(self, summaries, context):
        return pl.DataFrame(schema={"id": pl.String, "copies": pl.Int64})


class SharesMix(Untouched):
    """Mixes by weight."""

    op: Literal["shares_mix"] = "shares_mix"
    weights: dict[str, float] = source_weights(description="Weights.")
    budget: Budget | None = Field(None, description="The size.")

    def check(self, context) -> Iterable[tuple[str, str, str]]:
        most = [context.sources[name] for name in self.weights if name in context.sources]
        if (
            self.budget
            and self.budget.tokens
            and None not in most
            and sum(most) < self.budget.tokens
        ):
            yield "budget.tokens", f"the sources hold {sum(most)} tokens at most", "ask for less"


class EvenMix(Untouched):
    """Mixes evenly."""

    op: Literal["even_mix"] = "even_mix"


@hookimpl
def datachef_operators():
    return [SizeFilter, Upper, ToChat, Heavy, Reader, Guard, Sorter, SharesMix, EvenMix]


@hookimpl
def datachef_recipe_rules(recipe):
    if recipe.name == "crash":
        raise KeyError("crashed")
    return (
        [Problem("team_rule", "we do not like 13", "seed", "take 14")] if recipe.seed == 13 else []
    )
