"""Runs recipes on a fixed sample of each source, which is drawn once and kept as a file."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import polars as pl

from datachef.core.contracts.corpus import CorpusOperator, Size
from datachef.core.contracts.engine import WorkerConfig
from datachef.core.contracts.operator import Operator
from datachef.core.contracts.recipe import Recipe, Rejects
from datachef.core.contracts.row_selection import lowest, sampling_priority
from datachef.core.contracts.source import Source
from datachef.core.errors import NO_ANSWER, UnavailableError
from datachef.core.language_models.tokens import TokenCounter
from datachef.core.recipe.checked import CheckedRecipe, corpus_steps, reference_sources
from datachef.core.registry.host import Host
from datachef.core.registry.promises import ask
from datachef.core.rows.columns import concat
from datachef.core.rows.inspection import SourceInfo, SourceInspector, SourceSample
from datachef.core.run.executor import InlineEngine
from datachef.core.run.ledger import Entry, Ledger
from datachef.core.run.memory_store import MemoryStore
from datachef.core.run.plan import Plan, Planner
from datachef.core.run.runner import Runner
from datachef.core.run.sampling import on_samples
from datachef.core.run.source_samples import SampleStore
from datachef.core.run.stage import PartitionWork

# Results of earlier recipes that stay in memory.
KEPT_BYTES = 2 * 10**9
# Of the rows that reach a step, the share that a server may leave without an answer.
MOST_UNANSWERED = 0.1


@dataclass(frozen=True)
class SampledSource:
    """One source of a recipe, represented by its sample.

    `read` are the rows of the sample, `size` is what the whole source holds where the mix begins,
    and `epochs` how often the mix takes each row of it.
    """

    sample: SourceSample
    read: pl.DataFrame
    size: Size
    epochs: float
    licence: str


@dataclass(frozen=True)
class SampledCorpus:
    """The result of a recipe on the samples of its sources.

    `rows` have `id`, `source`, `text`, `tokens`, `messages` where they are conversations, whatever
    else the steps left, and `weight`: how many rows of the whole corpus a row stands for.
    """

    recipe: Recipe
    schema: str
    sources: Mapping[str, SampledSource]
    rows: pl.DataFrame
    ledger: Ledger

    def unique_weights(self) -> pl.Series:
        """How many different rows of the whole corpus each row stands for."""
        epochs = {name: max(source.epochs, 1.0) for name, source in self.sources.items()}
        repeated = pl.col("source").replace_strict(epochs, return_dtype=pl.Float64)
        return self.rows.select(pl.col("weight") / repeated)["weight"]

    def thinned(self) -> SampledCorpus:
        """The corpus with no more different rows of a source than the whole one has.

        A mix may take ten rows of a source of which two thousand were sampled: how much ten rows
        repeat and cover, two thousand do not tell. So as many are drawn by a hash of their ids, and
        stand for all.
        """
        if not self.rows.height:
            return self
        source, weight = self.rows["source"].to_numpy(), self.rows["weight"].to_numpy().copy()
        unique = self.unique_weights().to_numpy()
        priority = sampling_priority(self.rows["id"], 0).to_numpy()
        taken = np.zeros(len(weight), np.bool_)
        for name in np.unique(source):
            own = np.flatnonzero(source == name)
            drawn = own[lowest(priority[own], max(round(unique[own].sum()), 1))]
            taken[drawn] = True
            weight[drawn] *= weight[own].sum() / weight[drawn].sum()
        rows = self.rows.with_columns(pl.Series("weight", weight))
        return replace(self, rows=rows.filter(pl.Series(taken)))


class SampledRunner:
    """Runs recipes on samples of `rows` rows per source, in this process.

    Uses the ordinary planner, and keeps results in memory: recipes that share a source with its
    steps share the work. Mixing costs nothing: rows are weighted instead of repeated.
    """

    def __init__(self, host: Host, cache: Path, rows: int, seed: int = 0) -> None:
        self._host = host
        self._sample_store = SampleStore(cache / "samples", rows, seed)
        self._store = MemoryStore()
        self._engine = InlineEngine(WorkerConfig(host.files, cache), store=self._store)
        self._inspector = SourceInspector()

    def inspect(self, source: Source) -> SourceInfo:
        """What is known of a source before it is read whole; each source is inspected once."""
        return self._inspector.inspect(source)

    def sample(self, found: SourceInfo) -> SourceSample:
        """The sample of a source. Raises `SourceError` where it holds no row that fits."""
        return self._sample_store.sample(found)

    def run(self, checked: CheckedRecipe) -> SampledCorpus:
        """The sampled corpus of a recipe.

        Raises `RunError` where the recipe does not run on the sample, `UnavailableError` where too
        many rows got no answer of a server, and `SourceError` where a source has no rows.
        """
        self._store.trim(KEPT_BYTES)
        recipe = checked.recipe
        shares = ask(recipe.mix, "shares") if recipe.mix is not None else None
        references = reference_sources(checked)
        taken = [name for name in checked.sources if not shares or shares.get(name, 0) > 0]
        names = [name for name in taken if name not in references]
        samples = {name: self.sample(checked.source_info[name]) for name in (*references, *names)}
        sampled = on_samples(checked, samples, self._inspector, self._host.vocabulary)
        sampled = replace(sampled, recipe=_unmixed(recipe, recipe.steps))
        factor = 1.0
        if any(step.scaled(0.5) != step for step in recipe.steps):
            factor = self._factor(sampled, samples, recipe)
            steps = tuple(step.scaled(factor) for step in recipe.steps)
            sampled = replace(sampled, recipe=_unmixed(recipe, steps))
        plan, runner = self._execute(sampled)
        epochs, sizes = self._mixed(plan, samples, recipe)
        if any(
            _removes_copies(step.operator) for step in corpus_steps(sampled, self._host.vocabulary)
        ):
            epochs = {name: min(number, 1.0) for name, number in epochs.items()}
        sampled_sources = {
            name: SampledSource(
                samples[name],
                self._together(plan.read[name]),
                sizes[name],
                epochs[name],
                checked.sources[name].licence,
            )
            for name in names
        }
        weights = {name: epochs[name] / samples[name].rate for name in names}
        rows = self._together(plan.final)
        if rows.width:
            weight = pl.col("source").replace_strict(weights, return_dtype=pl.Float64)
            tokens = TokenCounter(*plan.counting).count_rows(rows).alias("tokens")
            rows = rows.with_columns(weight.alias("weight"), tokens).filter(pl.col("weight") > 0)
        return SampledCorpus(recipe, plan.schema, sampled_sources, rows, runner.ledger())

    def _together(self, tasks: Sequence[PartitionWork]) -> pl.DataFrame:
        """All rows of the partitions, in the order of the data."""
        frames = [frame for task in tasks if (frame := self._store.rows(task.key)).width]
        return concat(frames) if frames else pl.DataFrame()

    def _execute(self, sampled: CheckedRecipe) -> tuple[Plan, Runner]:
        plan = Planner(sampled, self._host).plan(layered=True)
        runner = Runner(sampled, plan, self._host, self._engine, self._store)
        runner.execute()
        refuse_unanswered(runner.ledger())
        return plan, runner

    def _factor(
        self, sampled: CheckedRecipe, samples: Mapping[str, SourceSample], recipe: Recipe
    ) -> float:
        """The size of the sample relative to the whole corpus, where the corpus steps begin."""
        before = replace(sampled, recipe=_unmixed(recipe, ()))
        plan, _ = self._execute(before)
        epochs, sizes = self._mixed(plan, samples, recipe)
        whole = sum(sizes[name].rows * epochs[name] for name in sizes)
        sampled_rows = sum(
            sizes[name].rows * samples[name].rate for name in sizes if epochs[name] > 0
        )
        return min(sampled_rows / whole, 1.0) if whole else 1.0

    def _mixed(
        self, plan: Plan, samples: Mapping[str, SourceSample], recipe: Recipe
    ) -> tuple[dict[str, float], dict[str, Size]]:
        """How often the mix takes each source, and what each holds where the mix begins."""
        counter = TokenCounter(*plan.counting)
        sizes = {}
        for name, tasks in plan.prepared.items():
            rows = self._together(tasks)
            tokens = int(counter.count_rows(rows).sum()) if rows.width else 0
            rate = samples[name].rate
            sizes[name] = Size(rows.height / rate, tokens / rate)
        if recipe.mix is None:
            return dict.fromkeys(sizes, 1.0), sizes
        return dict(ask(recipe.mix, "epochs", sizes)), sizes


def refuse_unanswered(entries: Iterable[Entry]) -> None:
    """Raises `UnavailableError` where more rows failed at a step because no server answered, also
    where `max_failed` allows it: without them the corpus is another."""
    for entry in entries:
        unanswered = entry.failed[NO_ANSWER]
        if unanswered > MOST_UNANSWERED * entry.rows_in:
            raise UnavailableError(
                f"{entry.path} ({entry.op}): the server left {unanswered:,} of {entry.rows_in:,} "
                "rows without an answer, which says nothing of the recipe",
                "try again when it answers; what was answered is kept",
            )


def _unmixed(recipe: Recipe, steps: tuple[Operator, ...]) -> Recipe:
    """The recipe with other corpus steps, without its mix, and without rejected rows to look at."""
    changes = {"mix": None, "steps": steps, "rejects": Rejects(keep="none")}
    return recipe.model_copy(update=changes)


def _removes_copies(operator: object) -> bool:
    return isinstance(operator, CorpusOperator) and operator.removes_copies
