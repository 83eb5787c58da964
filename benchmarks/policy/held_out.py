"""A policy before operators and a task that its training never showed.

It is trained on all tasks but one, with prompts over random parts of the space and without some
operators. Then it is asked about every task, over all operators, and compared with random recipes.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

from datachef.core.contracts.reward import mean_interval
from datachef.core.errors import DatachefError
from datachef.core.registry.factories import build_reward
from datachef.core.registry.host import Host
from datachef.policy.decoding.local import LocalDecoder
from datachef.policy.model import policy_model
from datachef.policy.scored_recipes import RecipeTask, ScoreTracker
from datachef.policy.settings import (
    ColdStart,
    GrammarLimits,
    RewardChoice,
    Subsets,
    TaskAndPool,
    TrainSettings,
)
from datachef.policy.space import RandomChooser

LIMITS = GrammarLimits(source_steps=2, corpus_steps=1, values=3)
HELD_OUT = ("language_filter", "minhash_dedup", "redact_personal_data")
PROMPT_TOKENS = 512
ROWS = 1_000


def operators_in(recipe: dict[str, Any]) -> set[str]:
    """The operators of a recipe's steps."""
    steps = [step for s in recipe["sources"].values() for step in (s or {}).get("steps", ())]
    return {step["op"] for step in [*steps, *recipe.get("steps", ())]}


def line(name: str, tracker: ScoreTracker, recipes: Sequence[dict[str, Any]]) -> str:
    """A row of the table: what a number of recipes are worth, and whether they are valid."""
    scores = tracker.score_all(recipes)
    values = [score.value for score in scores]
    low, high = mean_interval(values) or (values[0], values[0])
    valid = sum(score.gate != "check" for score in scores) / len(scores)
    strange = sum(bool(operators_in(recipe) & set(HELD_OUT)) for recipe in recipes) / len(recipes)
    return f"{name} | {fmean(values):.4f} | {low:.4f} to {high:.4f} | {valid:.0%} | {strange:.0%} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tasks", type=Path, required=True, help="a folder per task, by tasks.py")
    parser.add_argument("--names", required=True, type=lambda text: text.split(","))
    parser.add_argument("--unseen", required=True, help="of these, the task without training")
    parser.add_argument("--history", type=Path, required=True)
    parser.add_argument("--cache", type=Path, required=True)
    parser.add_argument("--output", type=Path, required=True, help="checkpoints go here")
    parser.add_argument("--steps", type=int, default=90)
    parser.add_argument("--samples", type=int, default=96)
    options = parser.parse_args()
    from datachef.policy.training.cold_start import cold_start
    from datachef.policy.training.train import train

    host = Host()
    pairs = {
        name: TaskAndPool(
            task=options.tasks / name / "task.yaml", pool=options.tasks / name / "pool.yaml"
        )
        for name in options.names
    }
    choice = RewardChoice(options={"history": str(options.history.absolute()), "rows": ROWS})
    recipe_tasks = {n: RecipeTask.load(host, p.task, p.pool, LIMITS) for n, p in pairs.items()}
    trackers = {
        name: ScoreTracker(
            build_reward(
                host,
                choice.name,
                choice.config(
                    pair.task, pair.pool, folder=pair.pool.parent, cache=options.cache,
                    plugin_files=host.files, seed=0,
                ),
            ),
            pair.pool.parent,
        )
        for name, pair in pairs.items()
    }  # fmt: skip
    seen = [name for name in options.names if name != options.unseen]
    settings = TrainSettings(
        tasks=tuple(pairs[name] for name in seen),
        output=options.output,
        steps=options.steps,
        recipes_per_step=16,
        recipes_per_prompt=16,
        batch=16,
        prompt_tokens=PROMPT_TOKENS,
        limits=LIMITS,
        subsets=Subsets(held_out=HELD_OUT),
        cold_start=ColdStart(drawn=400),
    )
    taught = [recipe_tasks[name] for name in seen]
    asked = [trackers[name] for name in seen]
    # Its tokenizer knows the names of all tasks, as that of a large model would.
    model = policy_model("tiny", list(recipe_tasks.values()), options.cache)
    checkpoint = train(settings, taught, asked, cold_start(settings, taught, asked, model))
    decoder = LocalDecoder.of(checkpoint)
    print("| task | recipes | mean value | 95% interval | valid | with held-out operators |")
    print("|---|---|--:|:-:|--:|--:|")
    for name, recipe_task in recipe_tasks.items():
        space, tracker = recipe_task.space, trackers[name]
        shown = name + (" (never seen)" if name == options.unseen else "")
        prompt = recipe_task.prompt(decoder.count_tokens, PROMPT_TOKENS)
        drafts = decoder.sample([prompt] * options.samples, seed=1)
        drawn = [space.draw(RandomChooser(f"held out {n}")) for n in range(options.samples)]
        for method, found in (("trained policy", drafts), ("random", drawn)):
            recipes = [space.recipe(draft, f"r{n}") for n, draft in enumerate(found)]
            print(line(f"| {shown} | {method}", tracker, recipes), flush=True)


if __name__ == "__main__":
    try:
        main()
    except DatachefError as error:
        sys.exit(f"{error}\n{error.hint}".strip())
