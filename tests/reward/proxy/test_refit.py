"""A refit replaces a proxy unless it predicts worse: on the published runs of RegMix."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from datachef.core.recipe.resolving import read_task
from datachef.reward.evaluation.evaluator import task_key
from datachef.reward.history import History
from datachef.reward.measurement import MeasurementRecord
from datachef.reward.proxy.fit import fit_proxy
from datachef.reward.proxy.proxy import Proxy
from datachef.reward.proxy.refit import compare_refit, refit_proxy

KNOWN, NEW = 24, 12


def published(folder: Path, task: str, *, shuffled: bool) -> list[MeasurementRecord]:
    """Runs with the probability per token that their loss on pile_cc means; with `shuffled` the
    new ones have one another's."""
    losses = pl.read_csv(folder / "train_pile_loss_1m.csv")
    runs = pl.read_csv(folder / "train_mixture_1m.csv").join(losses, on="index").sort("index")
    random = np.random.default_rng(1)
    runs = runs[random.permutation(len(runs))[: KNOWN + NEW]]
    scores = np.exp(-runs["metric/the_pile_pile_cc_val_loss"].to_numpy())
    if shuffled:
        scores[KNOWN:] = random.permutation(scores[KNOWN:])
    names = [name for name in runs.columns if name.startswith("train_")]
    shares = [{f"share.{name}": row[name] for name in names} for row in runs.to_dicts()]
    return [
        MeasurementRecord(
            recipe_name=f"run-{run}", recipe="name: run", recipe_key=f"run-{run}",
            task="pile_cc", task_key=task, base_model="1M", seed=0, score=float(score), scores={},
            features=share, versions={}, seconds=1.0, corpus={}, training={}, vocabulary="v",
        )
        for run, (share, score) in enumerate(zip(shares, scores, strict=True))
    ]  # fmt: skip


@pytest.mark.parametrize("shuffled", [False, True])
def test_a_refit_stays_only_if_it_is_not_worse(
    tmp_path: Path, workspace: Path, shared_data: Path, *, shuffled: bool
) -> None:
    task = read_task(workspace / "task.yaml")
    runs = published(shared_data / "regmix", task_key(task), shuffled=shuffled)
    history = History(tmp_path / "history.sqlite")
    history.add_new(runs[:KNOWN])
    last = fit_proxy(history, task)
    assert compare_refit(runs[:KNOWN], last.learned_from) is None, "nothing is new"
    history.add_new(runs[KNOWN:])
    found = refit_proxy(history, task, last)
    assert found.comparison is not None
    assert (found.comparison.worse, found.measurements) == (
        (True, KNOWN) if shuffled else (False, KNOWN + NEW)
    )
    assert found.comparison.new_measurements == NEW
    assert ("is kept" in found.comparison.verdict) is shuffled
    assert Proxy.from_data(found.to_data()).comparison == found.comparison
