"""Scores many recipes at a time, each process with a reward of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from datachef.core.document import Document
from datachef.core.process_pool import ProcessPool
from datachef.core.reward import Reward, RewardSetting, Score

_REWARD: list[Reward] = []


class ParallelReward(Reward):
    """A reward whose recipes are scored by `workers` processes; scores do not depend on how many.

    `build` makes the reward in each of them and must be importable, as a function of a module is.
    """

    def __init__(
        self, build: Callable[[RewardSetting], Reward], setting: RewardSetting, workers: int
    ) -> None:
        self._pool = ProcessPool(workers, _begin, build, setting)

    def score(self, recipe: Document) -> Score:
        return self._pool.submit(_score, recipe).result()

    def score_all(self, recipes: Iterable[Document]) -> list[Score]:
        return list(self._pool.map(_score, recipes))

    def close(self) -> None:
        self._pool.shutdown(cancel_futures=True)


def _begin(build: Callable[[RewardSetting], Reward], setting: RewardSetting) -> None:
    _REWARD[:] = [build(setting)]


def _score(recipe: Document) -> Score:
    return _REWARD[0].score(recipe)
