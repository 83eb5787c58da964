from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from datachef.core.api import check_recipe
from datachef.core.host import Host
from datachef.core.problems import Problem


@pytest.fixture(scope="session")
def kitchen_file() -> str:
    return str(Path(__file__).parent / "kitchen.py")


@pytest.fixture(scope="session")
def kitchen(kitchen_file: str) -> Host:
    """A host with the operators of `kitchen.py` and the kinds of source that we register."""
    return Host([kitchen_file], only={"sources"})


@pytest.fixture
def pantry(tmp_path: Path) -> Path:
    """A folder with documents, conversations, a pool, a task and its benchmark."""
    files = {
        "web.jsonl": [{"text": f"page {n}", "url": f"u{n}", "tokens": 3} for n in range(30)],
        "chat.jsonl": [{"prompt": f"q{n}", "completion": "a", "url": "u"} for n in range(30)],
        "odd.jsonl": [{"alpha": "x", "beta": "y"}],
        "bench.jsonl": [{"prompt": "q", "answer": "a"}],
    }
    for name, rows in files.items():
        (tmp_path / name).write_text("".join(json.dumps(row) + "\n" for row in rows))
    (tmp_path / "pool.yaml").write_text(
        "sources:\n  web: {path: web.jsonl}\n  chat: {path: chat.jsonl}\n"
    )
    (tmp_path / "task.yaml").write_text("name: t\nbenchmark: {path: bench.jsonl}\n")
    return tmp_path


@pytest.fixture
def problems(pantry: Path, kitchen: Host) -> Callable[..., list[Problem]]:
    """Checks the text of a recipe among the files of the pantry."""

    def check(
        text: str, *, pool: str | None = None, host: Host = kitchen, overrides: tuple[str, ...] = ()
    ) -> list[Problem]:
        path = pantry / "recipe.yaml"
        path.write_text(text, encoding="utf-8")
        bound = pantry / pool if pool else None
        return check_recipe(path, host, bound, overrides).loaded.problems

    return check
