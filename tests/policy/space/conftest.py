from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from datachef.core import Host, Problem, document
from datachef.core.recipe.checking import check_document
from datachef.policy.space import RecipeSpace

POOL = """
sources:
  pages: {path: pages.jsonl}
  dialogues: {path: dialogues.jsonl, format: {prompt: ask, completion: tell}}
  notes: {path: notes.jsonl}
"""
TASK = """
name: sums
instruction: Add.
benchmark: {path: test.jsonl, prompt: ask, answer: tell}
metric: exact_match
budget: {tokens: 100_000}
"""

Problems = Callable[[RecipeSpace, dict[str, object]], list[Problem]]


@pytest.fixture
def pool(tmp_path: Path) -> Path:
    """A pool of documents and conversations; `notes` have a column of their own. Beside it lies
    `task.yaml`, with a budget beyond what the sources hold."""
    rows = {
        "pages": [{"text": f"Page {i} tells of rivers."} for i in range(40)],
        "dialogues": [{"ask": f"{i} + 1?", "tell": str(i + 1)} for i in range(40)],
        "notes": [{"text": f"Note {i}.", "quality": i / 40} for i in range(40)],
        "test": [{"ask": "1 + 1?", "tell": "2"}],
    }
    for name, lines in rows.items():
        text = "".join(json.dumps(line) + "\n" for line in lines)
        (tmp_path / f"{name}.jsonl").write_text(text)
    (tmp_path / "task.yaml").write_text(TASK)
    (tmp_path / "pool.yaml").write_text(POOL)
    return tmp_path / "pool.yaml"


@pytest.fixture(scope="session")
def host() -> Host:
    """Knows third-party operators besides ours."""
    return Host((str(Path(__file__).parent / "third_party.py"),))


@pytest.fixture
def problems(pool: Path, host: Host) -> Problems:
    """What `chef check` says of the recipe that a draft stands for."""

    def found(space: RecipeSpace, draft: dict[str, object]) -> list[Problem]:
        data = {**space.recipe(draft, "drafted"), "task": str(pool.parent / "task.yaml")}
        return list(
            check_document(
                document.parse(document.dump(data)), pool.parent, host, pool=pool
            ).problems
        )

    return found
