"""Measurements of others: a swarm of runs in the pair of CSV files that Olmix reads.

One file has the shares of the domains in each run, the other the metrics of each run; `run` or
`run_id` says which rows belong together (https://github.com/allenai/olmix, `olmix fit`). A domain
becomes a source, its share the feature from which a proxy learns, and every metric a task.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from datachef.core import document
from datachef.core.contracts.task import Task
from datachef.core.errors import DatachefError, did_you_mean
from datachef.core.run.stage import key_of
from datachef.core.system.failures import raise_environment_failure
from datachef.reward.evaluation.evaluator import task_key
from datachef.reward.evaluation.likelihoods import UNIFORM_BITS
from datachef.reward.measurement import MeasurementRecord
from datachef.reward.proxy.encoding import SHARE
from datachef.reward.score_kinds import ACCURACY, BITS_SAVED, LIKELIHOOD

# What says which run a row is, and what says nothing of it.
_RUN = ("run", "run_id")
_ASIDE = (*_RUN, "name", "index")
# How far the shares of a run may be from 1 in sum, as in Olmix.
_TOLERANCE = 0.01
_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9_-]")


@dataclass(frozen=True)
class MetricUnit:
    """What the numbers of a metric are: the kind of score that they become, and how."""

    score_name: str
    score: Callable[[float], float]


UNITS = {
    "bits_per_byte": MetricUnit(BITS_SAVED, lambda bits: max(0.0, 1 - bits / UNIFORM_BITS)),
    "nats_per_token": MetricUnit(LIKELIHOOD, lambda loss: math.exp(-loss)),
    "accuracy": MetricUnit(ACCURACY, lambda share: share),
}


def read_swarm(
    ratios: Path,
    metrics: Path,
    *,
    base_model: str,
    unit: str = "bits_per_byte",
    chosen: Collection[str] = (),
    task: Task | None = None,
) -> list[MeasurementRecord]:
    """The measurements of a swarm: one for each run that both files have, and each metric that it
    has a number for.

    `base_model` says what was trained, since scores of different models are never compared; `unit`
    is one of `UNITS`. Of the metrics only the `chosen` are read, all by default. `task` is what the
    single chosen metric measures: then a proxy of that task learns from it. Runs of the same shares
    are seeds of one recipe. Raises `DatachefError` for files that are something else, with all that
    is wrong with one of them.
    """
    if unit not in UNITS:
        raise DatachefError(f"there is no unit {unit!r}", did_you_mean(unit, UNITS))
    shares, scores = _shares(ratios), _table(metrics)
    columns = _metrics(scores, chosen, metrics)
    if task is not None and len(columns) != 1:
        raise DatachefError(
            f"a task is measured by one metric, and there are {len(columns)}", "give --metric"
        )
    by_run = {_run(row, metrics): row for row in scores.iter_rows(named=True)}
    found = []
    seen: Counter[tuple[str, str]] = Counter()
    for run, (name, mix) in shares.items():
        for metric in columns:
            value = by_run.get(run, {}).get(metric)
            if value is None or not math.isfinite(value):
                continue
            recipe = key_of("swarm", sorted(mix.items()))
            seen[recipe, metric] += 1
            found.append(
                MeasurementRecord(
                    recipe_name=name,
                    recipe=_recipe(name, mix),
                    recipe_key=recipe,
                    task=metric if task is None else task.name,
                    task_key=key_of("swarm", metric, unit) if task is None else task_key(task),
                    base_model=base_model,
                    seed=seen[recipe, metric] - 1,
                    score=_score(value, unit, metric, metrics),
                    score_name=UNITS[unit].score_name,
                    scores={metric: value},
                    features={f"{SHARE}{source}": share for source, share in mix.items()},
                    versions={},
                    seconds=0.0,
                    corpus={},
                    training={},
                    vocabulary="",
                )
            )
    if not found:
        raise DatachefError(
            f"no run of {ratios} has a number in {metrics}",
            "rows belong together by the column run, or run_id, that both files have",
        )
    return found


def _score(value: float, unit: str, metric: str, path: Path) -> float:
    score = UNITS[unit].score(value)
    if not 0 <= score <= 1:
        raise DatachefError(
            f"{path}: {metric} is {value}, which is not in {unit}",
            f"--unit is one of {', '.join(UNITS)}; accuracies are between 0 and 1",
        )
    return score


def _shares(path: Path) -> dict[str, tuple[str, dict[str, float]]]:
    """The name of each run and its shares by source; those of a run add up to 1."""
    table = _table(path)
    domains = _numbers(table)
    sources = {domain: _NOT_IN_NAMES.sub("_", domain) for domain in domains}
    problems = [
        f"{source} stands for several domains"
        for source, count in Counter(sources.values()).items()
        if count > 1
    ]
    found: dict[str, tuple[str, dict[str, float]]] = {}
    for row in table.iter_rows(named=True):
        run = _run(row, path)
        mix = {sources[domain]: float(row[domain] or 0.0) for domain in domains}
        if run in found:
            problems.append(f"run {run} is there twice")
        if not abs(sum(mix.values()) - 1) <= _TOLERANCE or min(mix.values()) < 0:
            problems.append(f"the shares of run {run} add up to {sum(mix.values()):g}, not to 1")
        found[run] = (str(row.get("name") or run), mix)
    if problems:
        raise DatachefError(
            f"{path}: {'; '.join(problems)}",
            "one row per run: run, name if it has one, and a share in [0, 1] for each domain",
        )
    return found


def _metrics(table: pl.DataFrame, chosen: Collection[str], path: Path) -> list[str]:
    known = _numbers(table)
    for name in chosen:
        if name not in known:
            raise DatachefError(f"{path} has no metric {name!r}", did_you_mean(name, known))
    return [name for name in known if not chosen or name in chosen]


def _table(path: Path) -> pl.DataFrame:
    try:
        table = pl.read_csv(path, infer_schema_length=None)
    except (OSError, pl.exceptions.PolarsError) as error:
        raise_environment_failure(error, str(path))
        raise DatachefError(f"cannot read {path} as CSV: {error}") from error
    if not _numbers(table) or not set(_RUN) & set(table.columns):
        raise DatachefError(
            f"{path} is no table of runs", "it has a column run, or run_id, and columns of numbers"
        )
    return table


def _numbers(table: pl.DataFrame) -> list[str]:
    """The columns with shares or metrics."""
    return [
        name
        for name, kind in table.schema.items()
        if kind.is_numeric() and name and name not in _ASIDE and not name.startswith("Unnamed")
    ]


def _run(row: dict[str, object], path: Path) -> str:
    named: Iterator[object] = (row[name] for name in _RUN if row.get(name) is not None)
    if (run := next(named, None)) is None:
        raise DatachefError(f"{path}: a row does not say which run it is")
    return str(run)


def _recipe(name: str, mix: dict[str, float]) -> str:
    """The mix for people to read: which operator made it is not known."""
    used = {source: share for source, share in sorted(mix.items()) if share > 0}
    shares = ", ".join(f"{source} {share:.4g}" for source, share in used.items())
    return document.dump(
        {
            "name": _NOT_IN_NAMES.sub("_", name),
            "description": f"Shares of the tokens: {shares}.",
            "sources": {source: {} for source in used},
        }
    )
