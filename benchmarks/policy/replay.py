"""What `chef evolve` would have measured and chosen, replayed on measurements that are there.

The recipes of a task in the history take the place of all recipes: measuring one is looking it up.
Each method measures equally many, and its regret is the best mean score of the task less that of
the recipe it ends with:

- evolve: what people try first (single sources by the prior, all of them, random ones that spread
  out), then two at a time by the proxy if it ranks what was held out, else by the prior; the best
  of all that was measured.
- random first: the same from random recipes, climbing the proxy whatever it is worth, and choosing
  among what the proxy proposed.
- tpe: Optuna's TPE over the shares of the sources, each proposal being the nearest recipe.
- random: the best of random recipes. source: the single source that the prior values most.

    python benchmarks/policy/replay.py benchmarks/results/reward/history.parquet
"""

from __future__ import annotations

import argparse
import math
import random
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

import numpy as np
import optuna

from datachef.core import document
from datachef.core.contracts.reward import Score
from datachef.policy.scored_recipes import ScoredRecipe
from datachef.policy.search.first_recipes import in_turn
from datachef.reward.history import read_parquet
from datachef.reward.measurement import MeasurementRecord
from datachef.reward.proxy import Proxy, cross_validate
from datachef.reward.proxy.encoding import SHARE
from datachef.reward.proxy.fit import LEARNED_FEATURES, feature_table
from datachef.reward.proxy.proxy import prior_prediction

FIRST, ROUNDS, PER_ROUND, DRAWS = 8, 2, 2, 10
BUDGET = FIRST + ROUNDS * PER_ROUND


@dataclass(frozen=True)
class Recipe:
    """A measured recipe: its first measurement, its mean score, and what the prior says of it."""

    record: MeasurementRecord
    score: float
    prior: float


class Table:
    """The measured recipes of one task, by name."""

    def __init__(self, records: Sequence[MeasurementRecord]) -> None:
        seeds: defaultdict[str, list[MeasurementRecord]] = defaultdict(list)
        for record in records:
            seeds[record.recipe_name].append(record)
        self.recipes = {
            name: Recipe(
                found[0],
                fmean(one.score for one in found),
                prior_prediction(
                    {n: math.nan if v is None else v for n, v in found[0].features.items()}
                ).value,
            )
            for name, found in seeds.items()
        }
        self.best = max(one.score for one in self.recipes.values())

    def regret(self, names: Sequence[str]) -> float:
        return self.best - max(self.recipes[name].score for name in names)

    def by_prior(self, names: Sequence[str]) -> list[str]:
        return sorted(names, key=lambda name: -self.recipes[name].prior)

    def by_proxy(self, known: Sequence[str], names: Sequence[str], seed: int) -> list[str]:
        records = [self.recipes[name].record for name in (*known, *names)]
        features, scores = feature_table(records), [self.recipes[name].score for name in known]
        proxy = Proxy.fit(features[: len(known)], np.array(scores), seed=seed)
        found = proxy.predict(features[len(known) :])
        values = {n: p.value - p.uncertainty for n, p in zip(names, found, strict=True)}
        return sorted(names, key=lambda name: -values[name])

    def ranks_held_out(self, known: Sequence[str], seed: int) -> bool:
        records = [self.recipes[name].record for name in known]
        scores = np.array([self.recipes[name].score for name in known])
        found = cross_validate(
            feature_table(records), scores, known, ["task"] * len(known), seed=seed, by=("recipe",)
        ).by_recipe
        return found is not None and found.rank_correlation.low > 0


def evolve(table: Table, seed: int) -> float:
    def scored(name: str) -> ScoredRecipe:
        one = table.recipes[name]
        features = {
            n: v
            for n, v in one.record.features.items()
            if v is not None and n.startswith(LEARNED_FEATURES)
        }
        return ScoredRecipe(
            {**document.parse(one.record.recipe).data, "name": name},
            Score(one.prior, features=features),
        )

    def kind(beginning: str) -> list[ScoredRecipe]:
        names = [name for name in table.recipes if name.startswith(beginning)]
        return [scored(name) for name in table.by_prior(names)]

    kinds = {"alone": kind("only-"), "together": kind("all"), "spread": kind("random-")}
    known = [each.recipe["name"] for each in in_turn((), kinds)][:FIRST]
    for _ in range(ROUNDS):
        left = [name for name in table.recipes if name not in known]
        climb = table.ranks_held_out(known, seed)
        known += (table.by_proxy(known, left, seed) if climb else table.by_prior(left))[:PER_ROUND]
    return table.regret(known)


def random_first(table: Table, seed: int) -> float:
    names = [name for name in table.recipes if name.startswith("random-")]
    known = random.Random(seed).sample(names, min(FIRST, len(names)))
    proposed: list[str] = []
    for _ in range(ROUNDS):
        left = [name for name in table.recipes if name not in known]
        proposed += table.by_proxy(known, left, seed)[:PER_ROUND]
        known += proposed[-PER_ROUND:]
    return table.regret(proposed)


def tpe(table: Table, seed: int) -> float:
    sources = sorted(
        {n for one in table.recipes.values() for n in one.record.features if n.startswith(SHARE)}
    )
    points = {
        name: np.array([one.record.features.get(n) or 0.0 for n in sources])
        for name, one in table.recipes.items()
    }
    study = optuna.create_study(
        direction="maximize", sampler=optuna.samplers.TPESampler(seed=seed, n_startup_trials=FIRST)
    )
    known: list[str] = []
    while len(known) < BUDGET:
        trial = study.ask()
        asked = np.array([trial.suggest_float(name, 0, 1) for name in sources])
        asked /= asked.sum()
        left = [name for name in points if name not in known]
        known.append(min(left, key=lambda name: float(np.linalg.norm(points[name] - asked))))
        study.tell(trial, table.recipes[known[-1]].score)
    return table.regret(known)


def at_random(table: Table, seed: int) -> float:
    return table.regret(random.Random(seed).sample(sorted(table.recipes), BUDGET))


def source(table: Table, seed: int) -> float:
    names = [name for name in table.recipes if name.startswith("only-")]
    return table.regret(table.by_prior(names)[:1])


METHODS: Mapping[str, Callable[[Table, int], float]] = {
    "evolve": evolve, "random first": random_first, "tpe": tpe, "random": at_random,
    "source": source,
}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("history", type=Path, help="a Parquet file of chef history export")
    parser.add_argument("--draws", type=int, default=DRAWS, help="seeds of the methods that draw")
    options = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    tasks: defaultdict[str, list[MeasurementRecord]] = defaultdict(list)
    for record in read_parquet(options.history):
        tasks[record.task].append(record)
    print(f"| task | recipes | best | {' | '.join(METHODS)} |")
    print(f"|---|--:|--:|{'--:|' * len(METHODS)}")
    mean: defaultdict[str, list[float]] = defaultdict(list)
    for task, records in sorted(tasks.items()):
        table = Table(records)
        cells = []
        for name, method in METHODS.items():
            draws = 1 if name in ("evolve", "source") else options.draws
            regret = fmean(method(table, seed) for seed in range(draws))
            mean[name].append(regret / (table.best or 1.0))
            cells.append(f"{regret:.4f}")
        print(f"| {task} | {len(table.recipes)} | {table.best:.4f} | {' | '.join(cells)} |")
    relative = " | ".join(f"{fmean(mean[name]):.1%}" for name in METHODS)
    print(f"| mean, of the best | | | {relative} |")


if __name__ == "__main__":
    main()
