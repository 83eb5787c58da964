"""The commands of the reward, from end to end: score, evaluate, fit, history."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from datachef.core import document

WORDS = "apple pear plum fig lemon melon grape peach cherry mango".split()  # noqa: SIM905


def chef(folder: Path, *arguments: str, fails: int = 0) -> str:
    """What a command prints: on standard output, or where it fails on standard error."""
    environment = os.environ | {"OMP_NUM_THREADS": "1", "COLUMNS": "200"}
    done = subprocess.run(
        [sys.executable, "-m", "datachef.core.cli", *arguments],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == fails, done.stderr
    assert "Traceback" not in done.stderr
    return done.stderr if fails else done.stdout


@pytest.fixture(scope="module")
def pantry(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a task, a pool, and recipes of different worth."""
    folder = tmp_path_factory.mktemp("pantry")
    rng = random.Random(1)

    def problem() -> dict[str, str]:
        have, more, fruit = rng.randint(2, 99), rng.randint(2, 99), rng.choice(WORDS)
        question = f"Ann has {have} {fruit}s and buys {more}. How many {fruit}s are there?"
        return {"question": question, "answer": f"There are {have} + {more} = {have + more}."}

    rows = {
        "test": [problem() for _ in range(20)],
        "train": [problem() for _ in range(40)],
        "good": [problem() for _ in range(300)],
        "odd": [{"text": " ".join(rng.choices(WORDS, k=30))} for _ in range(300)],
    }
    for name, content in rows.items():
        text = "".join(json.dumps(row) + "\n" for row in content)
        (folder / f"{name}.jsonl").write_text(text)
    fields = {"prompt": "question", "answer": "answer"}
    write(folder / "task.yaml", {
        "name": "fruit", "metric": "number_match",
        "benchmark": {"path": "test.jsonl", **fields},
        "examples": {"path": "train.jsonl", **fields},
    })  # fmt: skip
    write(folder / "pool.yaml", {"sources": {
        "good": {"path": "good.jsonl", "format": {"prompt": "question", "completion": "answer"}},
        "odd": {"path": "odd.jsonl", "format": {"text": "text"}},
    }})  # fmt: skip
    for name, weights in {
        "good": {"good": 1},
        "mixed": {"good": 1, "odd": 1},
        "odd": {"odd": 1},
    }.items():
        write(folder / f"{name}.yaml", {
            "name": name, "task": "task.yaml", "pool": "pool.yaml",
            "sources": {source: {} for source in weights},
            "mix": {"op": "weighted_mix", "weights": weights},
        })  # fmt: skip
    write(folder / "training.yaml", {"max_tokens": 3000, "max_length": 64})
    return folder


def write(path: Path, data: dict[str, Any]) -> None:
    path.write_text(document.dump(data))


def test_scores_rank_recipes_and_explain_one(pantry: Path) -> None:
    ranked = json.loads(chef(pantry, "score", "odd.yaml", "good.yaml", "mixed.yaml", "--json"))
    by_name = {found["recipe"]: found["value"] for found in ranked}
    assert by_name["good.yaml"] > by_name["mixed.yaml"] > by_name["odd.yaml"]
    table = chef(pantry, "score", "odd.yaml", "good.yaml", "mixed.yaml")
    assert table.index("good.yaml") < table.index("mixed.yaml") < table.index("odd.yaml")
    (mixed,) = json.loads(chef(pantry, "score", "mixed.yaml", "--json"))
    effects = {part["what"]: part["effect"] for part in mixed["contributions"]}
    assert effects["good"] > 0 > effects["odd"]
    shown = chef(pantry, "score", "mixed.yaml")
    assert "target.bits_per_byte" in shown
    assert "nothing was measured for this task yet" in shown


def test_limits_stop_a_recipe_outside_of_its_score(pantry: Path) -> None:
    write(pantry / "limits.yaml", {"max_source_share": 0.9})
    stopped, fine = json.loads(
        chef(pantry, "score", "good.yaml", "mixed.yaml", "--limits", "limits.yaml", "--json")
    )
    assert stopped["gate"] == "guardrails"
    assert "max_source_share" in stopped["reasons"][0]
    assert not fine["gate"]


def test_mistakes_are_explained(pantry: Path) -> None:
    write(pantry / "no_task.yaml", {"name": "x", "sources": {"s": {"path": "odd.jsonl"}}})
    assert "names no task" in chef(pantry, "score", "no_task.yaml", fails=1)
    write(pantry / "bad_limits.yaml", {"max_toxicty": 0.1, "min_rows": -1})
    told = chef(pantry, "score", "good.yaml", "--limits", "bad_limits.yaml", fails=2)
    assert "bad_limits.yaml:1" in told
    assert "max_toxicity" in told
    assert "min_rows" in told
    assert "no history" in chef(pantry, "history", "list", "--history", "none.sqlite", fails=1)
    assert "is no proxy" in chef(pantry, "score", "good.yaml", "--proxy", "task.yaml", fails=1)


@pytest.mark.slow
def test_what_is_measured_teaches_the_proxy(pantry: Path) -> None:
    recipes = []
    for number, share in enumerate((0.0, 0.1, 0.3, 0.5, 0.7, 0.9, 1.0)):
        weights = {"good": share, "odd": 1 - share}
        name = f"share-{number}.yaml"
        used = {source: weight for source, weight in weights.items() if weight}
        write(pantry / name, {
            "name": name.removesuffix(".yaml"), "task": "task.yaml", "pool": "pool.yaml",
            "sources": {source: {} for source in used},
            "mix": {"op": "weighted_mix", "weights": used, "budget": {"rows": 250}},
        })  # fmt: skip
        recipes.append(name)
    options = ("--training", "training.yaml", "--seeds", "1", "--no-accuracy", "--items", "10")
    first = json.loads(chef(pantry, "evaluate", *recipes, *options, "--json"))
    assert len(first) == 7
    assert all(0 < measured["score"] < 1 for measured in first)
    assert {measured["base_model"] for measured in first} == {"tiny"}
    again = json.loads(chef(pantry, "evaluate", recipes[0], *options, "--json"))
    assert again == [first[0]], "what the history has is not measured again"
    assert "share-3" in chef(pantry, "history", "list")
    best = json.loads(chef(pantry, "history", "best", "fruit", "--number", "2", "--json"))
    assert best[0]["score"] == max(measured["score"] for measured in first)
    compared = chef(pantry, "history", "compare", "share-0", "share-6")
    assert "beside share-0" in compared
    assert "7 measurements" in chef(pantry, "history", "export", "shared.parquet")
    taken = chef(pantry, "history", "import", "shared.parquet", "--history", "other.sqlite")
    assert "7 new measurements" in taken
    report = json.loads(chef(pantry, "fit", "--task", "task.yaml", "-o", "proxy.json", "--json"))
    assert report["noise"]["fruit"]["repeated"] == 0
    assert "rank correlation" in chef(pantry, "fit")
    told = chef(pantry, "score", "mixed.yaml", "--proxy", "proxy.json")
    assert "nothing was measured" not in told
    by_history = chef(pantry, "score", "mixed.yaml", "--history", "history.sqlite")
    assert by_history.splitlines()[0] == told.splitlines()[0]
