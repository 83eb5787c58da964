"""Recipes of an untrained policy: how many pass `chef check`, and how many run on the sample.

The whole vocabulary and no limits but the default ones. With `--plugin FILE` the operators of that
file are offered too.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from datachef.core import DatachefError, Host, RewardConfig
from datachef.core.document import Document
from datachef.core.recipe.checking import check_document
from datachef.core.rows.inspection import SourceInspector
from datachef.core.system.child_process import ProcessPool
from datachef.policy.decoding.local import LocalDecoder
from datachef.policy.model import policy_model
from datachef.policy.scored_recipes import RecipeTask
from datachef.policy.settings import GrammarLimits
from datachef.reward.scorer import RecipeReward

# Recipes that one process samples and tries at a time.
PORTION = 250


@dataclass(frozen=True)
class WorkerConfig:
    """Where everything is; `plugins` are files, and the first `run` recipes are run."""

    folder: Path
    cache: Path
    plugins: tuple[str, ...]
    rows: int
    run: int


def portion(setting: WorkerConfig, seed: int) -> Counter[str]:
    """What became of so many recipes: `checked`, `tried` to run, `ran`, and why others did not."""
    host, inspector, recipe_task, decoder, reward = _parts(setting)
    prompt = recipe_task.prompt(decoder.count_tokens)
    found: Counter[str] = Counter()
    for number, draft in enumerate(decoder.sample([prompt] * PORTION, seed=seed)):
        recipe = recipe_task.space.recipe(draft, f"recipe-{number}")
        found["recipes"] += 1
        for name in _operators(recipe):
            found[f"op {name}"] += 1
        document = Document(recipe)
        pool = setting.folder / "pool.yaml"
        problems = check_document(
            document, setting.folder, host, pool=pool, inspect=inspector.inspect
        ).problems
        if problems:
            found[f"problem {problems[0].code}"] += 1
            continue
        found["checked"] += 1
        if seed * PORTION >= setting.run:
            continue
        found["tried"] += 1
        assessed = reward.assess(document, setting.folder)
        if assessed.corpus is None:
            found[f"failed {assessed.score.reasons[0]}"] += 1
        else:
            found["ran"] += 1
    return found


def _operators(recipe: dict[str, Any]) -> set[str]:
    steps = [step for s in recipe["sources"].values() for step in (s or {}).get("steps", ())]
    return {step["op"] for step in [*steps, *recipe.get("steps", ())]}


@cache
def _parts(
    setting: WorkerConfig,
) -> tuple[Host, SourceInspector, RecipeTask, LocalDecoder, RecipeReward]:
    """Of each process, once."""
    import torch

    torch.set_num_threads(1)
    host = Host(setting.plugins)
    task, pool = setting.folder / "task.yaml", setting.folder / "pool.yaml"
    recipe_task = RecipeTask.load(host, task, pool, GrammarLimits())
    decoder = LocalDecoder.of(policy_model("tiny", [recipe_task], setting.cache))
    options = {"rows": setting.rows}
    config = RewardConfig(task, pool, setting.folder, setting.cache, options=options)
    reward = RecipeReward(config, host)
    return host, SourceInspector(), recipe_task, decoder, reward


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, required=True, help="with task.yaml and pool.yaml")
    parser.add_argument("--cache", type=Path, required=True)
    parser.add_argument("--recipes", type=int, default=10_000)
    parser.add_argument("--run", type=int, default=10_000, help="of these, so many are run")
    parser.add_argument("--plugin", action="append", default=[])
    parser.add_argument("--rows", type=int, default=200, help="sampled rows per source")
    parser.add_argument("--jobs", type=int, default=2)
    options = parser.parse_args()
    setting = WorkerConfig(
        options.folder.absolute(), options.cache.absolute(), tuple(options.plugin),
        options.rows, options.run,
    )  # fmt: skip
    _parts(setting)  # made once, before several processes look for it
    started = time.monotonic()
    found: Counter[str] = Counter()
    with ProcessPool(options.jobs) as pool:
        seeds = range(-(-options.recipes // PORTION))
        for one in pool.map(portion, [setting] * len(seeds), seeds):
            found += one
            print(f"{found['recipes']} recipes, {found['ran']} ran", file=sys.stderr, flush=True)
    total = found["recipes"]
    print(f"{total:,} recipes for {options.folder.name}, {time.monotonic() - started:.0f} s")
    ran = found["ran"] / max(found["tried"], 1)
    print(f"{found['checked'] / total:.2%} pass chef check; {ran:.2%} of {found['tried']:,} run")
    written = {name.removeprefix("op "): n for name, n in found.items() if name.startswith("op ")}
    print(", ".join(f"{name} {written[name]:,}" for name in sorted(written)))
    for name, count in sorted(found.items()):
        if name.startswith(("problem", "failed")):
            print(f"{count} {name}")


if __name__ == "__main__":
    try:
        main()
    except DatachefError as error:
        sys.exit(f"{error}\n{error.hint}".strip())
