"""How many recipes a second are scored by what they make of a sample.

    python benchmarks/sample_speed.py --data DATA [--work FOLDER] [--recipes 100] [--workers 2]

`DATA` is the folder of public data. The recipes are over six sources with 2,000 sampled rows each,
filtered by heuristics, mixed by weight, deduplicated and decontaminated. Measured are recipes that
differ from one known in weights, in thresholds, in both, and in new steps, from an empty cache.
"""

from __future__ import annotations

import argparse
import copy
import random
import tempfile
import time
from pathlib import Path
from typing import Any

from datachef.core import document
from datachef.core.contracts.reward import Reward, RewardConfig
from datachef.reward.config import proxy_reward

SOURCES = {
    "sentences": ("pool/fpb_train.jsonl.gz", {"prompt": "sentence", "completion": "label"}),
    "questions": ("pool/gsm8k_train.jsonl.gz", {"prompt": "question", "completion": "answer"}),
    "instructions": ("pool/alpaca_5000.jsonl.gz", None),
    "pages": ("multilingual/masakhanews.jsonl.gz", {"text": "text"}),
    "messages": ("noise/sms_spam.jsonl.gz", {"text": "text"}),
    "news": ("pool/ag_news.jsonl.gz", {"text": "description"}),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--work", type=Path)
    parser.add_argument("--recipes", type=int, default=100)
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        measure(options.data.absolute(), options.work or Path(scratch), options)


def measure(data: Path, work: Path, options: argparse.Namespace) -> None:
    """Prints a table: recipes per second by what is new about them."""
    pool = {}
    for name, (file, row_format) in SOURCES.items():
        pool[name] = {"path": str(data / file)} | ({"format": row_format} if row_format else {})
    benchmark = {"path": str(data / "bench/fpb.test.jsonl.gz")}
    examples = {"path": str(data / "bench/fpb.dev.jsonl")}
    task = {"name": "t", "metric": "label", "benchmark": benchmark, "examples": examples}
    (work / "pool.yaml").write_text(document.dump({"sources": pool}))
    (work / "task.yaml").write_text(document.dump(task))
    task_file, pool_file, cache = work / "task.yaml", work / "pool.yaml", work / "cache"
    workers = {"workers": options.workers}
    reward = proxy_reward(RewardConfig(task_file, pool_file, work, cache, options=workers))
    rng = random.Random(0)
    known = [recipe(deduplicated) for deduplicated in (False, True)] * options.workers
    started = time.perf_counter()
    scored(reward, known, work)
    print(f"first recipes, samples drawn and all measured: {time.perf_counter() - started:.1f} s\n")
    print("| new is | without deduplication | with minhash_dedup |")
    print("|---|---|---|")
    for name, change in CHANGES.items():
        speeds = []
        for deduplicated in (False, True):
            recipes = [change(recipe(deduplicated), rng) for _ in range(options.recipes)]
            started = time.perf_counter()
            scored(reward, recipes, work)
            speeds.append(len(recipes) / (time.perf_counter() - started))
        print(f"| {name} | {speeds[0]:.1f}/s | {speeds[1]:.1f}/s |", flush=True)
    reward.close()


def scored(reward: Reward, recipes: list[dict[str, Any]], base_dir: Path) -> None:
    stopped = [s for s in reward.score_all(recipes, base_dir) if s.gate]
    assert not stopped, stopped[0]


def recipe(deduplicated: bool) -> dict[str, Any]:
    steps = [
        {"op": "length_filter", "min_chars": 10, "max_chars": 20_000},
        {"op": "gopher_repetition_filter"},
    ]
    return {
        "name": "known",
        "sources": {name: {"steps": copy.deepcopy(steps)} for name in SOURCES},
        "mix": {"op": "weighted_mix", "weights": dict.fromkeys(SOURCES, 1.0), "max_epochs": 2},
        "steps": [{"op": "minhash_dedup"}] if deduplicated else [],
    }


def other_weights(data: dict[str, Any], rng: random.Random) -> dict[str, Any]:
    data["mix"]["weights"] = {name: round(rng.uniform(0.1, 1), 3) for name in SOURCES}
    return data


def other_threshold(data: dict[str, Any], rng: random.Random) -> dict[str, Any]:
    step = data["sources"][rng.choice(list(SOURCES))]["steps"][0]
    step["min_chars"] = rng.randint(11, 60)
    return data


def other_thresholds_and_weights(data: dict[str, Any], rng: random.Random) -> dict[str, Any]:
    return other_threshold(other_weights(data, rng), rng)


def new_step(data: dict[str, Any], rng: random.Random) -> dict[str, Any]:
    steps = [
        {
            "op": "regex_filter",
            "patterns": [rng.choice("abcdefghijklmnopqrstuvwxyz") + rng.choice("aeiou")],
        },
        {"op": "redact_personal_data"},
        {"op": "fix_unicode"},
        {"op": "sample", "share": round(rng.uniform(0.5, 1), 3)},
    ]
    data["sources"][rng.choice(list(SOURCES))]["steps"].insert(0, rng.choice(steps))
    return other_weights(data, rng)


CHANGES = {
    "weights": other_weights,
    "a threshold": other_threshold,
    "a threshold and the weights": other_thresholds_and_weights,
    "a step and the weights": new_step,
}

if __name__ == "__main__":
    main()
