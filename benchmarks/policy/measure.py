"""What policies and searches found, beside the best single source and all sources: really measured.

The best recipes of some runs, of all policies or of a search, are measured with one seed, and the
best of them again with others, which are what is reported: nobody is judged by the seed that chose
it. The single source is the one that the history ranks highest.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from functools import cache, partial
from pathlib import Path
from statistics import fmean
from tempfile import TemporaryDirectory
from typing import Any

import orjson

from datachef.core import DatachefError, Host, RewardConfig, document
from datachef.core.system.child_process import ProcessPool
from datachef.policy.scored_recipes import recipe_key
from datachef.policy.search import SEARCHES, SourceBaselines
from datachef.policy.space import recipe_space
from datachef.reward.evaluation import EvaluationSettings, Training
from datachef.reward.evaluation.evaluator import Evaluator
from datachef.reward.history import History
from datachef.reward.measurement import MeasurementRecord
from datachef.reward.scorer import RecipeReward

CHOOSING = 0


def candidates(
    task: Path, runs: Path, history: History, searches: Sequence[str], most: int
) -> dict[str, list[Path]]:
    """Recipe files by kind: `policy`, each search, `single`, `all`; up to a number of each kind."""
    space = recipe_space(Host(), task / "pool.yaml", task / "task.yaml")
    kinds: dict[str, dict[bytes, dict[str, Any]]] = {
        kind: {} for kind in ("policy", *searches, "single", "all")
    }
    rows = [orjson.loads(line) for line in runs.read_bytes().splitlines()]
    for row in sorted(rows, key=lambda row: -row["best"]["value"]):
        kind = row["method"] if row["method"] in SEARCHES else "policy"
        if row["task"] == task.name and kind in kinds and len(kinds[kind]) < most:
            recipe = row["best"]["recipe"]
            kinds[kind].setdefault(recipe_key(recipe), recipe)
    ranked = [
        summary.first.recipe_name.removeprefix("only-")
        for summary in history.best(task.name, 1_000)
        if summary.first.recipe_name.startswith("only-")
    ]
    for recipe in SourceBaselines(space).ask(1_000):
        name = recipe["name"]
        if name == "all-by-size":
            kinds["all"][recipe_key(recipe)] = recipe
        elif name.removeprefix("only-") == ranked[0]:
            kinds["single"][recipe_key(recipe)] = recipe
    return {kind: _written(task, kind, list(found.values())) for kind, found in kinds.items()}


def _written(task: Path, kind: str, recipes: Sequence[dict[str, Any]]) -> list[Path]:
    paths = []
    for number, recipe in enumerate(recipes):
        path = task / f"{kind}-{number}.yaml"
        path.write_text(document.dump({**recipe, "name": f"{kind}-{number}"}), encoding="utf-8")
        paths.append(path)
    return paths


def measure(recipe: Path, seed: int, work: Path, tokens: int) -> MeasurementRecord:
    """One measurement, unless the history has it."""
    reward = _reward(recipe.parent, work)
    settings = EvaluationSettings(
        base_model="tiny", training=Training(max_tokens=tokens), items=200, accuracy=False
    )
    with TemporaryDirectory(dir=work) as folder:
        history = History(work / "measured.sqlite")
        evaluator = Evaluator(reward, Host(), history, settings, Path(folder))
        return evaluator.measure(recipe, [seed])[0]


@cache
def _reward(folder: Path, work: Path) -> RecipeReward:
    cache = work / "cache" / folder.name
    return RecipeReward(RewardConfig(folder / "task.yaml", folder / "pool.yaml", folder, cache))


def _measured(
    pool: ProcessPool, work: Path, tokens: int, paths: Sequence[Path], seeds: Sequence[int]
) -> dict[Path, list[MeasurementRecord]]:
    """Measures recipes with seeds, several at a time."""
    asked = [(p, pool.submit(measure, p, seed, work, tokens)) for p in paths for seed in seeds]
    found: dict[Path, list[MeasurementRecord]] = {}
    for path, future in asked:
        found.setdefault(path, []).append(future.result())
    return found


def _score(found: dict[Path, list[MeasurementRecord]], path: Path) -> float:
    return sum(measured.score for measured in found[path])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tasks", type=Path, required=True, help="a folder per task, by tasks.py")
    parser.add_argument("--names", required=True, type=lambda text: text.split(","))
    parser.add_argument("--runs", type=Path, required=True, help="RUNS.jsonl of learn.py")
    parser.add_argument("--history", type=Path, required=True, help="ranks the single sources")
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--output", type=Path, required=True, help="measurements as JSON lines")
    parser.add_argument("--searches", default="tpe", type=lambda text: text.split(","))
    parser.add_argument("--most", type=int, default=2, help="recipes of a kind to choose among")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--train-tokens", type=int, default=120_000)
    parser.add_argument("--jobs", type=int, default=2)
    options = parser.parse_args()
    work = options.work.absolute()
    work.mkdir(parents=True, exist_ok=True)
    with ProcessPool(options.jobs) as pool:
        for name in options.names:
            task = (options.tasks / name).absolute()
            kinds = candidates(
                task, options.runs, History(options.history), options.searches, options.most
            )
            ask = partial(_measured, pool, work, options.train_tokens)
            # The first measurement makes the base model, for which others would wait.
            ask(kinds["all"], [1])
            chosen = {}
            for kind, paths in kinds.items():
                first = ask(paths, [CHOOSING]) if len(paths) > 1 else {paths[0]: []}
                chosen[kind] = max(first, key=partial(_score, first))
            again = ask(list(chosen.values()), range(1, options.seeds + 1))
            for kind, path in chosen.items():
                measured = again[path]
                line = {
                    "task": name, "kind": kind, "recipe": document.read(path).data,
                    "candidates": len(kinds[kind]),
                    "bits_per_byte": [m.scores["bits_per_byte"] for m in measured],
                    "score": [m.score for m in measured],
                }  # fmt: skip
                with options.output.open("ab") as stream:
                    stream.write(orjson.dumps(line) + b"\n")
                mean = fmean(line["bits_per_byte"])
                print(f"{name} {kind}: {mean:.4f} bits per byte", flush=True)


if __name__ == "__main__":
    try:
        main()
    except DatachefError as error:
        sys.exit(f"{error}\n{error.hint}".strip())
