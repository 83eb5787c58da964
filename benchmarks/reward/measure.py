"""A campaign of true measurements: every recipe of some tasks is trained on and scored.

    python benchmarks/reward/measure.py --data DIR --tasks a,b --work DIR --jobs 2 \\
        --seeds 1 --noise 3 --output benchmarks/results/reward/history.parquet

Stop it at any time and start it again: what is in the history is not measured again. Processes take
jobs from one queue and compute with one thread each, so `--jobs` is the number of busy cores. Needs
the extra `train` and the packages of the reward.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import as_completed
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

from jobs import Job, ordered_jobs
from recipes import RANDOM, TOKENS, write_recipes
from tasks import TASK, write_task

from datachef.core import DatachefError, Host, RewardConfig, check_recipe
from datachef.core.system.child_process import ProcessPool
from datachef.reward.evaluation import EvaluationSettings, Training
from datachef.reward.evaluation.evaluator import TINY, Evaluator
from datachef.reward.history import History
from datachef.reward.measurement import MeasurementRecord
from datachef.reward.scorer import RecipeReward

RUNNING = "running-"


@dataclass(frozen=True)
class Campaign:
    """What all processes of a campaign share."""

    work: Path
    settings: EvaluationSettings
    encoder: str | None = None

    @property
    def history(self) -> Path:
        return self.work / "history.sqlite"


def prepare(recipe: Path, campaign: Campaign) -> None:
    """Makes the base model of a task, which all its measurements share."""
    folder = recipe.parents[1]
    checked = check_recipe(recipe, _host()).passed()
    base = campaign.settings.base_model
    reward_of(folder, campaign.work, campaign.encoder).base_model(base, checked)


def measure(job: Job, campaign: Campaign) -> MeasurementRecord:
    """Measures a recipe once, unless the history knows it, and remembers it there."""
    reward = reward_of(job.folder, campaign.work, campaign.encoder)
    history = History(campaign.history)
    with TemporaryDirectory(dir=campaign.work, prefix=RUNNING) as folder:
        evaluator = Evaluator(reward, _host(), history, campaign.settings, Path(folder))
        return evaluator.measure(job.recipe, [job.seed])[0]


def unmeasured(jobs: Sequence[Job], campaign: Campaign) -> list[Job]:
    """The jobs without a measurement that the history has under the recipe's text."""
    settings = campaign.settings
    way = settings.training.model_dump(mode="json") | {"items": settings.items or None}
    known = {
        (m.task, m.recipe, m.seed)
        for m in History(campaign.history).measurements(base_model=settings.base_model)
        if dict(m.training) | way == m.training
    }
    texts = {recipe: _text(recipe) for recipe in {job.recipe for job in jobs}}
    return [job for job in jobs if (job.folder.name, texts[job.recipe], job.seed) not in known]


def run(options: argparse.Namespace) -> int:
    """Does what is left of the campaign; returns how many measurements failed."""
    training = Training(max_tokens=options.train_tokens, learning_rate=options.rates)
    settings = EvaluationSettings(
        base_model=options.base_model, training=training, items=options.items, accuracy=False
    )
    campaign = Campaign(options.work.resolve(), settings, options.encoder)
    history = History(campaign.history)
    if options.output.exists():
        history.import_(options.output)
    recipes = {}
    for name in options.tasks:
        folder = campaign.work / "tasks" / name
        write_task(options.data, name, folder)
        written = write_recipes(
            folder, options.seed, tokens=options.tokens, mixtures=options.mixtures
        )
        recipes[folder] = [
            path for path in written if not options.recipes or path.stem in options.recipes
        ]
    jobs = ordered_jobs(recipes, options.seeds, options.noise, options.seed)
    todo = unmeasured(jobs, campaign)
    print(
        f"{len(jobs)} measurements, {len(jobs) - len(todo)} of them are there already", flush=True
    )
    options.output.parent.mkdir(parents=True, exist_ok=True)
    for left in campaign.work.glob(f"{RUNNING}*"):
        shutil.rmtree(left)
    with ProcessPool(options.jobs) as pool:
        try:
            progress = _work(pool, todo, campaign, lambda: history.export(options.output))
        except KeyboardInterrupt:
            print("stopped; start it again to go on", file=sys.stderr, flush=True)
            os._exit(130)  # the processes end with this one, whatever they are at
    return progress.failed


@dataclass
class Progress:
    """Says after every measurement what came out and how long the rest will take."""

    total: int
    done: int = 0
    failed: int = 0
    started: float = field(default_factory=time.monotonic)

    def tell(self, job: Job, outcome: MeasurementRecord | BaseException) -> None:
        self.done += 1
        if isinstance(outcome, BaseException):
            self.failed += 1
            result = f"{type(outcome).__name__}: {outcome}"
        else:
            result = f"{outcome.score:.4f}, {outcome.seconds:.0f} s"
        left = (time.monotonic() - self.started) / self.done * (self.total - self.done) / 60
        print(f"[{self.done}/{self.total}, {left:.0f} min left] {job}: {result}", flush=True)


def _work(
    pool: ProcessPool, jobs: Sequence[Job], campaign: Campaign, save: Callable[[], object]
) -> Progress:
    """Has all jobs done and saves after each; an error ends its own job alone."""
    firsts = {job.folder: job.recipe for job in jobs}.values()
    for prepared in [pool.submit(prepare, recipe, campaign) for recipe in firsts]:
        prepared.result()
    progress = Progress(len(jobs))
    running = {pool.submit(measure, job, campaign): job for job in jobs}
    for future in as_completed(running):
        progress.tell(running[future], future.exception() or future.result())
        save()
    return progress


def _text(recipe: Path) -> str:
    """A recipe as the history writes it. Raises `RecipeError` for one with problems."""
    return check_recipe(recipe, _host()).passed().recipe.to_yaml()


@cache
def _host() -> Host:
    return Host()


@cache
def reward_of(folder: Path, work: Path, encoder: str | None) -> RecipeReward:
    """One for each task and process: it remembers what it has measured of each text."""
    options = {"encoder": encoder}
    config = RewardConfig(
        folder / TASK, None, folder, work / "cache" / folder.name, options=options
    )
    return RecipeReward(config, _host())


def _names(text: str) -> list[str]:
    return text.split(",")


def _rates(text: str) -> tuple[float, ...]:
    return tuple(map(float, text.split(",")))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder with tasks.json")
    parser.add_argument("--tasks", required=True, type=_names)
    parser.add_argument("--work", type=Path, required=True, help="for corpora, models and caches")
    parser.add_argument("--output", type=Path, required=True, help="the history as Parquet")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes")
    parser.add_argument("--base-model", default=TINY, help="what is trained")
    parser.add_argument("--seeds", type=int, default=1, help="trainings of each recipe")
    parser.add_argument("--noise", type=int, default=2, help="more seeds of seven recipes per task")
    parser.add_argument("--recipes", type=_names, help="their names; all by default")
    parser.add_argument("--mixtures", type=int, default=RANDOM, help="random ones among them")
    rates = Training().learning_rate
    parser.add_argument(
        "--rates", type=_rates, default=rates, help="to choose from, such as 1e-4,5e-4"
    )
    parser.add_argument("--tokens", type=int, default=TOKENS, help="the largest corpus")
    parser.add_argument("--train-tokens", type=int, default=TOKENS, help="tokens trained on")
    parser.add_argument("--items", type=int, default=200, help="questions of the benchmark")
    parser.add_argument("--encoder", help="asset for features of meaning, such as minilm")
    parser.add_argument("--seed", type=int, default=0, help="draws recipes")
    try:
        failed = run(parser.parse_args())
    except DatachefError as error:
        sys.exit(f"{error}\n{error.hint}".strip())
    if failed:
        sys.exit(f"{failed} measurements failed; start it again to try them once more")


if __name__ == "__main__":
    main()
