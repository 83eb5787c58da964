"""From a recipe to true measurements: its whole corpus, trained on, scored and remembered."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

import orjson

from datachef.core.api import run_recipe
from datachef.core.contracts.task import Task
from datachef.core.document import read
from datachef.core.errors import DatachefError, RecipeError
from datachef.core.recipe.resolving import Loaded
from datachef.core.registry.host import Host
from datachef.core.run.report import Report
from datachef.core.system.file_identity import Files, path_identity, verify_files
from datachef.core.system.lock import locked
from datachef.reward.evaluation.evaluate import (
    ITEMS,
    LIKELIHOOD,
    Measurement,
    evaluate,
    require_checker,
)
from datachef.reward.evaluation.training import Training
from datachef.reward.history import History, Measured
from datachef.reward.identity import corpus_key, task_key, weights_key
from datachef.reward.metrics import AllowCode
from datachef.reward.sampled_run import refuse_unanswered
from datachef.reward.scorer import RecipeReward


@dataclass(frozen=True)
class Protocol:
    """How recipes are measured: all that two measurements must share to be compared.

    `model` is a checkpoint's folder, a name of the hub or `tiny`; `items` of the benchmark are
    asked, all where it is None; `accuracy` also scores answers, which for unit tests needs
    `allow_code`.
    """

    model: str
    training: Training = field(default_factory=Training)
    items: int | None = ITEMS
    accuracy: bool = True
    allow_code: AllowCode = False


class Evaluator:
    """Measures recipes for the task of a reward, and keeps what was measured in a history."""

    def __init__(
        self, reward: RecipeReward, host: Host, history: History, protocol: Protocol, folder: Path
    ) -> None:
        """Corpora and checkpoints are made in `folder`. Raises `DatachefError` where the protocol
        lacks what the metric needs: a package, or leave to run code."""
        if protocol.accuracy:
            require_checker(reward.task, protocol.allow_code)
        self._reward = reward
        self._host = host
        self._history = history
        self._protocol = protocol
        self._folder = folder

    def measure(self, recipe: Path, seeds: Sequence[int]) -> list[Measured]:
        """The measurements of a recipe, one per seed; those that the history has are not repeated.

        Raises `RecipeError` for a recipe with problems, and `DatachefError` where it cannot be run,
        nothing can be learned from its corpus, another process measures a recipe of this file
        name in the same folder, or the task's files or the model change meanwhile: what was
        measured then is not remembered.
        """
        with locked(self._folder / recipe.stem):
            return self._measure(recipe, seeds)

    def _measure(self, recipe: Path, seeds: Sequence[int]) -> list[Measured]:
        document = read(recipe)
        assessed = self._reward.assess(document, recipe.parent)
        if assessed.loaded.problems:
            raise RecipeError(assessed.loaded.problems)
        report = self._cook(recipe)
        refuse_unanswered(report.accounts.whole)
        corpus, size = report.folder, {"rows": report.rows, "tokens": report.tokens}
        if not size["rows"]:
            raise DatachefError(f"{recipe} leaves no row to train on", "chef report tells why")
        files = _files_of(self._reward.task)
        key, asked = corpus_key(corpus), task_key(self._reward.task)
        known = {m.seed: m for m in self._known(key, asked)}
        missing = [seed for seed in seeds if seed not in known]
        written = assessed.loaded.recipe
        assert written is not None
        # The reward has put its own task in the place of the one that the file names.
        written = written.model_copy(update={"task": document.data.get("task")})
        for measurement in self._evaluate(corpus, missing, assessed.loaded):
            measured = Measured(
                recipe_name=written.name,
                recipe=written.to_yaml(),
                recipe_key=key,
                task=self._reward.task.name,
                task_key=asked,
                base_model=self._protocol.model,
                seed=measurement.seed,
                score=measurement.scores[LIKELIHOOD],
                scores=measurement.scores,
                features=assessed.features,
                versions=measurement.versions,
                seconds=measurement.seconds,
                corpus=size,
                training=self._training,
                vocabulary=self._host.vocabulary.fingerprint,
            )
            verify_files({**files, **self._weights})
            known[measurement.seed] = replace(measured, id=self._history.add(measured))
        return [known[seed] for seed in seeds]

    @cached_property
    def _training(self) -> dict[str, object]:
        """Besides the settings of training, how many items were asked: fewer make other scores.
        And which weights a folder held: it may hold others tomorrow."""
        weights = weights_key(self._protocol.model) if self._weights else None
        settings = self._protocol.training.model_dump() | {"items": self._protocol.items}
        return settings if weights is None else settings | {"weights": weights}

    @cached_property
    def _weights(self) -> Files:
        """The folder of the model, where it is one, as it was when it was first looked into."""
        model = self._protocol.model
        return {model: path_identity(model)} if Path(model).is_dir() else {}

    def _known(self, recipe: str, task: str) -> list[Measured]:
        found = self._history.measurements(
            recipe_key=recipe, task_key=task, base_model=self._protocol.model
        )
        return [measured for measured in found if measured.training == self._training]

    def _evaluate(
        self, corpus: Path, seeds: Sequence[int], loaded: Loaded
    ) -> Iterator[Measurement]:
        """One seed after the other, so that each can be remembered when it is done."""
        if not seeds:
            return
        model = self._reward.base_model(self._protocol.model, loaded)
        for seed in seeds:
            yield from evaluate(
                corpus,
                self._reward.task,
                model,
                training=self._protocol.training,
                seeds=[seed],
                folder=self._folder / "checkpoints" / corpus.name,
                items=self._protocol.items,
                accuracy=self._protocol.accuracy,
                allow_code=self._protocol.allow_code,
            )

    def _cook(self, recipe: Path) -> Report:
        folder = self._folder / "corpora" / recipe.stem
        task = orjson.dumps(str(self._reward.task_file)).decode()
        return run_recipe(
            recipe,
            folder,
            host=self._host,
            pool=self._reward.pool,
            overrides=[f"task={task}"],
            cache=self._reward.cache,
        )


def _files_of(task: Task) -> Files:
    """The files with the questions and the examples of a task, as they are now."""
    paths = [getattr(part, "path", None) for part in (task.benchmark, task.examples)]
    return {path: path_identity(path) for path in paths if path is not None}
