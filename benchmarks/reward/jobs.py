"""What a campaign of true measurements consists of, and in which order it is done."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, zip_longest
from pathlib import Path

# Good, middling and bad: noise may differ along the way. One more than are needed: two may make the
# same corpus.
REPEATED = (
    "adapted-clean", "sensible-clean", "sensible-broad", "all", "random-0", "random-1",
    "absurd-off-topic",
)  # fmt: skip


@dataclass(frozen=True)
class Job:
    """One measurement: a recipe of the task in `folder`, trained with `seed`."""

    folder: Path
    recipe: Path
    seed: int

    def __str__(self) -> str:
        return f"{self.folder.name} {self.recipe.stem} seed {self.seed}"


def ordered_jobs(
    recipes: Mapping[Path, Sequence[Path]], seeds: int, noise: int, order: int
) -> list[Job]:
    """All measurements of tasks, given by their folders, with their recipes.

    Every recipe with the first seed, then with the second of `seeds`, and so on; at last seven
    recipes of each task with `noise` more seeds, which tell how much of a score is chance. Tasks
    take turns, and recipes come in an order drawn by `order`, so that a campaign that is stopped
    has measured something of everything.
    """
    rng = random.Random(order)
    shuffled = {folder: rng.sample(paths, len(paths)) for folder, paths in recipes.items()}
    repeated = {
        f: [path for path in paths if path.stem in REPEATED] for f, paths in recipes.items()
    }
    jobs = [job for seed in range(seeds) for job in _in_turns(shuffled, seed)]
    return jobs + [j for seed in range(seeds, seeds + noise) for j in _in_turns(repeated, seed)]


def _in_turns(recipes: Mapping[Path, Sequence[Path]], seed: int) -> list[Job]:
    of_tasks = [[Job(folder, path, seed) for path in paths] for folder, paths in recipes.items()]
    return [job for job in chain.from_iterable(zip_longest(*of_tasks)) if job is not None]
