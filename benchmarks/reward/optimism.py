"""The exam for optimism: what the proxy itself finds best is really measured.

    python benchmarks/reward/optimism.py --history benchmarks/results/reward/history.parquet \\
        --data DIR --work DIR --tasks a,b --output benchmarks/results/reward/optimism.parquet

For each task a search climbs the proxy that the history teaches, and the best different recipes
that it finds are measured. An optimiser finds the errors of a proxy first: the question is whether
their measurements lie within the intervals. What is measured here teaches no proxy. `--work` may be
the folder of the campaign, whose caches and base models it uses then.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from concurrent.futures import as_completed
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import polars as pl
from measure import RUNNING
from tasks import POOL, write_task

from datachef.core import DatachefError, Host, RewardConfig, document
from datachef.core.system.child_process import ProcessPool
from datachef.policy.scored_recipes import RecipeTask, ScoredRecipe, ScoreTracker, best_different
from datachef.policy.search import SEARCHES, run_search
from datachef.policy.settings import GrammarLimits
from datachef.reward.evaluation import EvaluationSettings, Training
from datachef.reward.evaluation.evaluator import Evaluator
from datachef.reward.history import History
from datachef.reward.proxy.fit import comparable_measurements
from datachef.reward.scorer import RecipeReward

# As in the examples of policies: larger recipes take longer to score, and are no better.
LIMITS = GrammarLimits(source_steps=2, corpus_steps=1)
SEARCH = "evolution"


@dataclass(frozen=True)
class Exam:
    """What the processes share: the recipes that taught the proxy had at most `tokens` tokens."""

    history: Path
    data: Path
    work: Path
    encoder: str | None
    tokens: int
    calls: int
    recipes: int
    seed: int


def examined(task: str, exam: Exam) -> list[dict[str, object]]:
    """A row for each of the best recipes of a task: what was predicted, and what was measured."""
    host, history = Host(), History(exam.history)
    folder = exam.work / "tasks" / task
    described = document.read(write_task(exam.data, task, folder)).data
    bounded = folder / "bounded.yaml"
    bounded.write_text(document.dump({**described, "budget": {"tokens": exam.tokens}}))
    options = {"history": str(exam.history), "encoder": exam.encoder}
    config = RewardConfig(
        bounded, folder / POOL, folder, exam.work / "cache" / task, options=options
    )
    reward = RecipeReward(config, host)
    measuring = RecipeReward(replace(config, pool=None), host)
    space = RecipeTask.load(host, bounded, folder / POOL, LIMITS)
    tracker = ScoreTracker(reward, folder)
    run_search(SEARCHES[SEARCH](space.space, exam.seed), tracker, exam.calls)
    passed = [each for each in tracker.scored if not each.score.gate]
    known = comparable_measurements([m for m in history.measurements() if m.task == task])
    way = known[0].training
    settings = EvaluationSettings(
        base_model=known[0].base_model,
        items=way["items"] or 0,
        training=Training(**{name: way[name] for name in Training.model_fields}),
        accuracy=False,
    )
    best_known = max(measured.score for measured in known)
    return [
        {"task": task, "best_known": best_known, **row}
        for row in measured(
            best_different(passed, exam.recipes), space, measuring, host, settings, folder, exam
        )
    ]


def measured(
    best: list[ScoredRecipe],
    task: RecipeTask,
    reward: RecipeReward,
    host: Host,
    settings: EvaluationSettings,
    folder: Path,
    exam: Exam,
) -> Iterator[dict[str, object]]:
    """The predictions of recipes beside their measurements."""
    with TemporaryDirectory(dir=exam.work, prefix=RUNNING) as scratch:
        history = History(Path(scratch) / "history.sqlite")
        evaluator = Evaluator(reward, host, history, settings, Path(scratch))
        for number, each in enumerate(best, start=1):
            name = f"proposed-{number}"
            file = folder / f"{name}.yaml"
            file.write_text(document.dump(task.runnable(each.recipe, name, folder)))
            found = evaluator.measure(file, [exam.seed])[0]
            low, high = each.score.interval
            yield {
                "recipe": found.recipe,
                "predicted": each.score.predicted,
                "low": low,
                "high": high,
                "off_support": each.score.off_support,
                "measured": found.score,
            }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--history", type=Path, required=True, help="a Parquet file")
    parser.add_argument("--data", type=Path, required=True, help="folder with tasks.json")
    parser.add_argument("--work", type=Path, required=True, help="for tasks, caches and models")
    parser.add_argument("--tasks", required=True, type=lambda text: text.split(","))
    parser.add_argument("--output", type=Path, required=True, help="a Parquet file")
    parser.add_argument("--encoder", help="asset for features of meaning, such as minilm")
    parser.add_argument("--tokens", type=int, default=60_000, help="the largest corpus")
    parser.add_argument("--calls", type=int, default=400, help="reward calls of the search")
    parser.add_argument("--recipes", type=int, default=3, help="recipes to measure per task")
    parser.add_argument("--jobs", type=int, default=1, help="processes")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    with TemporaryDirectory(dir=options.work) as scratch:
        history = History(Path(scratch) / "history.sqlite")
        history.import_(options.history)
        exam = Exam(
            history.path,
            options.data.resolve(),
            options.work.resolve(),
            options.encoder,
            options.tokens,
            options.calls,
            options.recipes,
            options.seed,
        )
        table = pl.DataFrame()
        with ProcessPool(options.jobs) as pool:
            running = [pool.submit(examined, task, exam) for task in options.tasks]
            for found in as_completed(running):
                table = pl.concat([table, pl.DataFrame(found.result())], how="diagonal")
                table.write_parquet(options.output)
                print(f"{table['task'][-1]} is measured", file=sys.stderr, flush=True)
    with pl.Config(tbl_rows=-1):
        print(table.drop("recipe"))
    inside = (table["measured"] >= table["low"]) & (table["measured"] <= table["high"])
    print(f"{inside.sum()} of {len(inside)} inside their intervals")


if __name__ == "__main__":
    try:
        main()
    except DatachefError as error:
        sys.exit(f"{error}\n{error.hint}".strip())
