"""The commands of the policy: propose, train, and propose with what was trained."""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from datachef.core import document

STRANGERS = Path(__file__).parents[1] / "policy" / "space" / "strangers.py"
WORDS = "apple pear plum fig lemon melon grape peach cherry mango".split()  # noqa: SIM905
LIMITS = {"source_steps": 1, "corpus_steps": 1, "values": 2}


def chef(folder: Path, *arguments: str, fails: bool = False) -> tuple[str, str]:
    """What a command prints on standard output and on standard error."""
    done = subprocess.run(
        [sys.executable, "-m", "datachef.core.cli", *arguments],
        cwd=folder,
        env=os.environ | {"OMP_NUM_THREADS": "1", "COLUMNS": "200"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert bool(done.returncode) is fails, done.stderr
    assert "Traceback" not in done.stderr
    return done.stdout, done.stderr


@pytest.fixture(scope="module")
def pantry(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A task in one folder, a pool in another, and settings of a short training."""
    folder = tmp_path_factory.mktemp("pantry")
    rng = random.Random(1)

    def problem() -> dict[str, str]:
        have, more, fruit = rng.randint(2, 99), rng.randint(2, 99), rng.choice(WORDS)
        question = f"Ann has {have} {fruit}s and buys {more}. How many {fruit}s are there?"
        return {"question": question, "answer": f"There are {have} + {more} = {have + more}."}

    rows = {
        "task/test": [problem() for _ in range(20)],
        "task/train": [problem() for _ in range(40)],
        "pool/good": [problem() for _ in range(200)],
        "pool/odd": [{"text": " ".join(rng.choices(WORDS, k=30))} for _ in range(200)],
    }
    for name, content in rows.items():
        path = folder / f"{name}.jsonl"
        path.parent.mkdir(exist_ok=True)
        path.write_text("".join(json.dumps(row) + "\n" for row in content))
    fields = {"prompt": "question", "answer": "answer"}
    write(folder / "task" / "task.yaml", {
        "name": "fruit", "metric": "number_match",
        "benchmark": {"path": "test.jsonl", **fields},
        "examples": {"path": "train.jsonl", **fields},
    })  # fmt: skip
    write(folder / "pool" / "pool.yaml", {"sources": {
        "good": {"path": "good.jsonl", "format": {"prompt": "question", "completion": "answer"}},
        "odd": {"path": "odd.jsonl", "format": {"text": "text"}},
    }})  # fmt: skip
    write(folder / "limits.yaml", LIMITS)
    write(folder / "train.yaml", {
        "tasks": [{"task": "task/task.yaml", "pool": "pool/pool.yaml"}],
        "output": "runs/fruit", "steps": 3, "save_steps": 2,
        "recipes_per_step": 8, "recipes_per_brief": 8, "limits": LIMITS,
        "cold_start": {"random": 24, "kept": 0.5},
    })  # fmt: skip
    return folder


def write(path: Path, data: dict[str, Any]) -> None:
    path.write_text(document.dump(data))


ASKED = ("--task", "task/task.yaml", "--pool", "pool/pool.yaml", "--limits", "limits.yaml")


def test_proposals_are_valid_sorted_and_tell_why(pantry: Path) -> None:
    found = json.loads(chef(pantry, "propose", *ASKED, "-n", "3", "--samples", "12", "--json")[0])
    values = [one["value"] for one in found]
    assert len(found) == 3
    assert values == sorted(values, reverse=True)
    assert found[0]["sources"] == ["good"]
    for one in found:
        chef(pantry, "check", one["path"])
    stepped = next(one for one in found if any("steps" in place for place in one["effects"]))
    text = (pantry / stepped["path"]).read_text()
    assert text.startswith(f"# value {stepped['value']:.4f}, predicted ")
    place, effect = next((p, e) for p, e in stepped["effects"].items() if "steps" in p)
    assert f"# adds {effect:+.4f}" in text, place


def test_the_same_seed_proposes_the_same(pantry: Path) -> None:
    asked = (*ASKED, "-n", "1", "--samples", "6", "--json", "--seed", "3")
    first, second = chef(pantry, "propose", *asked)[0], chef(pantry, "propose", *asked)[0]
    assert first == second


def test_a_policy_is_trained_and_goes_on(pantry: Path) -> None:
    done = json.loads(chef(pantry, "train", "train.yaml", "--steps", "2", "--json")[0])
    assert done["checkpoint"].endswith("checkpoint-2")
    _, said = chef(pantry, "train", "train.yaml")
    assert [line.split(":")[0] for line in said.splitlines() if line.startswith("step")] == [
        "step 3"
    ]
    log = (pantry / "runs" / "fruit" / "recipes.jsonl").read_text().splitlines()
    assert [json.loads(line)["step"] for line in log] == [0] * 8 + [1] * 8 + [2] * 8
    checkpoint = pantry / "runs" / "fruit" / "checkpoint-3"
    asked = (*ASKED, "-n", "1", "--samples", "4", "--policy", str(checkpoint), "--json")
    _, quiet = chef(pantry, "propose", *asked)
    assert "another vocabulary" not in quiet
    # The same checkpoint where somebody has installed something, and left something out.
    allowed = {**LIMITS, "operators": ["band_filter", "weighted_mix"]}
    write(pantry / "strange.yaml", allowed)
    found, said = chef(
        pantry, "--plugin", str(STRANGERS), "propose", *asked, "--limits", "strange.yaml"
    )
    assert "trained on another vocabulary; it has never seen band_filter" in said
    (one,) = json.loads(found)
    chef(pantry, "check", one["path"], "--plugin", str(STRANGERS))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"reward": {"name": "proxi"}}, "did you mean proxy?"),
        ({"reward": {"options": {"raws": 3}}}, "options of the reward proxy"),
        ({"limits": {"operators": ["lenght_filter"]}}, "did you mean length_filter"),
        ({"tasks": [{"task": "no.yaml", "pool": "pool/pool.yaml"}]}, "cannot read"),
        ({"recipes_per_step": 9}, "multiple of recipes_per_brief"),
        ({"model": "nowhere/at-all", "cold_start": None}, "cannot load the model"),
        ({"prompt_tokens": 16, "cold_start": None}, "allow prompts of"),
    ],
)
def test_mistakes_are_told_in_words(pantry: Path, change: dict[str, Any], said: str) -> None:
    settings = document.read(pantry / "train.yaml").data | change | {"output": "runs/none"}
    write(pantry / "wrong.yaml", settings)
    _, error = chef(pantry, "train", "wrong.yaml", fails=True)
    assert said in error
    shutil.rmtree(pantry / "runs" / "none", ignore_errors=True)


def test_a_served_policy_needs_its_name(pantry: Path) -> None:
    _, error = chef(pantry, "propose", *ASKED, "--server", "http://127.0.0.1:9/v1", fails=True)
    assert "no model is named" in error


@pytest.mark.slow
def test_a_vllm_server_proposes(pantry: Path, vllm_server: Any) -> None:
    asked = (*ASKED, "--server", vllm_server.url, "--policy", vllm_server.model, "-n", "2")
    found = json.loads(chef(pantry, "propose", *asked, "--samples", "8", "--json")[0])
    assert len(found) == 2
    for one in found:
        chef(pantry, "check", one["path"])
