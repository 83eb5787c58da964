"""Measures recipes: makes their corpora, trains on them, and keeps the scores in the history."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from hashlib import blake2b
from pathlib import Path
from typing import Any

import orjson
import polars as pl

from datachef.core.api import run_recipe
from datachef.core.assets.checkpoint import checkpoint_folder
from datachef.core.contracts.source import Source
from datachef.core.contracts.task import BenchmarkFile, Task
from datachef.core.document import read
from datachef.core.errors import DatachefError
from datachef.core.registry.host import Host
from datachef.core.registry.installed import metric_of
from datachef.core.run.report import Report
from datachef.core.run.stage import key_of
from datachef.core.system.atomic import write_atomically
from datachef.core.system.code_identity import code_of, core_code, module_code
from datachef.core.system.lock import locked
from datachef.core.system.paths import Files, checksum, path_identity, verify_files
from datachef.core.system.progress import tell
from datachef.core.text.conversations import SEPARATOR, render_text
from datachef.core.text.formats import Conversation
from datachef.reward.evaluation.evaluate import (
    EvaluationSettings,
    evaluate,
    require_checker,
    versions,
)
from datachef.reward.evaluation.task_scorer import Scoring, TaskScorer
from datachef.reward.evaluation.training import make_tiny
from datachef.reward.gates import ContaminationAudit
from datachef.reward.history import History
from datachef.reward.measurement import MeasurementRecord, canonical
from datachef.reward.sampled_run import SampledRunner, refuse_unanswered
from datachef.reward.scorer import RecipeReward


class Evaluator:
    """Measures recipes for the task of a reward, and keeps what was measured in a history."""

    def __init__(
        self,
        reward: RecipeReward,
        host: Host,
        history: History,
        settings: EvaluationSettings,
        folder: Path,
    ) -> None:
        """Corpora and checkpoints are made in `folder`. Raises `DatachefError` where the
        metric needs a package that is missing, or permission to run code."""
        if settings.accuracy:
            require_checker(reward.task, settings.allow_code)
        self._reward = reward
        self._host = host
        self._history = history
        self._settings = settings
        self._model = settings.base_model or reward.task.base_model
        self._items = settings.items or None
        self._folder = folder

    def measure(self, recipe: Path, seeds: Sequence[int]) -> list[MeasurementRecord]:
        """The measurements of a recipe, one per seed; those that the history has are not repeated.

        Raises `RecipeError` for a recipe with problems, and `DatachefError` where it cannot be run,
        nothing can be learned from its corpus, another process measures a recipe of this file
        name in the same folder, or the task's files or the model change meanwhile: what was
        measured then is not recorded.
        """
        with locked(self._folder / recipe.stem):
            return self._measure(recipe, seeds)

    def _measure(self, recipe: Path, seeds: Sequence[int]) -> list[MeasurementRecord]:
        document = read(recipe)
        assessed = self._reward.assess(document, recipe.parent)
        checked = assessed.check.passed()
        tell("making the corpus")
        report = self._make_corpus(recipe)
        refuse_unanswered(report.accounts.whole)
        corpus, size = report.folder, {"rows": report.rows, "tokens": report.tokens}
        if not size["rows"]:
            raise DatachefError(
                f"{recipe} leaves no row to train on", "chef report has the reasons"
            )
        files = _files_of(self._reward.task)
        key, asked = corpus_key(corpus), task_key(self._reward.task)
        model = self._reward.base_model(self._model, checked)
        scoring = self._scoring(model)
        training = self._training | ({} if scoring.form is None else {"form": scoring.form})
        known = {m.seed: m for m in self._known(key, asked, scoring.score_name, training)}
        missing = [seed for seed in seeds if seed not in known]
        # The reward has put its own task in the place of the one that the file names.
        written = checked.recipe.model_copy(update={"task": document.data.get("task")})
        folder = self._folder / "checkpoints" / corpus.name
        for measurement in evaluate(
            corpus, self._scorer, model, scoring, seeds=missing, folder=folder
        ):
            measured = MeasurementRecord(
                recipe_name=written.name,
                recipe=written.to_yaml(),
                recipe_key=key,
                task=self._reward.task.name,
                task_key=asked,
                base_model=self._model,
                seed=measurement.seed,
                score=measurement.scores[scoring.score_name],
                score_name=scoring.score_name,
                chance=scoring.chance,
                base=scoring.base,
                ceiling=scoring.ceiling,
                scores=measurement.scores,
                features=assessed.features,
                versions={**measurement.versions, **self._reward.plugin_functions.codes},
                seconds=measurement.seconds,
                corpus=size,
                training=training,
                tuned=measurement.tuned,
                vocabulary=self._host.vocabulary.fingerprint,
            )
            verify_files({**files, **self._weights})
            known[measurement.seed] = replace(measured, id=self._history.add(measured))
        return [known[seed] for seed in seeds]

    @cached_property
    def _training(self) -> dict[str, object]:
        """The settings of training, the number of items that were asked, since fewer give other
        scores, and the weights of a folder or an asset, since it may hold others later."""
        if self._weights:
            weights = weights_key(self._model)
        else:
            asset = self._host.assets.get(self._model)
            weights = asset.checksum if asset is not None else None
        settings = self._settings.training.model_dump() | {"items": self._items}
        return settings if weights is None else settings | {"weights": weights}

    @cached_property
    def _weights(self) -> Files:
        """The folder of the model, where it is one, as it was when it was first looked into."""
        model = self._model
        return {model: path_identity(model)} if Path(model).is_dir() else {}

    def _known(
        self, recipe: str, task: str, score_name: str, training: Mapping[str, Any]
    ) -> list[MeasurementRecord]:
        found = self._history.measurements(recipe_key=recipe, task_key=task, base_model=self._model)
        plain = orjson.loads(canonical(training))
        return [m for m in found if m.score_name == score_name and m.training == plain]

    def _scoring(self, model: str | Path) -> Scoring:
        """How the task is scored for a base model: decided once, and kept beside the cache."""
        settings = self._settings
        facts = {
            "model": weights_key(str(model)) or str(model),
            "task": task_key(self._reward.task),
            "settings": settings.model_dump(include={"items", "accuracy", "allow_code"}),
            "computing": settings.training.model_dump(include={"max_length", "dtype"}),
            "versions": versions(),
            "code": [core_code(), module_code(TaskScorer.__module__)],
        }
        file = self._reward.cache / "scoring" / f"{key_of('scoring', facts)}.json"
        if file.is_file():
            return Scoring.model_validate_json(file.read_bytes())
        scoring = self._scorer.decide(model)
        file.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(file, scoring.model_dump_json().encode())
        return scoring

    @cached_property
    def _scorer(self) -> TaskScorer:
        settings = self._settings
        return TaskScorer(
            self._reward.task,
            self._items,
            settings.accuracy,
            settings.allow_code,
            settings.training,
            self._folder / "harness",
        )

    def _make_corpus(self, recipe: Path) -> Report:
        folder = self._folder / "corpora" / recipe.stem
        return run_recipe(
            recipe,
            folder,
            host=self._host,
            pool=self._reward.pool,
            task=self._reward.task_file,
            cache=self._reward.cache,
        )


def _files_of(task: Task) -> Files:
    """The files with the questions and the examples of a task, as they are now."""
    paths = [getattr(part, "path", None) for part in (task.benchmark, task.examples)]
    return {path: path_identity(path) for path in paths if path is not None}


def task_key(task: Task) -> str:
    """What a score depends on: the questions, by content, and how answers to them are scored.

    A metric of a plugin is known by its code; one of ours by its name, so that a history outlives
    a release.
    """
    benchmark, metric = task.benchmark, metric_of(task)
    ours = metric.__module__.startswith("datachef.")
    scored = metric.name if ours else [metric.name, code_of(metric)]
    if not isinstance(benchmark, BenchmarkFile):
        return key_of("task", scored, benchmark.lm_eval)
    try:
        content = blake2b(Path(benchmark.path).read_bytes(), digest_size=16).hexdigest()
    except OSError as error:
        raise DatachefError(f"cannot read the benchmark {benchmark.path}: {error}") from error
    unsaid = {name for name in ("encoding", "csv") if getattr(benchmark, name) is None}
    fields = benchmark.model_dump(exclude={"path"} | unsaid)
    return key_of("task", scored, content, fields)


def weights_key(model: str) -> str | None:
    """The content of a checkpoint's folder; None for the name of a model.

    A folder keeps its path when it is trained further, and then it is another model.
    """
    folder = Path(model)
    if not folder.is_dir():
        return None
    files = sorted(path for path in folder.iterdir() if path.is_file())
    return key_of("weights", [[path.name, checksum(path)] for path in files])


def corpus_key(corpus: Path) -> str:
    """The content of a finished corpus: recipes that make the same rows are measured once."""
    try:
        manifest = orjson.loads((corpus / "manifest.json").read_bytes())
        files = [[f["rows"], f["checksum"]] for f in manifest["outputs"]]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DatachefError(f"{corpus} is no finished corpus: {error}") from error
    return key_of("corpus", files)


TINY = "tiny"
TINY_ROWS = 300
TINY_CHARACTERS = 1_500


def base_model(
    name: str,
    sources: Mapping[str, Source],
    runner: SampledRunner,
    audit: ContaminationAudit,
    cache: Path,
    assets: Collection[str] = (),
    seed: int = 0,
) -> str | Path:
    """A checkpoint's folder or a model id on the Hugging Face Hub, as it is; of the name of an
    asset the folder of its checkpoint; for `tiny` that of a model made of rows of every source,
    which is cached by these rows and the seed.

    The tiny model does not get to see what holds items of the benchmark. Raises `MissingAssetError`
    for an asset that is not there.
    """
    if name != TINY:
        if Path(name).exists():
            return Path(name).absolute()
        return checkpoint_folder(name) if name in assets else name
    found = [text for source in sorted(sources) for text in _texts_of(runner, sources[source])]
    texts = [
        text for text, clean in zip(found, audit.clean(pl.Series(found)), strict=True) if clean
    ]
    code = key_of(core_code(), module_code(make_tiny.__module__))
    digest = blake2b(f"{seed} {code}".encode(), digest_size=16)
    for text in texts:
        digest.update(text.encode() + b"\0")
    folder = cache / "tiny" / digest.hexdigest()
    if not folder.is_dir():
        make_tiny(texts, folder, seed=seed)
    return folder


def _texts_of(runner: SampledRunner, source: Source) -> list[str]:
    found = runner.inspect(source)
    lines = Path(runner.sample(found).path).read_bytes().splitlines()[:TINY_ROWS]
    return [_plain(found.format.convert(orjson.loads(line)))[:TINY_CHARACTERS] for line in lines]


def _plain(content: str | Conversation) -> str:
    return content if isinstance(content, str) else SEPARATOR.join(map(render_text, content.turns))
