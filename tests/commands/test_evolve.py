"""`chef evolve` from end to end, with the real reward and real measurements of a tiny model."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from datachef.core import Host
from datachef.core.registry.factories import build_evaluation_backend
from datachef.core.system.lock import locked
from datachef.policy.commands.evolve import line, load_evolve_settings, view
from datachef.policy.evolve.run_state import RunProgress
from datachef.reward.evaluation_backend import FineTuningBackend, FineTuningOptions
from datachef.reward.history import History
from datachef.reward.proxy.fit import FEWEST_MEASURED

EVOLVE = ("evolve", "evolve.yaml")
LIMITS = {
    "operators": ["exact_dedup", "length_filter", "weighted_mix"], "source_steps": 1,
    "corpus_steps": 1, "values": 2, "weights": [1, 2, 4], "budgets": [0.25, 0.5, 1.0],
}  # fmt: skip
SETTINGS = {
    "train": {
        "tasks": [{"task": "task.yaml", "pool": "pool.yaml"}], "seed": 2,
        "recipes_per_step": 4, "recipes_per_prompt": 4, "batch": 4, "prompt_tokens": 64,
        "save_steps": 1, "limits": LIMITS, "reward": {"options": {"rows": 150}},
    },
    "output": "run", "rounds": 2, "steps_per_round": 2, "samples_per_round": 2,
    "measured_first": 5, "measured_per_round": 1, "final_seeds": 1, "baselines": ["sources"],
    "evaluation": {
        "base_model": "base", "items": 10, "training": {"max_tokens": 3000, "max_length": 64},
    },
}  # fmt: skip


@pytest.fixture
def workspace(tmp_path: Path, make_workspace: Callable[..., Any]) -> Any:
    """A task, a pool and an evolve.yaml."""
    workspace = make_workspace(tmp_path, budget={"tokens": 6000})
    workspace.write("evolve.yaml", SETTINGS)
    return workspace


@pytest.mark.slow
def test_recipes_evolve_and_a_killed_run_goes_on(workspace: Any, base_model: str) -> None:
    run = workspace.folder / "run"
    evaluation = {**SETTINGS["evaluation"], "base_model": base_model}
    workspace.write("evolve.yaml", {**SETTINGS, "evaluation": evaluation})
    killed = workspace.start(*EVOLVE)
    while killed.poll() is None and not (run / "policy" / "checkpoint-1").exists():
        time.sleep(0.05)
    killed.send_signal(signal.SIGKILL)
    killed.communicate()
    measured = [m.created for m in History(run / "history.sqlite").measurements()]
    assert len(measured) == 5
    report = workspace.json(*EVOLVE)
    assert report["task"] == "fruit"
    assert (report["rounds"], report["steps"]) == (2, 4)
    # What people try first, 20 random recipes, and those of two rounds.
    calls = 4 + 20 + 2 * (8 + 2)
    assert report["reward_calls"] == calls
    again = History(run / "history.sqlite").measurements()
    assert [m.created for m in again][:5] == measured, "nothing is measured twice"
    assert {m.base_model for m in again} == {base_model}
    policy, sources = report["methods"]
    assert (policy["method"], sources["method"]) == ("policy", "sources")
    assert policy["chosen_among"] >= 2
    for method in report["methods"]:
        assert 0 < method["score"] < 1
        assert method["bits_per_byte"] > 0
        assert method["seeds"] == [1]
    assert report["fidelity"]["before"] is None
    # Which recipes are drawn is not for this test: some may be measured again, and too few be left.
    different = len({m.recipe_key for m in again if m.seed == 0})
    known = report["fidelity"]["after"]
    assert (known and known["recipes"]) == (different if different >= FEWEST_MEASURED else None)
    assert report["first"][0]["name"].startswith("first-only-")
    assert all(best["by"] for best in report["best"])
    workspace.chef("check", f"run/{report['best'][0]['file']}")
    assert report["effects"]
    page = (run / "report.html").read_text()
    assert all(f"{method['score']:.4f}" in page for method in report["methods"])
    shown = (run / "report.md").read_text()
    assert f"| policy | {calls} |" in shown
    assert not list(run.glob("measuring-*"))


@pytest.mark.parametrize(
    ("change", "status", "said"),
    [
        ({"evaluation": {"itms": 3}}, 1, "itms"),
        ({"evaluation": {"training": {"epoch": 3}}}, 1, "training.epoch"),
        ({"budget": {"evaluations": 2}}, 2, "the comparison takes 2"),
        ({"rounds": 0}, 2, "rounds"),
        ({"evaluation_backend": "lab"}, 1, "there is no evaluation backend 'lab'"),
        ({"train": {**SETTINGS["train"], "steps": 7}}, 2, "train.steps is not for this file"),
        ({"train": {**SETTINGS["train"], "reward": {"options": {"history": "a"}}},
          "evaluation": {"history": "b"}}, 1, "name one history"),
    ],
)  # fmt: skip
def test_mistakes_are_told_in_words(
    workspace: Any, change: dict[str, Any], status: int, said: str
) -> None:
    workspace.write("evolve.yaml", {**SETTINGS, **change})
    assert said in workspace.chef(*EVOLVE, fails=status).stderr
    assert not (workspace.folder / "run").exists()


def test_two_runs_do_not_share_an_output(workspace: Any) -> None:
    scratch = workspace.folder / "run" / "measuring-of-the-first"
    scratch.mkdir(parents=True)
    with locked(workspace.folder / "run"):
        said = workspace.chef(*EVOLVE, fails=5).stderr
    assert f"run is being written by process {os.getpid()} on " in said
    assert scratch.exists()


def test_the_history_of_the_reward_is_where_measurements_go(workspace: Any) -> None:
    train = {**SETTINGS["train"], "reward": {"options": {"history": "known.sqlite"}}}
    workspace.write("evolve.yaml", {**SETTINGS, "train": train})
    settings = load_evolve_settings(workspace.folder / "evolve.yaml")
    config = settings.evaluation_config(
        folder=workspace.folder, cache=workspace.folder / "cache", plugin_files=()
    )
    backend = build_evaluation_backend(Host(), settings.evaluation_backend, config)
    assert isinstance(backend, FineTuningBackend)
    # Nothing was measured yet: the reward is the prior, and there is nothing to fit.
    assert backend.refit(workspace.folder / "proxy.json", None) is None
    assert not (workspace.folder / "proxy.json").exists()
    backend.reward(None).close()


def test_a_run_is_shown(workspace: Any) -> None:
    from rich.console import Console

    settings = load_evolve_settings(workspace.folder / "evolve.yaml")
    settings = settings.model_copy(
        update={"budget": settings.budget.model_copy(update={"minutes": 2, "reward_calls": 100})}
    )
    state = RunProgress(
        "training", round=1, rounds=2, step=1, steps=4, mean=-0.5, best=0.25, calls=24, seconds=30
    )
    assert line(state) == (
        "training | round 1 of 2, step 1 of 4, mean -0.5000, best 0.2500, 24 calls, 0 evaluations, "
        "30.0 s"
    )
    out = Console(width=80, record=True, file=open(os.devnull, "w"))  # noqa: SIM115, PTH123
    out.print(view(state, settings))
    shown = out.export_text()
    out.file.close()
    for part in ("mean -0.5000, best 0.2500", "76 left", "90.0 s left", "none yet"):
        assert part in shown


def test_the_example_is_valid() -> None:
    file = Path(__file__).parents[2] / "examples" / "policy" / "evolve.yaml"
    settings = load_evolve_settings(file)
    assert settings.output == file.parent / "runs" / "evolve"
    FineTuningOptions.model_validate(settings.evaluation)
