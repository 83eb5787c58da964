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
    run = workspace.folder / "runs" / "fruit"
    random = (run / "baselines" / "random" / "recipes.jsonl").read_text().splitlines()
    best = max(json.loads(line)["value"] for line in random)
    assert len(random) == 24
    assert f"{best:.4f}" in (run / "report.html").read_text()
    workspace.chef("check", "runs/fruit/best/fruit-1.yaml")
    (fruit,) = workspace.json("report", "runs/fruit")["tasks"]
    assert fruit["steps"][-1]["random"] == best
    assert {part["what"] for part in fruit["effects"]} >= {*fruit["best"][0]["recipe"]["sources"]}
    checkpoint = run / "checkpoint-3"
    asked = (*ASKED, "-n", "1", "--samples", "4", "--policy", str(checkpoint), "--json")
    quiet = workspace.chef("propose", *asked).stderr
    assert "another vocabulary" not in quiet
    # The same checkpoint where somebody has installed something, and left something out.
    allowed = {**LIMITS, "operators": ["band_filter", "weighted_mix"], "least_kept": 0}
    workspace.write("strange.yaml", allowed)
    done = workspace.chef("--plugin", str(PLUGIN), "propose", *asked, "--limits", "strange.yaml")
    assert "trained on another vocabulary; it has never seen band_filter" in done.stderr
    (one,) = json.loads(done.stdout)["result"]
    workspace.chef("check", one["path"], "--plugin", str(PLUGIN))


@pytest.mark.parametrize(
    ("change", "status", "said"),
    [
        ({"reward": {"name": "proxi"}}, 1, "did you mean proxy?"),
        ({"reward": {"options": {"raws": 3}}}, 1, "options of the reward proxy"),
        ({"limits": {"operators": ["lenght_filter"]}}, 1, "did you mean length_filter"),
        ({"tasks": [{"task": "no.yaml", "pool": "pool/pool.yaml"}]}, 2, "cannot read"),
        ({"recipes_per_step": 9}, 2, "multiple of recipes_per_prompt"),
        ({"model": "nowhere/at-all"}, 1, "no model 'nowhere/at-all' here"),
        ({"model": "nowhere/at/all"}, 1, "no model"),
        ({"cold_start": {"recipes": ["no.yaml"]}}, 2, "cannot read"),
        ({"cold_start": {"recipes": ["choosy.yaml"]}}, 1, "with least_kept: 0 they offer also"),
    ],
)
def test_mistakes_are_told_in_words_before_anything_heavy_is_imported(
    workspace: Any, change: dict[str, Any], status: int, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    without_torch(workspace, monkeypatch)
    choosy = {"op": "length_filter", "min_chars": 5_000}
    workspace.write("choosy.yaml", {"name": "choosy", "sources": {"good": {}}, "steps": [choosy]})
    settings = workspace.read("train.yaml") | change | {"output": "runs/none"}
    workspace.write("wrong.yaml", settings)
    assert said in workspace.chef("train", "wrong.yaml", fails=status).stderr
    assert not (workspace.folder / "runs" / "none").exists()


def without_torch(workspace: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Commands that import torch or TRL fail."""
    broken = workspace.folder / "broken"
    broken.mkdir(exist_ok=True)
    for name in ("torch", "transformers", "trl"):
        (broken / f"{name}.py").write_text("raise SystemExit('imported')")
    monkeypatch.setenv("PYTHONPATH", str(broken))


def test_a_prompt_that_is_too_long_is_told(workspace: Any) -> None:
    change = {"prompt_tokens": 16, "cold_start": None, "output": "runs/none"}
    workspace.write("wrong.yaml", workspace.read("train.yaml") | change)
    assert "allow prompts of" in workspace.chef("train", "wrong.yaml", fails=1).stderr
    shutil.rmtree(workspace.folder / "runs" / "none")


def test_two_trainings_do_not_share_an_output(workspace: Any) -> None:
    with locked(workspace.folder / "runs" / "fruit"):
        said = workspace.chef("train", "train.yaml", fails=5).stderr
    assert f"fruit is being written by process {os.getpid()} on " in said


@pytest.mark.parametrize(
    ("named", "said"),
    [
        (("--server", "http://127.0.0.1:9/v1"), "no model is named"),
        (("--policy", "nowhere/at-all"), "no model 'nowhere/at-all' here"),
    ],
)
def test_a_policy_that_is_not_there_is_told_before_anything_heavy_is_imported(
    workspace: Any, named: tuple[str, str], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    without_torch(workspace, monkeypatch)
    assert said in workspace.chef("propose", *ASKED, *named, fails=1).stderr


@pytest.mark.slow
def test_a_vllm_server_proposes(workspace: Any, vllm_server: Any) -> None:
    asked = (*ASKED, "--server", vllm_server.url, "--policy", vllm_server.model, "-n", "2")
    found = workspace.json("propose", *asked, "--samples", "8")
    assert len(found) == 2
    for one in found:
        workspace.chef("check", one["path"])
