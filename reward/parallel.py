"""Scores many recipes at a time, each process with a reward of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from itertools import repeat
from pathlib import Path
from typing import Any

from datachef.core.contracts.reward import Reward, RewardConfig, Score
from datachef.core.system.child_process import ProcessPool

_REWARD: list[Reward] = []


class ParallelReward(Reward):
    """A reward whose recipes are scored by `workers` processes; scores do not depend on how many.

    `build` makes the reward in each of them and must be importable, as a function of a module is.
    """

    def __init__(
        self, build: Callable[[RewardConfig], Reward], config: RewardConfig, workers: int
    ) -> None:
        self._pool = ProcessPool(workers, _begin, build, config)

    def score(self, recipe: Mapping[str, Any], base_dir: Path) -> Score:
        return self._pool.submit(_score, recipe, base_dir).result()

    def score_all(self, recipes: Iterable[Mapping[str, Any]], base_dir: Path) -> list[Score]:
        return list(self._pool.map(_score, recipes, repeat(base_dir)))

    def close(self) -> None:
        self._pool.shutdown(cancel_futures=True)


def _begin(build: Callable[[RewardConfig], Reward], config: RewardConfig) -> None:
    _REWARD[:] = [build(config)]


def _score(recipe: Mapping[str, Any], base_dir: Path) -> Score:
    return _REWARD[0].score(recipe, base_dir)
