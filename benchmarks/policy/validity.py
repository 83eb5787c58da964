"""Recipes of an untrained policy: how many pass `chef check`, and how many run on the sample.

The whole vocabulary and no limits but the default ones, for one task or several. A recipe runs if
it makes a corpus of the sample, also one without rows: the reward's gate `not_empty` tells these
apart, and they are counted beside. With `--plugin FILE` the operators of that file are offered too;
`--without NAME` leaves one out.

Each portion of recipes is a line of `validity.jsonl` in the folder of `--cache`, and the sums are
printed after it. The same command goes on where it was ended; delete the file to begin anew.
"""

from __future__ import annotations

import argparse
import re
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any

import orjson

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

# Recipes that are sampled and tried at a time.
PORTION = 50

Counts = Counter[str]


@dataclass(frozen=True)
class WorkerConfig:
    """Where everything is; `plugins` are files, and `rows` are sampled of each source."""

    folder: Path
    cache: Path
    plugins: tuple[str, ...]
    without: tuple[str, ...]
    rows: int


def portion(setting: WorkerConfig, seed: int, runs: bool) -> Counts:
    """Counts of `PORTION` recipes: `checked`, `tried` to run, `ran`, and why others did not, or
    left no row. Processor time is in milliseconds."""
    host, inspector, recipe_task, decoder, reward = _parts(setting)
    prompt = recipe_task.prompt(decoder.count_tokens)
    found: Counts = Counter()
    with _timed(found, "sampling"):
        drafts = decoder.sample([prompt] * PORTION, seed=seed)
    for number, draft in enumerate(drafts):
        recipe = recipe_task.space.recipe(draft, f"recipe-{number}")
        found["recipes"] += 1
        found.update(f"op {name}" for name in _operators(recipe))
        document = Document(recipe)
        task, pool = setting.folder / "task.yaml", setting.folder / "pool.yaml"
        with _timed(found, "check"):
            problems = check_document(
                document, setting.folder, host, pool=pool, task=task, inspect=inspector.inspect
            ).problems
        if problems:
            found[f"problem {problems[0].code}"] += 1
            continue
        found["checked"] += 1
        if runs:
            with _timed(found, "run"):
                _run(reward, document, setting.folder, found)
    return found


def _run(reward: RecipeReward, document: Document, folder: Path, found: Counts) -> None:
    """Runs a recipe, and counts how that ended."""
    found["tried"] += 1
    assessed = reward.assess(document, folder)
    if assessed.corpus is None:
        found[f"failed {assessed.score.reasons[0]}"] += 1
        return
    found["ran"] += 1
    if assessed.score.gate:
        found[f"gate {assessed.score.gate}"] += 1
    if assessed.corpus.rows.height == 0:
        found["empty"] += 1
        found.update(
            f"emptied {name}" for name in re.findall(r"\((\w+)\)", assessed.score.reasons[0])
        )


@contextmanager
def _timed(found: Counts, what: str) -> Iterator[None]:
    started = time.process_time()
    yield
    found[f"ms {what}"] += round(1000 * (time.process_time() - started))


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
    parser.add_argument("--run", type=int, default=1_500, help="how many of these are run")
    parser.add_argument("--plugin", action="append", default=[])
    parser.add_argument("--without", action="append", default=[], help="an operator to leave out")
    parser.add_argument("--rows", type=int, default=100, help="sampled rows of each source")
    parser.add_argument("--jobs", type=int, default=2)
    options = parser.parse_args()
    settings = [
        WorkerConfig(
            folder.absolute(), options.cache.absolute(), tuple(options.plugin),
            tuple(options.without), options.rows,
        )
        for folder in options.folder
    ]  # fmt: skip
    for setting in settings:
        _parts(setting)  # made once, before several processes look for it
    portions = -(-options.recipes // PORTION)
    wanted = [
        (settings[number % len(settings)], number // len(settings), number * PORTION < options.run)
        for number in range(portions)
    ]
    file = options.cache / "validity.jsonl"
    known = _known(file)
    todo = [each for each in wanted if _key(*each) not in known]
    found = sum((known[_key(*each)] for each in wanted if _key(*each) in known), Counter())
    with ProcessPool(options.jobs) as pool, file.open("ab") as lines:
        futures = [pool.submit(portion, *each) for each in todo]
        for each, future in zip(todo, futures, strict=True):
            counts = future.result()
            lines.write(orjson.dumps({"key": _key(*each), "counts": counts}) + b"\n")
            lines.flush()
            found += counts
            print(_sums(found), file=sys.stderr, flush=True)
    names = ", ".join(setting.folder.name for setting in settings)
    print(f"{found['recipes']:,} recipes for {names}")
    _report(found)


def _key(setting: WorkerConfig, seed: int, runs: bool) -> str:
    data = {**asdict(setting), "folder": setting.folder.name, "cache": "", "seed": seed}
    return orjson.dumps(data | {"runs": runs}).decode()


def _known(file: Path) -> dict[str, Counts]:
    """The portions in the file, without a last line that was cut off."""
    rows = file.read_bytes().splitlines(keepends=True) if file.exists() else []
    read = [orjson.loads(row) for row in rows if row.endswith(b"\n")]
    return {row["key"]: Counter(row["counts"]) for row in read}


def _sums(found: Counts) -> str:
    tried, ran = found["tried"], found["ran"]
    return (
        f"{found['checked'] / found['recipes']:.2%} of {found['recipes']:,} pass chef check; "
        f"{ran / max(tried, 1):.2%} of {tried:,} run, {found['empty'] / max(ran, 1):.2%} of these "
        "leave no row"
    )


def _report(found: Counts) -> None:
    print(_sums(found))
    per = {"sampling": found["recipes"], "check": found["recipes"], "run": found["tried"]}
    times = (f"{what} {found[f'ms {what}'] / max(n, 1):.0f} ms" for what, n in per.items())
    print(f"processor time of a recipe: {', '.join(times)}")
    for what, told in (("op", "with"), ("emptied", "no row is left after"), ("gate", "stopped by")):
        counted = {name.split()[1]: n for name, n in found.items() if name.startswith(f"{what} ")}
        print(f"{told}: {', '.join(f'{name} {counted[name]:,}' for name in sorted(counted))}")
    for name, count in sorted(found.items()):
        if name.startswith(("problem ", "failed ")):
            print(f"{count} {name}")


if __name__ == "__main__":
    try:
        main()
    except DatachefError as error:
        sys.exit(f"{error}\n{error.hint}".strip())
