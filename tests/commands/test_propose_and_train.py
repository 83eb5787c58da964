"""The commands of the policy: propose, train, and propose with what was trained."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from datachef.core.system.lock import locked

PLUGIN = Path(__file__).parents[1] / "policy" / "space" / "third_party.py"
LIMITS = {"source_steps": 1, "corpus_steps": 1, "values": 2}


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory, make_workspace: Callable[..., Any]) -> Any:
    """A task in one folder, a pool in another, and settings of a short training."""
    workspace = make_workspace(tmp_path_factory.mktemp("workspace"), task="task", pool="pool")
    workspace.write("limits.yaml", LIMITS)
    workspace.write("train.yaml", {
        "tasks": [{"task": "task/task.yaml", "pool": "pool/pool.yaml"}],
        "output": "runs/fruit", "steps": 3, "save_steps": 2,
        "recipes_per_step": 8, "recipes_per_prompt": 8, "limits": LIMITS,
        "cold_start": {"drawn": 24, "kept": 0.5},
    })  # fmt: skip
    return workspace


ASKED = ("--task", "task/task.yaml", "--pool", "pool/pool.yaml", "--limits", "limits.yaml")


def test_proposals_are_valid_sorted_and_tell_why(workspace: Any) -> None:
    found = workspace.json("propose", *ASKED, "-n", "3", "--samples", "12")
    values = [one["value"] for one in found]
    assert len(found) == 3
    assert values == sorted(values, reverse=True)
    assert found[0]["sources"] == ["good"]
    for one in found:
        workspace.chef("check", one["path"])
    stepped = next(one for one in found if any("steps" in place for place in one["effects"]))
    text = (workspace.folder / stepped["path"]).read_text()
    assert text.startswith(f"# value {stepped['value']:.4f}, predicted ")
    place, effect = next((p, e) for p, e in stepped["effects"].items() if "steps" in p)
    assert f"# adds {effect:+.4f}" in text, place


def test_the_same_seed_proposes_the_same(workspace: Any) -> None:
    asked = (*ASKED, "-n", "1", "--samples", "6", "--json", "--seed", "3")
    first, second = (workspace.chef("propose", *asked).stdout for _ in range(2))
    assert first == second


def test_a_policy_is_trained_and_goes_on(workspace: Any) -> None:
    done = workspace.json("train", "train.yaml", "--steps", "2")
    assert done["checkpoint"].endswith("checkpoint-2")
    said = workspace.chef("train", "train.yaml").stderr
    assert [line.split(":")[0] for line in said.splitlines() if line.startswith("step")] == [
        "step 3"
    ]
    log = (workspace.folder / "runs" / "fruit" / "recipes.jsonl").read_text().splitlines()
    assert [json.loads(line)["step"] for line in log] == [0] * 8 + [1] * 8 + [2] * 8
    checkpoint = workspace.folder / "runs" / "fruit" / "checkpoint-3"
    asked = (*ASKED, "-n", "1", "--samples", "4", "--policy", str(checkpoint), "--json")
    quiet = workspace.chef("propose", *asked).stderr
    assert "another vocabulary" not in quiet
    # The same checkpoint where somebody has installed something, and left something out.
    allowed = {**LIMITS, "operators": ["band_filter", "weighted_mix"], "least_kept": 0}
    workspace.write("strange.yaml", allowed)
    done = workspace.chef("--plugin", str(PLUGIN), "propose", *asked, "--limits", "strange.yaml")
    assert "trained on another vocabulary; it has never seen band_filter" in done.stderr
    (one,) = json.loads(done.stdout)
    workspace.chef("check", one["path"], "--plugin", str(PLUGIN))


@pytest.mark.parametrize(
    ("change", "status", "said"),
    [
        ({"reward": {"name": "proxi"}}, 1, "did you mean proxy?"),
        ({"reward": {"options": {"raws": 3}}}, 1, "options of the reward proxy"),
        ({"limits": {"operators": ["lenght_filter"]}}, 1, "did you mean length_filter"),
        ({"tasks": [{"task": "no.yaml", "pool": "pool/pool.yaml"}]}, 2, "cannot read"),
        ({"recipes_per_step": 9}, 2, "multiple of recipes_per_prompt"),
        ({"model": "nowhere/at-all", "cold_start": None}, 1, "model nowhere/at-all is not on this"),
        ({"prompt_tokens": 16, "cold_start": None}, 1, "allow prompts of"),
    ],
)
def test_mistakes_are_told_in_words(
    workspace: Any, change: dict[str, Any], status: int, said: str
) -> None:
    settings = workspace.read("train.yaml") | change | {"output": "runs/none"}
    workspace.write("wrong.yaml", settings)
    error = workspace.chef("train", "wrong.yaml", fails=status).stderr
    assert said in error
    shutil.rmtree(workspace.folder / "runs" / "none", ignore_errors=True)


def test_two_trainings_do_not_share_an_output(workspace: Any) -> None:
    with locked(workspace.folder / "runs" / "fruit"):
        said = workspace.chef("train", "train.yaml", fails=4).stderr
    assert f"fruit is being written by process {os.getpid()} on " in said


def test_a_served_policy_needs_its_name(workspace: Any) -> None:
    asked = ("propose", *ASKED, "--server", "http://127.0.0.1:9/v1")
    assert "no model is named" in workspace.chef(*asked, fails=1).stderr


@pytest.mark.slow
def test_a_vllm_server_proposes(workspace: Any, vllm_server: Any) -> None:
    asked = (*ASKED, "--server", vllm_server.url, "--policy", vllm_server.model, "-n", "2")
    found = workspace.json("propose", *asked, "--samples", "8")
    assert len(found) == 2
    for one in found:
        workspace.chef("check", one["path"])
