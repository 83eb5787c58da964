"""Where commands are tested from end to end: a small task, a pool of two sources, `chef` itself."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from command import Workspace

from datachef.reward.evaluation import make_tiny

FRUITS = ["apple", "pear", "plum", "fig", "lemon", "melon", "grape", "peach", "cherry", "mango"]


@pytest.fixture(scope="session")
def base_model(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The folder of a model far smaller than `tiny`, which takes minutes to make."""
    rng = random.Random(1)
    prose = [" ".join(rng.choices(FRUITS, k=30)) for _ in range(200)]
    folder = tmp_path_factory.mktemp("models") / "base"
    return str(make_tiny(prose, folder, seed=0, vocabulary=320, hidden=32, layers=1, tokens=20_000))


@pytest.fixture(scope="session")
def make_workspace() -> Callable[..., Workspace]:
    """Fills a folder with a task of word problems and a pool that has good and odd rows, each in a
    folder of its own within it if named. The task's file is changed as told."""

    def make(
        folder: Path, *, rows: int = 200, task: str = ".", pool: str = ".", **changes: Any
    ) -> Workspace:
        workspace, rng = Workspace(folder), random.Random(1)

        def problem() -> dict[str, str]:
            have, more, fruit = rng.randint(2, 99), rng.randint(2, 99), rng.choice(FRUITS)
            question = f"Ann has {have} {fruit}s and buys {more}. How many {fruit}s are there?"
            return {"question": question, "answer": f"There are {have} + {more} = {have + more}."}

        contents = {
            f"{task}/test": [problem() for _ in range(20)],
            f"{task}/train": [problem() for _ in range(40)],
            f"{pool}/good": [problem() for _ in range(rows)],
            f"{pool}/odd": [{"text": " ".join(rng.choices(FRUITS, k=30))} for _ in range(rows)],
        }
        for name, content in contents.items():
            path = folder / f"{name}.jsonl"
            path.parent.mkdir(exist_ok=True)
            path.write_text("".join(json.dumps(row) + "\n" for row in content))
        fields = {"prompt": "question", "answer": "answer"}
        workspace.write(f"{task}/task.yaml", {
            "name": "fruit", "metric": "number_match",
            "benchmark": {"path": "test.jsonl", **fields},
            "examples": {"path": "train.jsonl", **fields}, **changes,
        })  # fmt: skip
        problems = {"prompt": "question", "completion": "answer"}
        workspace.write(f"{pool}/pool.yaml", {"sources": {
            "good": {"path": "good.jsonl", "format": problems},
            "odd": {"path": "odd.jsonl", "format": {"text": "text"}},
        }})  # fmt: skip
        return workspace

    return make
