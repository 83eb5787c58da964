"""The laboratory of `chef evolve`: our reward, our evaluation, one history."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from datachef.core import DatachefError, Host, Reward, located
from datachef.core.system.atomic import beside, clear_leftovers
from datachef.core.system.paths import located_or_named
from datachef.plugins.policy.building import reward_of
from datachef.policy.evolve.laboratory import Laboratory
from datachef.policy.evolve.run_state import Fidelity
from datachef.reward.evaluation import Training
from datachef.reward.metrics.unit_tests import AllowCode

if TYPE_CHECKING:
    from datachef.policy.settings import EvolveSettings
    from datachef.reward.history import History, Measured
    from datachef.reward.measuring import Protocol
    from datachef.reward.scorer import RecipeReward

# The reward that learns from measurements.
LEARNS = "proxy"
SCRATCH = "measuring"

M = TypeVar("M", bound=BaseModel)


class Measuring(BaseModel):
    """How recipes are measured: `measuring` of an evolve.yaml."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    history: Path | None = Field(
        None, description="Where measurements are kept, and learned from; in the output by default."
    )
    base_model: str | None = Field(None, description="What is fine-tuned; the task's by default.")
    training: dict[str, Any] = Field(default_factory=dict, description="Settings of training.")
    items: int = Field(200, ge=0, description="Questions of the benchmark to ask; 0 asks all.")
    accuracy: bool = Field(False, description="Score answers too, besides their bits.")
    allow_code: AllowCode = Field(
        False,
        description="Let unit tests run what the model wrote: true, where this system can confine "
        "it; unconfined, everywhere.",
    )


class RewardLaboratory(Laboratory):
    """Measures by training on whole corpora, and fits the proxy to the history.

    A reward other than `proxy` is asked as it is, since it has no proxy of ours to replace.
    """

    def __init__(self, host: Host, settings: EvolveSettings, folder: Path, cache: Path) -> None:
        """Relative paths among options begin in `folder`. Raises `DatachefError` for options that
        make no sense together."""
        self._host = host
        self._settings = settings
        self._folder = folder
        self._cache = cache
        self._task = settings.train.tasks[0]
        self._options = dict(settings.train.reward.options)
        self._measuring = _understood("measuring", Measuring, settings.measuring)
        self._training = _understood("measuring.training", Training, self._measuring.training)
        taught = self._options.pop("history", None) if self._learns else None
        told = self._measuring.history
        if len({located(folder, each) for each in (taught, told) if each is not None}) > 1:
            raise DatachefError(
                f"the proxy learns from {taught}, and measurements go to {told}",
                "name one history, for both",
            )
        kept = told or taught
        self._file = settings.output / "history.sqlite" if kept is None else located(folder, kept)
        clear_leftovers(settings.output / SCRATCH)

    def reward(self, proxy: Path | None) -> Reward:
        options = dict(self._options)
        if proxy is not None and self._learns:
            options["proxy"] = str(proxy.absolute())
        return self._reward(self._settings.train.reward.name, options)

    def measure(self, recipe: Path, seeds: Sequence[int]) -> list[Measured]:
        from datachef.reward.measuring import Evaluator

        output = self._settings.output
        output.mkdir(parents=True, exist_ok=True)
        scratch = beside(output / SCRATCH, "partial")
        scratch.mkdir()
        try:
            evaluator = Evaluator(self._ours, self._host, self._history, self._protocol, scratch)
            return evaluator.measure(recipe, seeds)
        finally:
            shutil.rmtree(scratch, ignore_errors=True)

    def refit(self, target: Path) -> bool:
        import orjson

        from datachef.core.system.atomic import write_atomically
        from datachef.reward.proxy.fit import fit_proxy

        if not self._enough:
            return False
        proxy = fit_proxy(self._history, self._ours.task, self._settings.train.seed)
        write_atomically(target, orjson.dumps(proxy.to_data()))
        return True

    def fidelity(self) -> Fidelity | None:
        from datachef.reward.proxy.fit import fit_report

        if not self._enough:
            return None
        task = self._ours.task
        report = fit_report(self._history, task, self._settings.train.seed)
        if (found := report.by_recipe.get(task.name)) is None:
            return None
        rank = found.rank_correlation
        return Fidelity(recipes=found.recipes, correlation=rank.value, low=rank.low, high=rank.high)

    @property
    def _enough(self) -> bool:
        """Whether a proxy can be fitted."""
        from datachef.reward.identity import task_key
        from datachef.reward.proxy.fit import FEWEST_MEASURED, comparable_measurements

        found = comparable_measurements(
            self._history.measurements(task_key=task_key(self._ours.task))
        )
        return len({measured.recipe_key for measured in found}) >= FEWEST_MEASURED

    @property
    def _learns(self) -> bool:
        return self._settings.train.reward.name == LEARNS

    @cached_property
    def _ours(self) -> RecipeReward:
        """Checks and describes what is measured, with the features that the proxy learns from."""
        unused = ("proxy", "workers")
        options = {name: value for name, value in self._options.items() if name not in unused}
        return cast("RecipeReward", self._reward(LEARNS, options if self._learns else {}))

    @cached_property
    def _history(self) -> History:
        from datachef.reward.history import History

        return History(self._file)

    @cached_property
    def _protocol(self) -> Protocol:
        from datachef.reward.measuring import Protocol

        wanted = self._measuring
        model = wanted.base_model or self._ours.task.base_model
        if wanted.base_model is not None:
            model = located_or_named(self._folder, wanted.base_model)
        return Protocol(
            model=model,
            training=self._training,
            items=wanted.items or None,
            accuracy=wanted.accuracy,
            allow_code=wanted.allow_code,
        )

    def _reward(self, name: str, options: dict[str, Any]) -> Reward:
        from datachef.policy.settings import RewardChoice

        return reward_of(
            self._host,
            RewardChoice(name=name, options=options),
            self._task.task,
            self._task.pool,
            folder=self._folder,
            cache=self._cache,
            seed=self._settings.train.seed,
        )


def _understood(name: str, model: type[M], data: dict[str, Any]) -> M:
    try:
        return model.model_validate(data)
    except ValidationError as error:
        raise DatachefError(f"{name}: {error}") from error
