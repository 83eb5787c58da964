"""Trained policies beside searches: the same tasks, the same space, the same count of reward calls.

Each run is a line in RUNS.jsonl: the values of all recipes that it wrote, of those that the reward
was called for, the best recipe, and the seconds. A recipe that comes again is known, and no call:
searches draw another instead, a policy learns from it once more. So a search ends after `--calls`,
and a policy after `--recipes`.

What is there already is not run again. `report.py` makes the tables of it. Several at a time work
on different `--names`, each with POLARS_MAX_THREADS=1 and OMP_NUM_THREADS=1.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import orjson

from datachef.core.contracts.reward import Reward
from datachef.core.errors import DatachefError
from datachef.core.registry.factories import build_reward
from datachef.core.registry.host import Host
from datachef.policy.model import policy_model
from datachef.policy.scored_recipes import RecipeTask, ScoreTracker, recipe_key
from datachef.policy.search import SEARCHES, run_search
from datachef.policy.settings import GrammarLimits, RewardChoice, TaskAndPool, TrainSettings

LIMITS = GrammarLimits(source_steps=2, corpus_steps=1, values=3)
RECIPES = 16
ROWS = 1_000
LEARNING_RATE = 2e-3
ENTROPY = 0.001


@dataclass(frozen=True)
class Run:
    """A method on a task with a seed."""

    task: str
    method: str
    seed: int


class Bench:
    """Everything that runs on one task share."""

    def __init__(self, folder: Path, history: Path, cache: Path) -> None:
        self._task, self._pool = folder / "task.yaml", folder / "pool.yaml"
        self._cache = cache
        self._host = Host()
        self._choice = RewardChoice(options={"history": str(history.absolute()), "rows": ROWS})
        self._recipe_task = RecipeTask.load(self._host, self._task, self._pool, LIMITS)

    def run(self, run: Run, calls: int, recipes: int) -> dict[str, Any]:
        """The line of a run."""
        reward = self._reward()
        tracker = ScoreTracker(reward, self._pool.parent)
        started = time.monotonic()
        if run.method in SEARCHES:
            run_search(SEARCHES[run.method](self._recipe_task.space, run.seed), tracker, calls)
        else:
            self._train(run, tracker, recipes)
        seconds = time.monotonic() - started
        reward.close()
        best = tracker.best
        # The second time a recipe comes it is known, and keeps its place.
        called = {recipe_key(each.recipe): each.score.value for each in tracker.scored}
        return {
            "task": run.task, "method": run.method, "seed": run.seed,
            "seconds": seconds, "operators": len(self._recipe_task.space.operators),
            "values": [round(each.score.value, 6) for each in tracker.scored],
            "called": [round(value, 6) for value in called.values()],
            "best": {"recipe": best.recipe, "value": best.score.value},
        }  # fmt: skip

    def _reward(self) -> Reward:
        config = self._choice.config(
            self._task, self._pool, folder=self._pool.parent, cache=self._cache,
            plugin_files=self._host.files, seed=0,
        )  # fmt: skip
        return build_reward(self._host, self._choice.name, config)

    def _train(self, run: Run, tracker: ScoreTracker, recipes: int) -> None:
        from datachef.policy.training.train import train

        model = policy_model("tiny", [self._recipe_task], self._cache, run.seed)
        with TemporaryDirectory() as folder:
            settings = TrainSettings(
                tasks=(TaskAndPool(task=self._task, pool=self._pool),),
                output=Path(folder) / "run",
                algorithm=run.method,
                steps=recipes // RECIPES,
                recipes_per_step=RECIPES,
                recipes_per_prompt=RECIPES,
                batch=RECIPES,
                learning_rate=LEARNING_RATE,
                entropy=0 if run.method == "rloo" else ENTROPY,
                limits=LIMITS,
                save_steps=10_000,
                seed=run.seed,
            )
            train(settings, [self._recipe_task], [tracker], model)


def chosen(tasks: Sequence[str], methods: Sequence[str], seeds: int) -> list[Run]:
    """Every method with every seed on every task; the sources as they are know no chance."""
    return [
        Run(task, method, seed)
        for seed in range(seeds)
        for method in methods
        for task in tasks
        if not seed or method != "sources"
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tasks", type=Path, required=True, help="a folder per task, by tasks.py")
    parser.add_argument("--history", type=Path, required=True, help="what the proxy is fitted to")
    parser.add_argument("--runs", type=Path, required=True, help="RUNS.jsonl")
    parser.add_argument("--cache", type=Path, required=True)
    parser.add_argument("--names", default="", help="names of tasks with commas between; or all")
    parser.add_argument(
        "--methods", default="sources,random,tpe,evolution,grpo,rloo,ppo", help="commas between"
    )
    parser.add_argument("--calls", type=int, default=480, help="reward calls of a search")
    parser.add_argument("--recipes", type=int, default=1_440, help="recipes a policy learns from")
    parser.add_argument("--seeds", type=int, default=3, help="runs of each method on each task")
    options = parser.parse_args()
    names = options.names.split(",") if options.names else sorted(
        path.name for path in options.tasks.iterdir() if (path / "task.yaml").exists()
    )  # fmt: skip
    benches: dict[str, Bench] = {}
    for run in chosen(names, options.methods.split(","), options.seeds):
        if run in _done(options.runs):
            continue
        if run.task not in benches:
            benches[run.task] = Bench(options.tasks / run.task, options.history, options.cache)
        line = benches[run.task].run(run, options.calls, options.recipes)
        with options.runs.open("ab") as stream:
            stream.write(orjson.dumps(line) + b"\n")
        print(
            f"{run.task} {run.method} {run.seed}: {len(line['called'])} calls, best "
            f"{line['best']['value']:.4f}, {line['seconds']:.0f} s",
            flush=True,
        )


def _done(path: Path) -> set[Run]:
    if not path.exists():
        return set()
    rows = [orjson.loads(line) for line in path.read_bytes().splitlines()]
    return {Run(row["task"], row["method"], row["seed"]) for row in rows}


if __name__ == "__main__":
    try:
        main()
    except DatachefError as error:
        sys.exit(f"{error}\n{error.hint}".strip())
