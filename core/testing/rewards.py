"""The contract of rewards, and the recipe on which they are tried."""

from __future__ import annotations

import copy
import json
import math
from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any, ClassVar

from datachef.core.contracts.reward import Reward, RewardConfig, Score
from datachef.core.document import dump

_TASK = {"name": "whales", "benchmark": {"path": "benchmark.jsonl"}}
_ITEM = {"prompt": "Is a whale a fish?", "answer": "no"}


class RewardContract:
    """Subclass it in a test module and set `reward`, the class or function that is registered.

    Set `options` for a reward that needs some, and override `recipe` for one that needs another.
    """

    reward: ClassVar[Callable[[RewardConfig], Reward]]
    options: ClassVar[Mapping[str, Any]] = {}

    def recipe(self, folder: Path) -> dict[str, Any]:
        """A recipe as plain data, whose files lie in the folder; `task.yaml` is there."""
        rows = [{"text": f"Whale {number} lives in the sea."} for number in range(30)]
        (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        return {
            "name": "whales",
            "task": "task.yaml",
            "sources": {"pages": {"path": "rows.jsonl"}},
        }

    def built(self, folder: Path) -> Reward:
        """The reward, for the task in the folder."""
        config = RewardConfig(
            folder / "task.yaml", None, folder, folder / "cache", options=self.options
        )
        reward = type(self).reward(config)
        assert isinstance(reward, Reward), f"it builds {reward!r}, no Reward"
        return reward

    def test_scores_lie_in_their_range(self, tmp_path: Path) -> None:
        """`value` is in [-1, 1], and in [-2, -1) for a recipe that must not be trained on."""
        recipes = self._recipes(tmp_path)
        with closing(self.built(tmp_path)) as reward:
            scores = [reward.score(recipe, tmp_path) for recipe in recipes]
        for score in scores:
            assert isinstance(score, Score), f"score() gave {score!r}, no Score"
            assert math.isfinite(score.value) and -2 <= score.value <= 1
            assert score.value >= -1 or score.gate or score.reasons, "say why it is refused"

    def test_is_deterministic(self, tmp_path: Path) -> None:
        """The same recipe, data and seed give the same score, also from a reward built again."""
        recipe, _ = self._recipes(tmp_path)
        with closing(self.built(tmp_path)) as reward:
            first, second = (repr(reward.score(recipe, tmp_path)) for _ in range(2))
        with closing(self.built(tmp_path)) as again:
            assert first == second == repr(again.score(recipe, tmp_path))

    def test_leaves_the_recipe_alone(self, tmp_path: Path) -> None:
        """Policies score the same recipe again: copy what you change."""
        recipe, _ = self._recipes(tmp_path)
        before = copy.deepcopy(recipe)
        with closing(self.built(tmp_path)) as reward:
            reward.score(recipe, tmp_path)
        assert recipe == before

    def test_scores_several_recipes_as_one_by_one(self, tmp_path: Path) -> None:
        """score_all() gives the scores of score(), in the order of the recipes."""
        recipes = self._recipes(tmp_path)
        with closing(self.built(tmp_path)) as reward:
            alone = [reward.score(recipe, tmp_path).value for recipe in recipes]
            assert [score.value for score in reward.score_all(recipes, tmp_path)] == alone

    def _recipes(self, folder: Path) -> list[dict[str, Any]]:
        """The recipe, and one of fewer rows."""
        (folder / "benchmark.jsonl").write_text(json.dumps(_ITEM) + "\n")
        (folder / "task.yaml").write_text(dump(_TASK))
        recipe = self.recipe(folder)
        fewer = {name: {**source, "take": 9} for name, source in recipe["sources"].items()}
        return [recipe, {**recipe, "sources": fewer}]
