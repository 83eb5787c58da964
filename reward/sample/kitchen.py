"""Runs a recipe on the samples of its sources, and tells what a row of the sample stands for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import polars as pl

from datachef.core.contracts.corpus import CorpusOperator, Size
from datachef.core.contracts.engine import WorkerConfig
from datachef.core.contracts.operator import Operator
from datachef.core.contracts.recipe import Recipe, Rejects
from datachef.core.contracts.source import Source
from datachef.core.language_models.tokens import TokenCounter
from datachef.core.recipe.flow import corpus_steps
from datachef.core.recipe.resolving import Loaded
from datachef.core.registry.host import Host
from datachef.core.registry.promises import ask
from datachef.core.rows.columns import concat
from datachef.core.rows.inspection import SourceInfo, SourceInspector
from datachef.core.run.inline import InlineEngine
from datachef.core.run.ledger import Ledger
from datachef.core.run.plan import Plan, Planner
from datachef.core.run.runner import Runner
from datachef.core.run.stage import PartitionTask
from datachef.core.run.store import MemoryStore
from datachef.reward.sample.pantry import Pantry, Stock
from datachef.reward.unanswered import refuse_unanswered

ROWS = 2000
KEPT_BYTES = 2 * 10**9


@dataclass(frozen=True)
class SampledSource:
    """One source of a recipe, seen through its sample.

    `read` are the rows of the sample, `rate` is the share of the source that it is, `size` what
    the whole source holds where the mix begins, and `epochs` how often that takes each row of it.
    """

    stock: Stock
    read: pl.DataFrame
    size: Size
    epochs: float
    licence: str


@dataclass(frozen=True)
class SampledCorpus:
    """What a recipe makes of the samples of its sources.

    `rows` have `id`, `source`, `text`, `tokens`, `messages` where they are conversations, whatever
    else the steps left, and `weight`: how many rows of the whole corpus a row stands for.
    """

    recipe: Recipe
    schema: str
    sources: Mapping[str, SampledSource]
    rows: pl.DataFrame
    ledger: Ledger


class SampleKitchen:
    """Cooks recipes on samples of `rows` rows per source, in this process.

    Uses the ordinary planner, and keeps results in memory: recipes that have a source with its
    steps in common share the work. Mixing costs nothing: rows are weighed instead of repeated.
    """

    def __init__(self, host: Host, cache: Path, rows: int = ROWS, seed: int = 0) -> None:
        self._host = host
        self._pantry = Pantry(cache / "samples", rows, seed)
        self._store = MemoryStore()
        self._engine = InlineEngine(WorkerConfig(host.files, cache), store=self._store)
        self._surveyor = SourceInspector()

    def look(self, source: Source) -> SourceInfo:
        """The survey of a source, from memory where it was seen before by this kitchen."""
        return self._surveyor.look(source)

    def stock(self, found: SourceInfo) -> Stock:
        """The sample of a source. Raises `SourceError` where it holds no row that fits."""
        return self._pantry.stock(found)

    def cook(self, loaded: Loaded, surveys: Mapping[str, SourceInfo]) -> SampledCorpus:
        """The sample of a corpus, of a recipe that passed the check.

        Raises `RunError` where the recipe does not run on the sample, `UnavailableError` where too
        many rows got no answer of a server, and `SourceError` where a source has no rows.
        """
        self._store.trim(KEPT_BYTES)
        recipe = loaded.recipe
        assert recipe is not None
        shares = ask(recipe.mix, "shares") if recipe.mix is not None else None
        names = [name for name in loaded.sources if not shares or shares.get(name, 0) > 0]
        stocks = {name: self.stock(surveys[name]) for name in names}
        sampled = replace(
            loaded,
            recipe=_unmixed(recipe, recipe.steps),
            sources={name: self._sampled(surveys[name], stocks[name]) for name in names},
        )
        factor = 1.0
        if any(step.scaled(0.5) != step for step in recipe.steps):
            factor = self._factor(sampled, stocks, recipe)
            steps = tuple(step.scaled(factor) for step in recipe.steps)
            sampled.recipe = _unmixed(recipe, steps)
        plan, runner = self._run(sampled)
        epochs, sizes = self._mixed(plan, stocks, recipe)
        if any(
            _removes_copies(step.operator) for step in corpus_steps(sampled, self._host.vocabulary)
        ):
            epochs = {name: min(number, 1.0) for name, number in epochs.items()}
        sources = {
            name: SampledSource(
                stocks[name],
                self._together(plan.read[name]),
                sizes[name],
                epochs[name],
                loaded.sources[name].licence,
            )
            for name in names
        }
        weights = {name: epochs[name] / stocks[name].rate for name in names}
        rows = self._together(plan.final)
        if rows.width:
            weight = pl.col("source").replace_strict(weights, return_dtype=pl.Float64)
            tokens = TokenCounter(*plan.counting).count_rows(rows).alias("tokens")
            rows = rows.with_columns(weight.alias("weight"), tokens).filter(pl.col("weight") > 0)
        return SampledCorpus(recipe, plan.schema, sources, rows, runner.ledger())

    def _together(self, tasks: Sequence[PartitionTask]) -> pl.DataFrame:
        """All rows of the partitions, in the order of the data."""
        frames = [frame for task in tasks if (frame := self._store.rows(task.key)).width]
        return concat(frames) if frames else pl.DataFrame()

    def _sampled(self, found: SourceInfo, stock: Stock) -> Source:
        """The file with the sample in the place of the source, its steps scaled to it."""
        data = {"path": stock.path, "format": found.format.model_dump(mode="json")}
        source = self._host.vocabulary.source("path", data)
        steps = tuple(step.scaled(stock.rate) for step in found.source.steps)
        max_failed = max(found.source.max_failed, stock.failed)
        return source.model_copy(update={"steps": steps, "max_failed": max_failed})

    def _run(self, sampled: Loaded) -> tuple[Plan, Runner]:
        surveys = {name: self.look(source) for name, source in sampled.sources.items()}
        plan = Planner(sampled, surveys, self._host.vocabulary).plan(layered=True)
        runner = Runner(sampled, plan, self._host, self._engine, self._store)
        runner.cook()
        refuse_unanswered(runner.ledger())
        return plan, runner

    def _factor(self, sampled: Loaded, stocks: Mapping[str, Stock], recipe: Recipe) -> float:
        """How large the sample is beside the whole corpus, where the corpus steps begin."""
        before = replace(sampled, recipe=_unmixed(recipe, ()))
        plan, _ = self._run(before)
        epochs, sizes = self._mixed(plan, stocks, recipe)
        whole = sum(sizes[name].rows * epochs[name] for name in sizes)
        sample = sum(sizes[name].rows * stocks[name].rate for name in sizes if epochs[name] > 0)
        return min(sample / whole, 1.0) if whole else 1.0

    def _mixed(
        self, plan: Plan, stocks: Mapping[str, Stock], recipe: Recipe
    ) -> tuple[dict[str, float], dict[str, Size]]:
        """How often the mix takes each source, and what each holds where the mix begins."""
        counter = TokenCounter(*plan.counting)
        sizes = {}
        for name, tasks in plan.prepared.items():
            rows = self._together(tasks)
            tokens = int(counter.count_rows(rows).sum()) if rows.width else 0
            rate = stocks[name].rate
            sizes[name] = Size(rows.height / rate, tokens / rate)
        if recipe.mix is None:
            return dict.fromkeys(sizes, 1.0), sizes
        return dict(ask(recipe.mix, "epochs", sizes)), sizes


def _unmixed(recipe: Recipe, steps: tuple[Operator, ...]) -> Recipe:
    """The recipe with other corpus steps, without its mix, and without rejected rows to look at."""
    changes = {"mix": None, "steps": steps, "rejects": Rejects(keep="none")}
    return recipe.model_copy(update=changes)


def _removes_copies(operator: object) -> bool:
    return isinstance(operator, CorpusOperator) and operator.removes_copies
