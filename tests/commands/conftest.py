"""Where commands are tested from end to end: a small task, a pool of two sources, `chef` itself."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from datachef.core import document

COMMAND = (sys.executable, "-m", "datachef.core.cli")
ENVIRONMENT = os.environ | {"OMP_NUM_THREADS": "1", "COLUMNS": "200"}
FRUITS = ["apple", "pear", "plum", "fig", "lemon", "melon", "grape", "peach", "cherry", "mango"]


@dataclass(frozen=True)
class Workspace:
    """A folder with files for commands, which run in it."""

    folder: Path

    def write(self, name: str, data: Any) -> None:
        """A YAML file."""
        (self.folder / name).write_text(document.dump(data))

    def read(self, name: str) -> Any:
        """What a YAML file holds."""
        return document.read(self.folder / name).data

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """A command that runs on while the test does."""
        return subprocess.Popen(
            [*COMMAND, *arguments],
            cwd=self.folder,
            env=ENVIRONMENT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def chef(self, *arguments: str, fails: int = 0) -> subprocess.CompletedProcess[str]:
        """A command that ends with that status, and never with a traceback."""
        command = self.start(*arguments)
        printed, said = command.communicate()
        assert command.returncode == fails, said
        assert "Traceback" not in said
        return subprocess.CompletedProcess(command.args, fails, printed, said)

    def json(self, *arguments: str) -> Any:
        """What a command prints when asked for JSON."""
        return json.loads(self.chef(*arguments, "--json").stdout)


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
