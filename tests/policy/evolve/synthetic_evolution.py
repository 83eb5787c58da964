"""A whole run with an evaluation backend that costs nothing, in a process that a test may kill.

Tests put this folder on the path of their processes, which find this module by its name.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from hashlib import blake2b
from pathlib import Path
from typing import Any, NamedTuple

from datachef.core import DatachefError, EvaluationBackend, Host, ProxyFidelity, Reward, Score
from datachef.core.document import read
from datachef.core.system.atomic import write_atomically
from datachef.core.system.progress import tell
from datachef.policy.evolve.loop import EvolveResult, evolve
from datachef.policy.model import policy_model
from datachef.policy.scored_recipes import RecipeTask, recipe_key
from datachef.policy.settings import EvolveSettings, GrammarLimits, TaskAndPool, TrainSettings

LIMITS = GrammarLimits(
    operators=("exact_dedup", "fix_unicode", "length_filter", "weighted_mix"),
    source_steps=1,
    corpus_steps=1,
    values=3,
    weights=(1, 4),
    budgets=(0.5, 1.0),
)
# Settings of a training that an evolution has its own of.
APART = {"output", "steps", "baselines"}
POOL = """
sources:
  pages: {path: pages.jsonl}
  notes: {path: notes.jsonl}
  spam: {path: spam.jsonl}
"""
TASK = """
name: sums
instruction: Add.
benchmark: {path: test.jsonl, prompt: ask, answer: tell}
budget: {tokens: 1_000}
"""


class Point(NamedTuple):
    """A measurement."""

    recipe_key: str
    seed: int
    score: float
    scores: dict[str, float]
    seconds: float = 0.0
    score_name: str = "accuracy"
    chance: float | None = 0.25
    base: float | None = 0.25
    ceiling: float | None = 1.0


class Taste(Reward):
    """Likes pages, stops spam, and believes what a proxy says of sources."""

    def __init__(self, proxy: Path | None) -> None:
        self._known: dict[str, float] = json.loads(proxy.read_text()) if proxy else {}

    def score(self, recipe: Mapping[str, Any], base_dir: Path) -> Score:
        sources = sorted(recipe["sources"])
        if sources == ["spam"]:
            return Score(-1.5, gate="guardrails", reasons=("spam",))
        known = self._known.get(",".join(sources), 0.3)
        return Score(0.4 * known + 0.5 * truth(recipe))


class SyntheticBackend(EvaluationBackend):
    """An evaluation backend with one file per measurement, which takes its `seconds` and says that
    it took `told`; `low` is how well its proxy is sure to rank what was held out, and with `keeps`
    a refit is always worse."""

    def __init__(
        self,
        folder: Path,
        seconds: float = 0.0,
        broken: Sequence[str] = (),
        *,
        told: float = 0.0,
        low: float = 0.1,
        keeps: bool = False,
    ) -> None:
        self._folder = folder
        self._seconds = seconds
        self._broken = broken
        self._told = told
        self._low = low
        self._keeps = keeps

    def reward(self, proxy: Path | None) -> Reward:
        return Taste(proxy)

    def measure(self, recipe: Path, seeds: Sequence[int]) -> list[Point]:
        if recipe.stem in self._broken:
            raise DatachefError(f"{recipe.stem} leaves no row to train on")
        data = read(recipe).data
        key = blake2b(recipe_key(data), digest_size=8).hexdigest()
        found = []
        for seed in seeds:
            file = self._folder / f"{key}-{seed}.json"
            if not file.exists():
                self._begun(file.stem)
                tell("training, step 1 of 1")
                time.sleep(self._seconds)
                chance = blake2b(file.stem.encode(), digest_size=1).digest()[0] / 255
                score = 0.9 * truth(data) + 0.05 * chance
                content = {"sources": sorted(data["sources"]), "score": score}
                write_atomically(file, json.dumps(content).encode())
            score = json.loads(file.read_text())["score"]
            found.append(Point(key, seed, score, {"bits_per_byte": 1 - score}, self._told))
        return found

    def refit(self, target: Path, last: Path | None) -> Path | None:
        rows = self._rows()
        if len(rows) < 3:
            return None
        known: dict[str, list[float]] = {}
        for row in rows:
            known.setdefault(",".join(row["sources"]), []).append(row["score"])
        means = {name: sum(scores) / len(scores) for name, scores in known.items()}
        if self._keeps and last is not None:
            return last
        write_atomically(target, json.dumps(means).encode())
        return target

    def fidelity(self, proxy: Path) -> ProxyFidelity | None:
        rows = self._rows()
        if len(rows) < 3:
            return None
        return ProxyFidelity(recipes=len(rows), correlation=len(rows) / 100, low=self._low, high=1)

    def _rows(self) -> list[dict[str, Any]]:
        return [json.loads(file.read_text()) for file in sorted(self._folder.glob("[!.]*.json"))]

    def _begun(self, name: str) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        with (self._folder / "begun.log").open("a") as log:
            log.write(f"{name}\n")


def truth(recipe: Mapping[str, Any]) -> float:
    """What a recipe is worth: a large share of pages, without copies."""
    weights = recipe.get("mix", {}).get("weights") or dict.fromkeys(recipe["sources"], 1)
    share = weights.get("pages", 0) / sum(weights.values())
    last = [step["op"] for step in recipe.get("steps", ())]
    return 0.6 * share + 0.2 * ("exact_dedup" in last) + 0.1 * ("notes" in recipe["sources"])


def write_inputs(folder: Path) -> None:
    """The task, the pool and their data."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "task.yaml").write_text(TASK)
    (folder / "pool.yaml").write_text(POOL)
    (folder / "test.jsonl").write_text('{"ask": "1 + 1?", "tell": "2"}\n')
    for name in ("pages", "notes", "spam"):
        rows = [{"text": f"{name} {i} is about rivers and what swims there."} for i in range(60)]
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


def settings_of(folder: Path, output: str, **changes: Any) -> EvolveSettings:
    """Small ones, with real training."""
    task = TaskAndPool(task=folder / "task.yaml", pool=folder / "pool.yaml")
    train = TrainSettings(
        tasks=(task,), output=Path(), limits=LIMITS, recipes_per_step=8, recipes_per_prompt=8,
        batch=8, prompt_tokens=64, save_steps=1,
    )  # fmt: skip
    given: dict[str, Any] = {
        "train": train.model_dump(mode="json", exclude=APART), "output": output,
        "rounds": 2, "steps_per_round": 2, "samples_per_round": 8, "measured_first": 2,
        "seeds": 1, "final_seeds": 2, "baselines": ("sources", "random"),
    }  # fmt: skip
    return EvolveSettings.model_validate(given | changes).located_in(folder)


def run(
    folder: Path, output: str, backend: SyntheticBackend, on_progress: Any = None, **changes: Any
) -> tuple[EvolveResult, EvolveSettings]:
    """The whole loop, in this process."""
    import torch

    torch.set_num_threads(1)
    settings = settings_of(folder, output, **changes)
    task = settings.train.tasks[0]
    recipe_task = RecipeTask.load(Host(), task.task, task.pool, LIMITS)
    model = policy_model("tiny", [recipe_task], folder / "cache")
    return evolve(settings, recipe_task, backend, model, on_progress), settings


def run_alone(folder: Path, output: str, seconds: float, changes: dict[str, Any]) -> None:
    """The whole loop, as the only thing that a process does."""
    run(folder, output, SyntheticBackend(folder / f"{output}-history", seconds), **changes)
