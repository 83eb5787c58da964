"""The evaluation backend `fine_tuning`: trains the base model on corpora, and keeps one history."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from pydantic import Field, ValidationError

from datachef.core.contracts.reward import (
    EvaluationBackend,
    EvaluationConfig,
    ProxyFidelity,
    Reward,
)
from datachef.core.errors import DatachefError
from datachef.core.registry.factories import build_reward
from datachef.core.registry.host import Host
from datachef.core.system.atomic import beside, clear_leftovers
from datachef.core.system.paths import located, located_or_named
from datachef.core.system.progress import tell
from datachef.reward.evaluation import EvaluationSettings

if TYPE_CHECKING:
    from datachef.reward.history import History
    from datachef.reward.measurement import MeasurementRecord
    from datachef.reward.scorer import RecipeReward

# The reward whose predictions are fitted to measurements.
PROXY = "proxy"
SCRATCH = "measuring"


class FineTuningOptions(EvaluationSettings):
    """The section `evaluation` of an evolve.yaml."""

    accuracy: bool = Field(False, description="Score answers too, besides their bits.")
    history: Path | None = Field(
        None, description="Where measurements are kept, and learned from; in the output by default."
    )


class FineTuningBackend(EvaluationBackend):
    """Measures by fine-tuning on whole corpora, and fits the proxy to the history.

    A reward other than `proxy` is used as configured: it has no proxy that could be replaced.
    """

    def __init__(self, config: EvaluationConfig) -> None:
        """Raises `DatachefError` for options that contradict each other."""
        self._config = config
        self._host = Host(config.reward.plugin_files)
        self._folder = config.reward.folder
        self._options = dict(config.reward.options)
        try:
            self._evaluation = FineTuningOptions.model_validate(config.options)
        except ValidationError as error:
            raise DatachefError(f"evaluation: {error}") from error
        if (model := self._evaluation.base_model) is not None:
            located_model = {"base_model": located_or_named(self._folder, model)}
            self._evaluation = self._evaluation.model_copy(update=located_model)
        fitted_to = self._options.pop("history", None) if self._fits_proxy else None
        kept_in = self._evaluation.history
        named = [path for path in (fitted_to, kept_in) if path is not None]
        if len({located(self._folder, path) for path in named}) > 1:
            raise DatachefError(
                f"the proxy learns from {fitted_to}, and measurements go to {kept_in}",
                "name one history, for both",
            )
        default = config.output / "history.sqlite"
        self._file = located(self._folder, named[0]) if named else default
        clear_leftovers(config.output / SCRATCH)

    def reward(self, proxy: Path | None) -> Reward:
        options = dict(self._options)
        if self._fits_proxy:
            option, file = ("prior", self._file) if proxy is None else ("proxy", proxy)
            options[option] = str(file.absolute())
        return self._reward(self._config.reward_name, options)

    def measure(self, recipe: Path, seeds: Sequence[int]) -> list[MeasurementRecord]:
        from datachef.reward.evaluation.evaluator import Evaluator

        output = self._config.output
        output.mkdir(parents=True, exist_ok=True)
        scratch = beside(output / SCRATCH, "partial")
        scratch.mkdir()
        try:
            evaluator = Evaluator(
                self._proxy_reward, self._host, self._history, self._evaluation, scratch
            )
            return evaluator.measure(recipe, seeds)
        finally:
            shutil.rmtree(scratch, ignore_errors=True)

    def refit(self, target: Path, last: Path | None) -> Path | None:
        import orjson

        from datachef.core.system.atomic import write_atomically
        from datachef.reward.proxy import Proxy
        from datachef.reward.proxy.fit import is_worth_fitting
        from datachef.reward.proxy.refit import refit_proxy

        task, codes = self._proxy_reward.task, self._proxy_reward.plugin_functions.codes
        if not is_worth_fitting(self._history, task):
            return None
        known = Proxy.load(last) if last is not None else None
        proxy = refit_proxy(self._history, task, known, self._config.reward.seed, codes)
        if proxy.comparison is not None:
            tell(proxy.comparison.verdict)
            if proxy.comparison.worse:
                return last
        write_atomically(target, orjson.dumps(proxy.to_data()))
        return target

    def fidelity(self, proxy: Path) -> ProxyFidelity | None:
        from datachef.reward.proxy import Proxy
        from datachef.reward.proxy.fit import validate_proxy

        task, codes = self._proxy_reward.task, self._proxy_reward.plugin_functions.codes
        seed = self._config.reward.seed
        found = validate_proxy(self._history, task, Proxy.load(proxy), seed, codes)
        if found is None:
            return None
        rank = found.rank_correlation
        return ProxyFidelity(found.recipes, rank.value, rank.low, rank.high)

    @property
    def _fits_proxy(self) -> bool:
        """Whether the reward is the one whose proxy is fitted to measurements."""
        return self._config.reward_name == PROXY

    @cached_property
    def _proxy_reward(self) -> RecipeReward:
        """Checks what is measured, and computes the features that the proxy is fitted to."""
        unused = ("proxy", "workers")
        options = {name: value for name, value in self._options.items() if name not in unused}
        return cast("RecipeReward", self._reward(PROXY, options if self._fits_proxy else {}))

    @cached_property
    def _history(self) -> History:
        from datachef.reward.history import History

        return History(self._file)

    def _reward(self, name: str, options: Mapping[str, Any]) -> Reward:
        return build_reward(self._host, name, replace(self._config.reward, options=options))
