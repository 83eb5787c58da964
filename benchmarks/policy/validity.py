"""Recipes of an untrained policy: how many pass `chef check`, and how many run on the sample.

The whole vocabulary and no limits but the default ones, for one task or several in turn. A recipe
runs if it makes a corpus of the sample, also one without rows: the reward's gate `not_empty` tells
these apart, and they are counted beside. With `--plugin FILE` the operators of that file are
offered too; `--without NAME` leaves one out that takes long.
"""

from __future__ import annotations

import argparse
import re
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
    """Where everything is; `plugins` are files, and the first `run` recipes of a task are run."""

    folder: Path
    cache: Path
    plugins: tuple[str, ...]
    without: tuple[str, ...]
    rows: int
    run: int


def portion(setting: WorkerConfig, seed: int) -> Counter[str]:
    """What became of so many recipes: `checked`, `tried` to run, `ran`, and why others did not, or
    left no row."""
    host, inspector, recipe_task, decoder, reward = _parts(setting)
    prompt = recipe_task.prompt(decoder.count_tokens)
    found: Counter[str] = Counter()
    for number, draft in enumerate(decoder.sample([prompt] * PORTION, seed=seed)):
        recipe = recipe_task.space.recipe(draft, f"recipe-{number}")
        found["recipes"] += 1
        for name in _operators(recipe):
            found[f"op {name}"] += 1
        document = Document(recipe)
        task, pool = setting.folder / "task.yaml", setting.folder / "pool.yaml"
        problems = check_document(
            document, setting.folder, host, pool=pool, task=task, inspect=inspector.inspect
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
            if assessed.corpus.rows.height == 0:
                found["empty"] += 1
                for name in re.findall(r"\((\w+)\)", assessed.score.reasons[0]):
                    found[f"emptied {name}"] += 1
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
    recipe_task = RecipeTask.load(host, task, pool, _limits(host, setting.without))
    decoder = LocalDecoder.of(policy_model("tiny", [recipe_task], setting.cache))
    options = {"rows": setting.rows}
    config = RewardConfig(task, pool, setting.folder, setting.cache, options=options)
    reward = RecipeReward(config, host)
    return host, SourceInspector(), recipe_task, decoder, reward


def _limits(host: Host, without: tuple[str, ...]) -> GrammarLimits:
    """No limits, or all operators that are offered by default but some."""
    if not without:
        return GrammarLimits()
    known = host.vocabulary
    offered = (n for n in known if not known[n].not_for_policies and not known[n].guards_task)
    return GrammarLimits(operators=tuple(name for name in offered if name not in without))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--folder", type=Path, action="append", required=True, help="with task.yaml and pool.yaml"
    )
    parser.add_argument("--cache", type=Path, required=True)
    parser.add_argument("--recipes", type=int, default=10_000)
    parser.add_argument("--run", type=int, default=10_000, help="of these, so many are run")
    parser.add_argument("--plugin", action="append", default=[])
    parser.add_argument("--without", action="append", default=[], help="an operator to leave out")
    parser.add_argument("--rows", type=int, default=200, help="sampled rows per source")
    parser.add_argument("--jobs", type=int, default=2)
    options = parser.parse_args()
    settings = [
        WorkerConfig(
            folder.absolute(), options.cache.absolute(), tuple(options.plugin),
            tuple(options.without), options.rows, -(-options.run // len(options.folder)),
        )
        for folder in options.folder
    ]  # fmt: skip
    started = time.monotonic()
    found: Counter[str] = Counter()
    each = -(-options.recipes // PORTION // len(settings))
    with ProcessPool(options.jobs) as pool:
        for setting in settings:
            _parts(setting)  # made once, before several processes look for it
            for one in pool.map(portion, [setting] * each, range(each)):
                found += one
                print(
                    f"{found['recipes']} recipes, {found['ran']} ran", file=sys.stderr, flush=True
                )
    names = ", ".join(setting.folder.name for setting in settings)
    print(f"{found['recipes']:,} recipes for {names}, {time.monotonic() - started:.0f} s")
    _report(found)


def _report(found: Counter[str]) -> None:
    tried, ran = found["tried"], found["ran"]
    print(
        f"{found['checked'] / found['recipes']:.2%} pass chef check; "
        f"{ran / max(tried, 1):.2%} of {tried:,} run, {found['empty'] / max(ran, 1):.2%} of these "
        "leave no row"
    )
    for what in ("op", "emptied"):
        counted = {name.split()[1]: n for name, n in found.items() if name.startswith(f"{what} ")}
        told = ", ".join(f"{name} {counted[name]:,}" for name in sorted(counted))
        print(told if what == "op" else f"no row is left after: {told}")
    for name, count in sorted(found.items()):
        if name.startswith(("problem ", "failed ")):
            print(f"{count} {name}")


if __name__ == "__main__":
    try:
        main()
    except DatachefError as error:
        sys.exit(f"{error}\n{error.hint}".strip())
