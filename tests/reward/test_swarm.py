"""Measurements of others: the pair of CSV files of a swarm."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from command import chef
from scipy.stats import spearmanr

from datachef.core import DatachefError
from datachef.core.contracts.task import LMEvalBenchmark, Task
from datachef.reward.evaluation.evaluator import task_key
from datachef.reward.history import History
from datachef.reward.proxy import Proxy
from datachef.reward.proxy.fit import feature_table
from datachef.reward.swarm import read_swarm

RATIOS = """,run,name,index,dclm:science,dclm:games,stack-edu
0,a1,first,0,0.5,0.25,0.25
1,b2,second,1,1.0,0.0,0.0
2,c3,third,2,0.5,0.25,0.25
3,d4,alone,3,0.0,0.0,1.0
"""
METRICS = """run,name,index,arc:bpb,gsm8k:bpb
c3,third,0,1.2,0.8
a1,first,1,1.0,
b2,second,2,2.0,9.0
z9,other,3,2.0,1.0
"""


@pytest.fixture
def swarm(tmp_path: Path) -> tuple[Path, Path]:
    (tmp_path / "ratios.csv").write_text(RATIOS)
    (tmp_path / "metrics.csv").write_text(METRICS)
    return tmp_path / "ratios.csv", tmp_path / "metrics.csv"


def test_shares_become_features_and_metrics_tasks(swarm: tuple[Path, Path]) -> None:
    found = read_swarm(*swarm, base_model="olmo-30M")
    told = [(one.task, one.recipe_name, one.seed, round(one.score, 4)) for one in found]
    # The third run has the shares of the first: another seed of one recipe, where it has a number.
    assert told == [
        ("arc:bpb", "first", 0, 0.875), ("arc:bpb", "second", 0, 0.75),
        ("gsm8k:bpb", "second", 0, 0.0), ("arc:bpb", "third", 1, 0.85),
        ("gsm8k:bpb", "third", 0, 0.9),
    ]  # fmt: skip
    assert found[0].features == {
        "share.dclm_science": 0.5, "share.dclm_games": 0.25, "share.stack-edu": 0.25,
    }  # fmt: skip
    assert {one.score_name for one in found} == {"bits_saved"}
    assert "description: 'Shares of the tokens: dclm_science 1.'" in found[1].recipe


def test_a_metric_can_be_that_of_a_task(swarm: tuple[Path, Path]) -> None:
    task = Task(
        name="science", instruction="Choose.", benchmark=LMEvalBenchmark(lm_eval="arc_easy")
    )
    found = read_swarm(*swarm, base_model="m", chosen=["arc:bpb"], task=task)
    assert {(one.task, one.task_key) for one in found} == {("science", task_key(task))}
    with pytest.raises(DatachefError, match="measured by one metric, and there are 2"):
        read_swarm(*swarm, base_model="m", task=task)


@pytest.mark.parametrize(
    ("file", "text", "said"),
    [
        ("ratios.csv", "run,a,b\n1,0.5,0.4\n1,0,1\n", "run 1 add up to 0.9.*run 1 is there twice"),
        ("ratios.csv", "run,a:b,a_b\n1,0.5,0.5\n", "a_b stands for several domains"),
        ("ratios.csv", "index,a\n1,1\n", "is no table of runs"),
        ("metrics.csv", "run,x\nq,1.0\n", "no run of"),
        ("metrics.csv", "run_id,x\na1,-1.0\n", "x is -1.0, which is not in bits_per_byte"),
    ],
)  # fmt: skip
def test_other_files_are_refused(swarm: tuple[Path, Path], file: str, text: str, said: str) -> None:
    (swarm[0].parent / file).write_text(text)
    with pytest.raises(DatachefError, match=said):
        read_swarm(*swarm, base_model="m")


def test_published_runs_teach_a_proxy(shared_data: Path, tmp_path: Path) -> None:
    table = pl.read_csv(shared_data / "mixtures" / "dmsl_llm_slimpajama.csv")
    small = table.filter(pl.col("model_size") == table["model_size"].min())
    last = small.filter(pl.col("n_tokens") == small["n_tokens"].max()).with_row_index("run")
    weights = [name for name in table.columns if name.startswith("weight_")]
    ratios, metrics = tmp_path / "ratios.csv", tmp_path / "metrics.csv"
    last.select("run", *weights).write_csv(ratios)
    last.select("run", "arxiv_loss", "github_loss").write_csv(metrics)
    history = tmp_path / "history.sqlite"
    added = chef(
        "history", "import", ratios, metrics, f"--history={history}",
        "--base-model=slimpajama-122M", "--unit=nats_per_token", "--metric=github_loss",
    )  # fmt: skip
    assert added.stdout.endswith(f"{last.height} new measurements\n"), added.stderr
    found = History(history).measurements()
    features, scores = feature_table(found), np.array([one.score for one in found])
    proxy = Proxy.fit(features[::2], scores[::2])
    predicted = [one.value for one in proxy.predict(features[1::2])]
    assert spearmanr(predicted, scores[1::2]).statistic > 0.9
