"""A training that stopped, whenever it did, goes on as if it had not."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from datachef.core import DatachefError, Reward, RunError, Score
from datachef.policy.model import CARD_FILE as CARD, is_complete
from datachef.policy.scored_recipes import RecipeTask, ScoreTracker
from datachef.policy.settings import TrainSettings
from datachef.policy.training.log import LOG_FILE as LOG, read_log
from datachef.policy.training.train import checkpoint_step, last_checkpoint, train

# Several prompts a step, and several batches.
VARIED = {
    "recipes_per_prompt": 4,
    "batch": 4,
    "subsets": {"operators": [0.3, 1.0], "sources": [0.5, 1.0]},
}
KINDS = [
    pytest.param({"algorithm": "grpo"}, id="grpo"),
    pytest.param({"algorithm": "rloo", "kl": 0.01}, id="rloo"),
    pytest.param({"algorithm": "ppo"}, id="ppo"),
    pytest.param({"algorithm": "grpo", "kl": 0.01, "lora": {"rank": 4}}, id="grpo-lora"),
    pytest.param({"algorithm": "ppo", "lora": {"rank": 4}}, id="ppo-lora"),
]

Settings = Callable[..., TrainSettings]


class Failing(Reward):
    """Scores by the sources until it was asked so often, and then breaks."""

    def __init__(self, calls: int) -> None:
        self._left = calls

    def score_all(self, recipes: Any, base_dir: Path) -> list[Score]:
        self._left -= 1
        if self._left < 0:
            raise RuntimeError("out of memory")
        return super().score_all(recipes, base_dir)

    def score(self, recipe: Mapping[str, Any], base_dir: Path) -> Score:
        return Score(float(set(recipe["sources"]) == {"first"}))


@pytest.fixture
def trained(
    settings: Settings, recipe_task: RecipeTask, model: Path, tmp_path: Path
) -> Callable[..., Path]:
    """Trains into a folder, with a reward that may break."""

    def until(folder: str, steps: int, *, calls: int = 1_000, **changed: Any) -> Path:
        asked = settings(steps=6, output=tmp_path / folder, **VARIED | changed)
        return train(
            asked, [recipe_task], [ScoreTracker(Failing(calls), tmp_path)], model, steps=steps
        )

    return until


def saved(checkpoint: Path) -> dict[str, torch.Tensor]:
    """All weights of a checkpoint: the policy's, the critic's, and what optimizers know of them."""
    found = {
        f"{file.name} {name}": part
        for file in checkpoint.glob("*.safetensors")
        for name, part in load_file(file).items()
    }
    state = torch.load(checkpoint / "optimizer.pt")["state"]
    return found | {
        f"optimizer {number} {name}": part
        for number, parts in state.items()
        for name, part in parts.items()
    }


def same(one: Path, other: Path) -> bool:
    first, second = saved(one), saved(other)
    assert first.keys() == second.keys()
    return all(torch.equal(part, second[name]) for name, part in first.items())


@pytest.mark.parametrize("changed", KINDS)
def test_two_halves_are_the_whole(
    trained: Callable[..., Path], changed: dict[str, Any], tmp_path: Path
) -> None:
    whole = trained("whole", 4, **changed)
    half = trained("halves", 2, **changed)
    assert checkpoint_step(half) == 2
    assert not same(half, whole)
    assert same(trained("halves", 4, **changed), whole)
    logs = [(tmp_path / folder / LOG).read_bytes() for folder in ("whole", "halves")]
    assert logs[0] == logs[1]
    assert len(read_log(tmp_path / "whole")) == 32


@pytest.mark.parametrize("algorithm", ["grpo", "ppo"])
def test_a_kill_costs_what_came_after_the_last_whole_checkpoint(
    trained: Callable[..., Path], algorithm: str, tmp_path: Path
) -> None:
    changed = {"algorithm": algorithm, "save_steps": 2}
    whole = trained("whole", 6, **changed)
    with pytest.raises(RuntimeError, match="out of memory"):
        trained("killed", 6, calls=5, **changed)
    folder = tmp_path / "killed"
    assert [row.step for row in read_log(folder)] == [step for step in range(5) for _ in range(8)]
    # As if the process had died while it saved, and while it wrote a line.
    (folder / "checkpoint-4" / CARD).unlink()
    (folder / "checkpoint-4" / "optimizer.pt").write_bytes(b"")
    with (folder / LOG).open("ab") as stream:
        stream.write(b'{"step": 5, "ta')
    assert same(trained("killed", 6, **changed), whole)
    assert (folder / LOG).read_bytes() == (tmp_path / "whole" / LOG).read_bytes()
    assert is_complete(folder / "checkpoint-4")


def test_what_is_done_is_not_done_again(trained: Callable[..., Path]) -> None:
    done = trained("done", 2)
    before = {path: path.stat().st_mtime_ns for path in done.iterdir()}
    assert trained("done", 2, calls=0) == done
    assert trained("done", 1, calls=0) == done
    assert {path: path.stat().st_mtime_ns for path in done.iterdir()} == before


def test_a_run_of_another_seed_is_another_run(trained: Callable[..., Path], tmp_path: Path) -> None:
    one, other = trained("one", 2), trained("other", 2, seed=1)
    assert not same(one, other)
    recipes = [[row.recipe for row in read_log(tmp_path / name)] for name in ("one", "other")]
    assert recipes[0] != recipes[1]


def test_only_whole_checkpoints_count(trained: Callable[..., Path], tmp_path: Path) -> None:
    assert last_checkpoint(tmp_path / "nowhere") is None
    trained("run", 3, save_steps=1)
    folder = tmp_path / "run"
    assert sorted(path.name for path in folder.glob("checkpoint-*")) == [
        "checkpoint-2",
        "checkpoint-3",
    ]
    (folder / "checkpoint-10").mkdir()
    assert last_checkpoint(folder) == folder / "checkpoint-3"
    (folder / "checkpoint-3" / "config.json").unlink()
    assert last_checkpoint(folder) == folder / "checkpoint-2"


@pytest.mark.parametrize("damage", ["cut off", "one byte", "gone", "no card"])
def test_a_damaged_checkpoint_falls_back_to_the_one_before(
    trained: Callable[..., Path],
    tmp_path: Path,
    damage: str,
    capfd: pytest.CaptureFixture[str],
) -> None:
    last = trained("run", 3, save_steps=1)
    weights, raw = last / "model.safetensors", (last / "model.safetensors").read_bytes()
    before = saved(last)
    if damage == "no card":
        (last / CARD).write_text("{")
    else:
        weights.unlink()  # what was loaded is a view of the file, which is gone by its name alone
    if damage == "cut off":
        weights.write_bytes(raw[:-10])
    elif damage == "one byte":
        weights.write_bytes(raw[:-1] + bytes([raw[-1] ^ 1]))
    assert trained("run", 3, save_steps=1) == last
    assert "checkpoint-3 is damaged (checkpoint-3/" in capfd.readouterr().err
    after = saved(last)
    assert all(torch.equal(part, after[name]) for name, part in before.items())
    assert len(read_log(tmp_path / "run")) == 24


def test_what_others_keep_in_the_output_survives(
    trained: Callable[..., Path], tmp_path: Path
) -> None:
    folder = tmp_path / "run"
    trained("run", 1, save_steps=1)
    theirs = [folder / "README.md", folder / "notes" / "a.md", folder / "checkpoint-1" / "why.md"]
    for path in theirs:
        path.parent.mkdir(exist_ok=True)
        path.write_text("mine")
    trained("run", 4, save_steps=1)
    assert [path.read_text() for path in theirs] == ["mine"] * 3
    assert [path.name for path in (folder / "checkpoint-1").iterdir()] == ["why.md"]
    assert not list((folder / "trainer").glob("checkpoint-*"))
    (folder / "checkpoint-500").mkdir()
    (folder / "checkpoint-500" / "weights").write_text("mine")
    with pytest.raises(RunError, match="checkpoint-500 was not written by this training"):
        trained("run", 5)
    assert (folder / "checkpoint-500" / "weights").read_text() == "mine"


@pytest.mark.parametrize(
    "name", ["checkpoint-500/model.safetensors", "README.md", "recipes.jsonl", "cold-start/a", ".x"]
)
def test_a_folder_of_somebody_else_is_refused(
    trained: Callable[..., Path], tmp_path: Path, name: str
) -> None:
    path = tmp_path / "run" / name
    path.parent.mkdir(parents=True)
    path.write_text("mine")
    with pytest.raises(RunError, match="run exists and is not a training of datachef: it holds"):
        trained("run", 1)
    assert [p for p in (tmp_path / "run").rglob("*") if p.is_file()] == [path]
    assert path.read_text() == "mine"


def test_a_changed_log_is_named_with_its_line(trained: Callable[..., Path], tmp_path: Path) -> None:
    trained("run", 1)
    with (tmp_path / "run" / LOG).open("ab") as stream:
        stream.write(b'{"step": "two"}\n')
    with pytest.raises(DatachefError, match=r"recipes\.jsonl:9 is no line of the log"):
        trained("run", 2)
