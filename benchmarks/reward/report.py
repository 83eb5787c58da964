"""What the proxy is worth on recipes that were really measured.

    python benchmarks/reward/report.py --history HISTORY.parquet [--compared OTHER.parquet] \\
        [--data DATA --work WORK [--encoder minilm]] [--output benchmarks/results/reward/README.md]

For every task the proxy is taught without one recipe at a time and asked for it. What larger base
models measured (`--compared`, with what the cheap one measured for it alone) is set beside that.
With `--work`, the folder of the campaign that `measure.py` ran or a new one, the features are
measured again first, on the data in `--data`, and the history is rewritten with them: scores stay
as they are. A recipe that makes another corpus by now keeps its features.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import replace
from operator import attrgetter
from pathlib import Path

import numpy as np
import polars as pl
from measure import reward_of
from observed import below, models_table, of_model, scale_table, wins_table
from tasks import TASK, write_task

from datachef.core import document
from datachef.reward.evaluation.evaluator import TINY
from datachef.reward.history import History, score_summaries
from datachef.reward.measurement import MeasurementRecord
from datachef.reward.noise import noise_of
from datachef.reward.proxy import Validation
from datachef.reward.proxy.encoding import SIGNS
from datachef.reward.proxy.fit import FitReport, feature_table, fit_report
from datachef.reward.proxy.transfer import FEWEST_TASKS, TransferPrior
from datachef.reward.proxy.validation import rank_correlation

DRAWS = 10
LOG_TOKENS = "log_tokens"
# Of the logarithm of a corpus's tokens; beyond it is another corpus.
LARGEST_CHANGE = 0.1
# What the prior could read besides, and does not; the report says what each would change.
MORE_SIGNS = {
    "target.embedding_coverage": 1.0,
    "target.embedding_similarity": 1.0,
    "target.form_match": 1.0,
    "log_unique_tokens": 1.0,
    "epochs": -1.0,
    "duplicate_share": -1.0,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--history", type=Path, required=True, help="a Parquet file")
    parser.add_argument("--compared", type=Path, help="another, with larger base models")
    parser.add_argument("--data", type=Path, help="folder with tasks.json: measure features again")
    parser.add_argument("--work", type=Path, help="for caches of what is measured again")
    parser.add_argument("--encoder", help="asset for features of meaning, such as minilm")
    parser.add_argument("--optimism", type=Path, help="what optimism.py wrote")
    parser.add_argument("--output", type=Path, help="a Markdown file; printed otherwise")
    options = parser.parse_args()
    if (options.data is None) != (options.work is None):
        parser.error("--data and --work go together")
    with tempfile.TemporaryDirectory() as scratch:
        history, compared = (History(Path(scratch) / name) for name in ("history", "compared"))
        if options.work is not None:
            renew(options.history, Path(scratch) / "renewed", options)
        history.import_(options.history)
        if options.compared is not None:
            compared.import_(options.compared)
        proposals = None if options.optimism is None else pl.read_parquet(options.optimism)
        page = "\n".join(
            lines(history.measurements(), compared.measurements(), fit_report(history), proposals)
        )
    if options.output is not None:
        options.output.write_text(page + "\n", encoding="utf-8")
    else:
        print(page)


def renew(path: Path, scratch: Path, options: argparse.Namespace) -> None:
    """Rewrites a history with the features that its recipes have by now."""
    old, new = History(scratch.with_suffix(".old")), History(scratch)
    old.import_(path)
    for measured in with_new_features(old.measurements(), options):
        new.add(measured)
    new.export(path)


def with_new_features(
    measurements: list[MeasurementRecord], options: argparse.Namespace
) -> Iterator[MeasurementRecord]:
    """The measurements with the features that their recipes have by now, and which plugins' code
    gave them.

    A recipe that makes another corpus by now, since operators have changed, keeps the features of
    the one that was measured, and is named.
    """
    work = options.work.resolve()
    known: dict[tuple[str, str], dict[str, float] | None] = {}
    for measured in measurements:
        folder = work / "tasks" / measured.task
        if not (folder / TASK).exists():
            write_task(options.data, measured.task, folder)
        recipes = folder / "recipes"
        recipes.mkdir(exist_ok=True)
        reward = reward_of(folder, work, options.encoder)
        key = (measured.task, measured.recipe)
        if key not in known:
            assessed = reward.assess(document.parse(measured.recipe), recipes)
            assessed.check.passed()
            grown = assessed.features[LOG_TOKENS] - measured.features[LOG_TOKENS]
            known[key] = dict(assessed.features) if abs(grown) <= LARGEST_CHANGE else None
            if known[key] is None:
                times = f"{np.exp(grown):.2f} times the corpus"
                print(f"{measured.task} {measured.recipe_name} makes {times}", file=sys.stderr)
        if (features := known[key]) is None:
            yield measured
        else:
            versions = {**measured.versions, **reward.plugin_functions.codes}
            yield replace(measured, features=features, versions=versions)


COMMANDS = """\
```console
$ python benchmarks/reward/measure.py --data DATA --work WORK --encoder minilm \\
    --tokens 60000 --train-tokens 60000 --noise 2 --tasks TASKS --output HISTORY
$ python benchmarks/reward/measure.py ... --seeds 3 --noise 0 --tasks FIRST
$ python benchmarks/reward/measure.py ... --mixtures 20 --noise 0 --tasks FIRST
$ python benchmarks/reward/measure.py ... --noise 0 --tasks finance_sentiment --recipes SOME \\
    --output COMPARED
$ python benchmarks/reward/measure.py --data DATA --work OTHER --encoder minilm \\
    --base-model smollm2 --rates 3e-5,1e-4 --tokens 60000 --train-tokens 10000 --items 100 \\
    --noise 0 --tasks math_gsm8k,code_mbpp,finance_sentiment --recipes SOME --output COMPARED
$ python benchmarks/reward/optimism.py --history HISTORY --data DATA --work WORK \\
    --encoder minilm --tasks MEASURABLE --calls 120 --output OPTIMISM
$ python benchmarks/reward/report.py --history HISTORY --compared COMPARED \\
    --optimism OPTIMISM --output benchmarks/results/reward/README.md
```

`HISTORY` is `benchmarks/results/reward/history.parquet`, `COMPARED` is `compared.parquet`
and `OPTIMISM` is `optimism.parquet` beside it. `TASKS` are those of the first table, `FIRST` its
first five, `MEASURABLE` those with this verdict. `SOME` recipes are the clean, on-topic and
broad ones, `all`, the first three random ones, `absurd-off-topic`, `absurd-twenty-rows` and two or
three single sources of each task. A measurement holds the recipe that it is of; `recipes.py` may
draw other random ones by now. On one core a measurement of `tiny` takes about half a minute, one of
`smollm2` three to nine minutes."""


def lines(
    measurements: list[MeasurementRecord],
    compared: list[MeasurementRecord],
    report: FitReport,
    proposals: pl.DataFrame | None = None,
) -> Iterator[str]:
    """The page."""
    teaching = [
        one
        for found in of_model(measurements, TINY).values()
        if noise_of(found).measurable is not False
        for one in found
    ]
    yield "# Recipes that were really evaluated, and what the proxy makes of them"
    yield ""
    yield (
        f"{len(measurements)} measurements of {len({m.recipe_key for m in measurements})} corpora, "
        f"and {len(compared)} to compare base models: "
        "each recipe's corpus was made, a base model fine-tuned on it, and the answers to test "
        "items scored. What a score is, its chance and its base: docs/reward.md. Intervals are "
        "95%, by bootstrap over recipes."
    )
    yield from ["", COMMANDS, "", "## The scale of each task", ""]
    yield (
        f"The `{TINY}` base model. Recipes and seeds: the standard deviation between the means of "
        "recipes, and between seeds of one; signal is the first over the second."
    )
    yield ""
    yield from scale_table(measurements, TINY)
    yield ""
    for what, line in (("chance", "chance"), ("the untrained model", "base")):
        names, count = below(measurements, TINY, attrgetter(line))
        shown = f": {', '.join(names)}" if names else ""
        yield f"- {len(names)} of {count} recipes are below {what} by more than noise{shown}."
    yield from ["", "## What wins", ""]
    yield (
        "How often a recipe whose on-topic rows were brought into the task's form scores higher "
        "than one of another kind, over all pairs; equals count half."
    )
    yield ""
    yield from wins_table(measurements, TINY)
    for model in dict.fromkeys(one.base_model for one in compared):
        if model != TINY:
            both = [*measurements, *compared]
            yield from ["", f"## `{TINY}` beside `{model}`", "", *models_table(both, model)]
            yield from ["", *scale_table(compared, model), "", *wins_table(compared, model)]
    yield from ["", "## The proxy", ""]
    yield "It is taught without one recipe of a task at a time, and asked for it."
    yield from ["", *proxy_table(report)]
    if proposals is not None:
        yield from ["", "## What the proxy itself finds best", "", *proposals_table(proposals)]
    yield from ["", "## A task that was never measured", ""]
    yield "Taught and tried with the tasks that are measurable."
    yield ""
    yield "| teaching tasks | rank correlation on another task |"
    yield "|--:|--:|"
    for count, correlation in learning_curve(teaching):
        yield f"| {count} | {correlation:.3f} |"
    yield ""
    yield "| feature | rank correlation within a task | of the prior with it | without it |"
    yield "|---|--:|--:|--:|"
    for name, within, *prior in prior_features(teaching):
        yield f"| {name} | {within:.3f} | {prior[0]:.3f} | {prior[1]:.3f} |"
    yield from ["", "## All recipes"]
    for task, found in of_model(measurements, TINY).items():
        yield from ["", f"### {task}", "", "| recipe | seeds | score | bits per byte |"]
        yield "|---|--:|--:|--:|"
        for summary in score_summaries(found):
            bits = summary.scores["bits_per_byte"]
            count = len(summary.measurements)
            yield f"| {summary.first.recipe_name} | {count} | {summary.mean:.4f} | {bits:.3f} |"


def proposals_table(proposals: pl.DataFrame) -> Iterator[str]:
    """The best recipes of a search that climbs the proxy, and how they were measured then."""
    inside = proposals.filter(pl.col("measured").is_between("low", "high")).height
    better = proposals.filter(pl.col("measured") > pl.col("best_known")).height
    yield (
        f"A search climbed the proxy of each task, and the best different recipes that it found "
        f"were measured: {inside} of {proposals.height} lie within their 90% interval, {better} "
        "are better than all that taught the proxy. Best known is the best single measurement."
    )
    yield from [
        "",
        "| task | predicted | interval | measured | best known |",
        "|---|--:|--:|--:|--:|",
    ]
    for row in proposals.iter_rows(named=True):
        yield (
            f"| {row['task']} | {row['predicted']:.4f} | {row['low']:.4f}-{row['high']:.4f} "
            f"| {row['measured']:.4f} | {row['best_known']:.4f} |"
        )


def proxy_table(report: FitReport) -> Iterator[str]:
    """How the proxy ranks recipes that it was not taught, task by task."""
    yield "| task | recipes | rank correlation | top-1 regret | coverage at 90% | measurable |"
    yield "|---|--:|--:|--:|--:|---|"
    for task, found in report.by_recipe.items():
        yield f"| {task} | {figures(found)} | {report.noise[task].verdict} |"
    if report.by_task is not None:
        yield f"| a task, taught by the others | {figures(report.by_task)} | |"
    measurable = [
        found.rank_correlation.value
        for task, found in report.by_recipe.items()
        if report.noise[task].measurable
    ]
    if measurable:
        yield ""
        yield (
            f"Median rank correlation over the {len(measurable)} measurable tasks: "
            f"{np.median(measurable):.3f}."
        )


def learning_curve(measurements: list[MeasurementRecord]) -> Iterator[tuple[int, float]]:
    """The mean rank correlation on a task that is taught by a number of others, over tasks and
    `DRAWS` random choices of the others."""
    names = {one.task for one in measurements}
    for count in range(FEWEST_TASKS, len(names)):
        yield count, taught_by(measurements, count, DRAWS if count < len(names) - 1 else 1)


def prior_features(
    measurements: list[MeasurementRecord],
) -> Iterator[tuple[str, float, float, float]]:
    """How a feature alone ranks the recipes of a task, by its sign and on average over tasks, and
    how the prior that all other tasks teach ranks them with it and without it."""
    features = feature_table(measurements)
    scores = np.array([one.score for one in measurements])
    tasks = np.array([one.task for one in measurements])
    count = len(np.unique(tasks)) - 1
    if count < FEWEST_TASKS:
        return
    for name, sign in (SIGNS | MORE_SIGNS).items():
        if name not in features.columns:
            continue
        values = sign * features[name].to_numpy()
        known = ~np.isnan(values)
        alone = [
            rank_correlation(values[own], scores[own])
            for own in (known & (tasks == task) for task in np.unique(tasks))
            if own.any()
        ]
        rest = {other: s for other, s in SIGNS.items() if other != name}
        priors = (taught_by(measurements, count, 1, signs) for signs in (rest | {name: sign}, rest))
        yield name, float(np.mean(alone)), *priors


def taught_by(
    measurements: list[MeasurementRecord],
    count: int,
    draws: int,
    signs: Mapping[str, float] = SIGNS,
) -> float:
    """The mean rank correlation on a task that `count` random others teach."""
    random = np.random.default_rng(count)
    features = feature_table(measurements)
    scores = np.array([one.score for one in measurements])
    tasks = np.array([one.task for one in measurements])
    names = np.unique(tasks)
    found = []
    for task in names:
        own = tasks == task
        for _ in range(draws):
            others = random.choice(names[names != task], count, replace=False)
            rows = np.flatnonzero(np.isin(tasks, others))
            prior = TransferPrior.fit(features[rows], scores[rows], list(tasks[rows]), signs=signs)
            predicted = [one.value for one in prior.predict(features.filter(own))]
            found.append(rank_correlation(np.array(predicted), scores[own]))
    return float(np.mean(found))


def figures(found: Validation) -> str:
    estimates = (found.rank_correlation, found.regret, found.coverage)
    shown = (f"{e.value:.3f} [{e.low:.3f}, {e.high:.3f}]" for e in estimates)
    return f"{found.recipes} | " + " | ".join(shown)


if __name__ == "__main__":
    main()
