"""The reward for recipes: gates and guardrails, then a prediction with its uncertainty."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from itertools import repeat
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from datachef.core.contracts.operator import Services
from datachef.core.contracts.reward import (
    Reward,
    RewardConfig,
    Score,
    refuse_unavailable,
    unavailable,
)
from datachef.core.contracts.source import SourceError
from datachef.core.contracts.task import Task
from datachef.core.document import Document
from datachef.core.errors import RunError, UnavailableError
from datachef.core.recipe.checked import CheckedRecipe, CheckResult
from datachef.core.recipe.checking import check_document
from datachef.core.recipe.resolving import read_task, read_typed
from datachef.core.registry.host import Host
from datachef.core.system.child_process import ProcessPool
from datachef.reward.config import RewardOptions
from datachef.reward.features import FeatureExtractor
from datachef.reward.gates import (
    ContaminationAudit,
    GateFailure,
    failed_check,
    failed_run,
    first_failure,
)
from datachef.reward.guardrails import GuardrailFindings, GuardrailLimits, SampleGuardrails
from datachef.reward.plugin_functions import PluginFunctions
from datachef.reward.sampled_run import SampledCorpus, SampledRunner
from datachef.reward.score_kinds import REFERENCE_POINTS

if TYPE_CHECKING:
    from datachef.reward.proxy import Prediction, Proxy
    from datachef.reward.proxy.transfer import TransferPrior
    from datachef.reward.verifier import Verification, Verifier


@dataclass(frozen=True)
class Assessment:
    """A score with everything that it was made from.

    `check` has the problems of the recipe, or the checked recipe. `corpus` is None and `features`
    are empty for a recipe that did not run; `findings` are those of the guardrails, where there are
    limits.
    """

    score: Score
    check: CheckResult
    corpus: SampledCorpus | None = None
    features: Mapping[str, float] = field(default_factory=dict)
    findings: GuardrailFindings | None = None


class RecipeReward(Reward):
    """Scores recipes for one task by what they make of a sample; `RewardOptions` says how.

    Without a proxy or a history, the prediction is the prior's; where too little of the task was
    measured, it is what the history knows of other tasks. What judges say of sampled rows is a
    feature. Guardrails apply where there are limits. A multiple of the uncertainty, `pessimism`, is
    taken off the prediction.
    """

    def __init__(self, config: RewardConfig, host: Host | None = None) -> None:
        """`host` is that of the configuration's plugins where it is not given.

        Raises `DatachefError` for a task, limits, a proxy or a history that cannot be used, and
        pydantic's `ValidationError` for wrong options.
        """
        options = RewardOptions.of(config)
        self._host = host = host or Host(config.plugin_files)
        self.task = read_task(config.task, host)
        self.task_file = config.task.absolute()
        self.pool = config.pool.absolute() if config.pool is not None else None
        self.cache = config.cache
        self._runner = SampledRunner(host, config.cache, options.rows, config.seed)
        self._extractor = FeatureExtractor(self.task, config.seed, options.encoder)
        self._audit = ContaminationAudit(host.vocabulary, self.task)
        self.plugin_functions = PluginFunctions(host)
        self._guard = _guardrails(options)
        self._prior = _prior(options, self.task)
        self._proxy = (
            None
            if self._prior is not None
            else _proxy(options, self.task, self.plugin_functions.codes, config.seed)
        )
        self._verifier = _verifier(options, host, self.task, config)
        self._pessimism = options.pessimism
        self._history = options.history

    def score(self, recipe: Mapping[str, Any], base_dir: Path) -> Score:
        return self.assess(Document(dict(recipe)), base_dir).score

    def assess(self, recipe: Document, base_dir: Path) -> Assessment:
        """The score of a recipe with all that it was made from; its relative paths start at
        `base_dir`.

        Raises where no recipe is to blame (see `unavailable`): `UnavailableError` for a server that
        does not answer, a source that cannot be reached or is not what it was when this reward
        first looked at it, a package that is missing; `PluginError` for a feature or a gate of a
        plugin that is broken; `OSError` for what the machine lacks.
        """
        check = check_document(
            recipe,
            base_dir,
            self._host,
            pool=self.pool,
            task=self.task_file,
            inspect=self._runner.inspect,
        )
        if check.checked is None:
            refuse_unavailable(check.problems)
            return Assessment(_failed(failed_check(check.problems)), check)
        try:
            corpus = self._runner.run(check.checked)
        except RunError as error:
            if unavailable(error):
                raise
            return Assessment(_failed(failed_run(str(error))), check)
        except SourceError as error:
            if unavailable(error):
                raise UnavailableError(str(error), error.hint) from error
            return Assessment(_failed(failed_run(str(error))), check)
        contaminated = self._audit.share(corpus.rows)
        features = self._extractor.extract(corpus) | {"contaminated_share": contaminated}
        failure = first_failure(corpus, self.task.budget, contaminated)
        findings = self._guard.inspect(corpus) if failure is None and self._guard else None
        if findings is not None and findings.violations:
            broken = tuple(violation.message for violation in findings.violations)
            failure = GateFailure("guardrails", 1 / (1 + len(broken)), broken)
        if failure is None:
            failure = self.plugin_functions.first_failure(corpus, self.task)
        if failure is not None:
            score = replace(_failed(failure), schema=corpus.schema)
            return Assessment(score, check, corpus, features, findings)
        features |= self.plugin_functions.features(corpus, self.task)
        if self._verifier is not None:
            features |= _verified(self._verifier.verify(corpus.rows))
        score = replace(self._score(features), schema=corpus.schema)
        return Assessment(score, check, corpus, features, findings)

    def base_model(self, name: str, checked: CheckedRecipe) -> str | Path:
        """The checkpoint to measure with; `tiny` is made of the pool's text, or of the recipe's
        sources where there is no pool."""
        from datachef.reward.evaluation.evaluator import base_model

        sources = dict(checked.pool) or dict(checked.sources)
        return base_model(name, sources, self._runner, self._audit, self.cache, self._host.assets)

    @property
    def measured(self) -> bool:
        """Whether predictions come from measurements, and not from a guess."""
        return self._proxy is not None

    def reference(self) -> dict[str, Any]:
        """What the history knows of scores of the task: `score_name`, `chance`, `base` and
        `ceiling`, of the last measurement; nothing where none was made."""
        if self._history is None:
            return {}
        from datachef.reward.history import History
        from datachef.reward.proxy.fit import task_measurements

        found = task_measurements(History(self._history), self.task)
        names = ("score_name", *REFERENCE_POINTS)
        return {name: getattr(found[-1], name) for name in names} if found else {}

    def predict(self, features: Mapping[str, float]) -> Prediction:
        """What a recipe with these features is expected to score."""
        if self._prior is not None:
            return self._prior.predict(pl.DataFrame([features]))[0]
        if self._proxy is None:
            from datachef.reward.proxy.proxy import prior_prediction

            return prior_prediction(features)
        return self._proxy.predict(pl.DataFrame([features]))[0]

    def _score(self, features: Mapping[str, float]) -> Score:
        prediction = self.predict(features)
        pessimistic = prediction.value - self._pessimism * prediction.uncertainty
        return Score(
            value=min(max(pessimistic, -1.0), 1.0),
            predicted=prediction.value,
            uncertainty=prediction.uncertainty,
            interval=(prediction.low, prediction.high),
            parts=dict(prediction.parts),
            off_support=prediction.off_support,
            features=_learned(features),
        )


def _learned(features: Mapping[str, float]) -> dict[str, float]:
    """The features that a proxy would learn from, where they are known."""
    from datachef.reward.proxy.fit import LEARNED_FEATURES

    return {
        name: value
        for name, value in features.items()
        if name.startswith(LEARNED_FEATURES) and math.isfinite(value)
    }


def _guardrails(options: RewardOptions) -> SampleGuardrails | None:
    if options.limits is None:
        return None
    return SampleGuardrails(read_typed(options.limits, GuardrailLimits))


def _proxy(options: RewardOptions, task: Task, codes: Mapping[str, str], seed: int) -> Proxy | None:
    if options.proxy is not None:
        from datachef.reward.proxy import Proxy

        return Proxy.load(options.proxy)
    if options.history is None:
        return None
    from datachef.reward.history import History
    from datachef.reward.proxy.fit import fit_proxy

    return fit_proxy(History(options.history), task, seed, codes)


def _prior(options: RewardOptions, task: Task) -> TransferPrior | None:
    """What measurements of other tasks say, where no proxy is given and too little was measured for
    this task to fit one."""
    prior = options.prior or options.history
    if prior is None or options.proxy is not None:
        return None
    from datachef.reward.history import History
    from datachef.reward.proxy.fit import can_fit, fit_prior

    if options.history is not None and can_fit(History(options.history), task):
        return None
    return fit_prior(History(prior), task)


def _verifier(
    options: RewardOptions, host: Host, task: Task, config: RewardConfig
) -> Verifier | None:
    if not options.judges:
        return None
    from datachef.reward.verifier import Judge, Verifier

    services = Services(host.named("datachef_llm_backends"), config.cache / "llm")
    judges = [Judge(**judge.model_dump()) for judge in options.judges]
    return Verifier(judges, services, task, rows=options.judged_rows, seed=config.seed)


def _failed(failure: GateFailure) -> Score:
    return Score(value=failure.value, gate=failure.gate, reasons=failure.reasons)


def _verified(verification: Verification) -> dict[str, float]:
    return {
        "verifier.value": verification.value,
        "verifier.standard_error": verification.standard_error,
    }


_REWARD: list[Reward] = []


class ParallelReward(Reward):
    """A reward whose recipes are scored by `workers` processes; scores do not depend on how many.

    `build` makes the reward in each of them and must be importable, as a function of a module is.
    """

    def __init__(
        self, build: Callable[[RewardConfig], Reward], config: RewardConfig, workers: int
    ) -> None:
        self._pool = ProcessPool(workers, _build_reward, build, config)

    def score(self, recipe: Mapping[str, Any], base_dir: Path) -> Score:
        return self._pool.submit(_score_here, recipe, base_dir).result()

    def score_all(self, recipes: Iterable[Mapping[str, Any]], base_dir: Path) -> list[Score]:
        return list(self._pool.map(_score_here, recipes, repeat(base_dir)))

    def close(self) -> None:
        self._pool.shutdown(cancel_futures=True)


def _build_reward(build: Callable[[RewardConfig], Reward], config: RewardConfig) -> None:
    _REWARD[:] = [build(config)]


def _score_here(recipe: Mapping[str, Any], base_dir: Path) -> Score:
    return _REWARD[0].score(recipe, base_dir)
