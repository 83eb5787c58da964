from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from datachef.core import Host, document
from datachef.core.recipe.checking import check_document
from datachef.reward.sampled_run import SampledCorpus, SampledRunner

WORDS = ["apple", "pear", "plum", "fig", "lemon", "melon", "grape", "peach", "cherry", "mango"]
NAMES = ["Ann", "Bob", "Cleo", "Dan", "Eve", "Finn", "Gus", "Hana", "Ivo", "June"]


def problem(rng: random.Random) -> dict[str, str]:
    """A word problem with its worked answer."""
    have, more = rng.randint(2, 99), rng.randint(2, 99)
    name, fruit = rng.choice(NAMES), rng.choice(WORDS)
    return {
        "question": f"{name} has {have} {fruit}s and buys {more} more. How many are there?",
        "answer": f"{name} has {have} + {more} = {have + more} {fruit}s. It is {have + more}",
    }


def prose(rng: random.Random) -> dict[str, str]:
    """A document that has nothing to do with word problems."""
    lines = [" ".join(rng.choices(WORDS + NAMES, k=rng.randint(5, 12))) for _ in range(4)]
    return {"text": ". ".join(line.capitalize() for line in lines) + "."}


def write_rows(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.fixture(scope="session")
def host() -> Host:
    """A host with all that is installed."""
    return Host()


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    """A folder with a task, its training split and test, and a pool of two sources."""
    rng = random.Random(7)
    problems = [problem(rng) for _ in range(900)]
    write_rows(tmp_path / "test.jsonl", problems[:40])
    write_rows(tmp_path / "train.jsonl", problems[40:100])
    write_rows(tmp_path / "good.jsonl", problems[100:])
    write_rows(tmp_path / "prose.jsonl", [prose(rng) for _ in range(600)])
    examples = "{path: train.jsonl, prompt: question, answer: answer}"
    (tmp_path / "task.yaml").write_text(
        "name: fruit\nmetric: number_match\ninstruction: Solve the problem.\n"
        "benchmark: {path: test.jsonl, prompt: question, answer: answer}\n"
        f"examples: {examples}\n"
    )
    (tmp_path / "pool.yaml").write_text(
        "sources:\n"
        "  good: {path: good.jsonl, format: {prompt: question, completion: answer}}\n"
        "  prose: {path: prose.jsonl, format: {text: text}}\n"
    )
    return tmp_path


@pytest.fixture
def mixture() -> Callable[..., dict[str, Any]]:
    """Makes a recipe over sources of the pool by weight; `mix` and `sources` add to it."""

    def make(weights: dict[str, float], **more: Any) -> dict[str, Any]:
        mix = more.pop("mix", {})
        mix = None if mix is None else {"op": "weighted_mix", "weights": weights, **mix}
        sources = {name: {} for name in weights} | more.pop("sources", {})
        return {"name": "mixture", "pool": "pool.yaml", "sources": sources, "mix": mix, **more}

    return make


@pytest.fixture
def run_sampled(workspace: Path, host: Host) -> Callable[..., SampledCorpus]:
    """Runs a recipe, given as data, on samples of the given number of rows."""

    def run(recipe: dict[str, Any], rows: int = 200, seed: int = 0) -> SampledCorpus:
        runner = SampledRunner(host, workspace / "cache", rows, seed)
        parsed = document.parse(document.dump(recipe))
        return runner.run(check_document(parsed, workspace, host, inspect=runner.inspect).passed())

    return run
