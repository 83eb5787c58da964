"""Features and gates of plugins: when they are asked, what they see, and what is learned."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from datachef.core import CorpusSample, Host, PluginError, RewardConfig, UnavailableError, document
from datachef.core.testing import FeatureContract, GateContract, corpus_sample, odd_rows
from datachef.reward.evaluation import (
    EvaluationSettings,
    Scoring,
    SeedResult,
    TaskScorer,
    evaluator as evaluating,
)
from datachef.reward.evaluation.evaluator import Evaluator
from datachef.reward.gates import GATES, GateFailure
from datachef.reward.history import History
from datachef.reward.proxy.fit import feature_table
from datachef.reward.score_kinds import BITS_SAVED
from datachef.reward.scorer import Assessment, RecipeReward

PLUGIN = """
import polars as pl
from datachef.core import CorpusSample, UnavailableError, hookimpl

def sums(corpus):
    '''Share of rows with a sum.'''
    return {feature}

def few_sums(corpus):
    '''The corpus has at most the number of rows that the gate allows.'''
    return {gate}

@hookimpl
def datachef_features():
    return {{{feature_name!r}: sums}}

@hookimpl
def datachef_gates():
    return {{"few_sums": few_sums, "second": lambda corpus: ""}}
"""
SHARE = 'corpus.share(pl.col("text").str.contains(" = "))'


@pytest.fixture
def reward(workspace: Path) -> Callable[..., RecipeReward]:
    """Makes a reward with a plugin file that has this feature and this gate."""

    def make(feature: str = SHARE, gate: str = '""', name: str = "sums") -> RecipeReward:
        file = workspace / "sums.py"
        file.write_text(PLUGIN.format(feature=feature, gate=gate, feature_name=name))
        return RecipeReward(
            RewardConfig(
                workspace / "task.yaml",
                None,
                workspace,
                workspace / "cache",
                plugin_files=(str(file),),
                options={"rows": 200},
            )
        )

    return make


def assess(reward: RecipeReward, workspace: Path, recipe: dict[str, Any]) -> Assessment:
    return reward.assess(document.parse(document.dump(recipe)), workspace)


def test_a_feature_is_extracted_from_the_whole_corpus(
    workspace: Path, reward: Callable[..., RecipeReward], mixture: Callable[..., Any]
) -> None:
    made = reward()
    found = assess(made, workspace, mixture({"good": 1.0, "prose": 3.0}))
    assert not found.score.gate
    assert found.corpus is not None
    rows = found.corpus.rows
    weights = {source: part["weight"].sum() for (source,), part in rows.group_by("source")}
    expected = weights["good"] / sum(weights.values())
    assert found.features["plugin.sums"] == pytest.approx(expected)
    assert 0 < expected < 1
    assert made.plugin_functions.meanings == {"plugin.sums": "Share of rows with a sum"}


def test_a_gate_stops_a_recipe_after_ours(
    workspace: Path, reward: Callable[..., RecipeReward], mixture: Callable[..., Any]
) -> None:
    made = reward(gate=f'"too many sums" if {SHARE} > 0.9 else ""')
    stopped = assess(made, workspace, mixture({"good": 1.0}))
    assert (stopped.score.gate, stopped.score.reasons) == ("few_sums", ("too many sums",))
    guarded = GateFailure("guardrails", 0.5, ()).value
    assert guarded < stopped.score.value < -1
    assert "plugin.sums" not in stopped.features
    assert not assess(made, workspace, mixture({"prose": 1.0})).score.gate
    tiny = assess(made, workspace, mixture({"good": 1.0}, sources={"good": {"take": 20}}))
    assert tiny.score.gate == "enough_rows"


def test_values_of_our_gates_are_the_same_whatever_is_installed() -> None:
    values = [GateFailure(gate, 0.0, ()).value for gate in GATES]
    assert values == [place / len(GATES) - 2 for place in range(len(GATES))]
    last = [GateFailure("of_a_plugin", degree, ()).value for degree in (0.1, 0.9, 1.0)]
    assert last == sorted(last)
    assert GateFailure("guardrails", 0.5, ()).value < last[0]
    assert last[-1] < -1


@pytest.mark.parametrize(
    ("broken", "said"),
    [
        ({"feature": "1 / 0"}, "the feature 'sums' of plugin sums .* raised ZeroDivisionError"),
        ({"feature": "'many'"}, "the feature 'sums' gave the str 'many', not a number"),
        ({"gate": "[][1]"}, "the gate 'few_sums' of plugin sums .* raised IndexError"),
        ({"gate": "True"}, "the gate 'few_sums' gave the bool True, not a reason"),
        ({"gate": "exit(1)"}, "the gate 'few_sums' of plugin sums .* raised SystemExit"),
    ],
)
def test_a_broken_function_is_named_and_makes_no_score(
    broken: dict[str, str],
    said: str,
    workspace: Path,
    reward: Callable[..., RecipeReward],
    mixture: Callable[..., Any],
) -> None:
    made = reward(**broken)
    with pytest.raises(PluginError, match=said):
        made.score(mixture({"good": 1.0}), workspace)


def test_a_server_that_is_down_is_no_fault_of_the_plugin(
    workspace: Path, reward: Callable[..., RecipeReward], mixture: Callable[..., Any]
) -> None:
    made = reward(feature="(_ for _ in ()).throw(UnavailableError('it is down'))")
    with pytest.raises(UnavailableError, match="it is down"):
        made.score(mixture({"good": 1.0}), workspace)


def test_a_function_cannot_change_what_others_see(
    workspace: Path, reward: Callable[..., RecipeReward], mixture: Callable[..., Any]
) -> None:
    recipe = mixture({"good": 1.0, "prose": 1.0})
    plain = assess(reward(), workspace, recipe)
    inserting = 'corpus.rows.insert_column(0, pl.Series("new", [0] * corpus.rows.height))'
    changed = assess(reward(gate=f"str({inserting})[:0]"), workspace, recipe)
    assert changed.corpus is not None
    assert "new" not in changed.corpus.rows.columns
    assert changed.score == plain.score


def test_names_are_in_snake_case(reward: Callable[..., RecipeReward]) -> None:
    with pytest.raises(PluginError, match="'Many Sums' of a plugin is not in snake_case"):
        reward(name="Many Sums")


def test_the_proxy_learns_from_what_the_present_code_gave(
    workspace: Path,
    reward: Callable[..., RecipeReward],
    mixture: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made = reward()
    host = Host([str(workspace / "sums.py")])
    history = History(workspace / "history.sqlite")
    model = workspace / "base"
    model.mkdir()
    (model / "config.json").write_text("{}")
    result = SeedResult({BITS_SAVED: 0.5}, 0, 1.0)
    monkeypatch.setattr(evaluating, "evaluate", lambda *_, **__: [result])
    scoring = Scoring(score_name=BITS_SAVED, chance=0, base=0.4, base_scores={})
    monkeypatch.setattr(TaskScorer, "decide", lambda *_: scoring)
    settings = EvaluationSettings(base_model=str(model), accuracy=False)
    recipe = workspace / "r.yaml"
    recipe.write_text(document.dump(mixture({"good": 1.0, "prose": 3.0})))
    (kept,) = Evaluator(made, host, history, settings, workspace / "out").measure(recipe, [0])
    assert 0 < (kept.features["plugin.sums"] or 0) < 1

    codes = made.plugin_functions.codes
    assert feature_table([kept], codes)["plugin.sums"].to_list() == [kept.features["plugin.sums"]]
    changed = reward(feature=f"1 - {SHARE}").plugin_functions.codes
    assert feature_table([kept], changed)["plugin.sums"].to_list() == [None]
    assert "plugin.sums" not in feature_table([kept]).columns


def mean_tokens(corpus: CorpusSample) -> float:
    """Mean number of tokens of a row."""
    weight = corpus.rows["weight"]
    return float((corpus.rows["tokens"] * weight).sum() / weight.sum())


class TestMeanTokens(FeatureContract):
    function = staticmethod(mean_tokens)


class TestFewRows(GateContract):
    @staticmethod
    def function(corpus: CorpusSample) -> str:
        """At least two rows."""
        return "" if corpus.rows.height > 1 else "there is one row"


def test_shares_are_of_rows_by_their_weight_and_the_unknown_is_no_part() -> None:
    corpus = corpus_sample(odd_rows().head(4))
    rows = corpus.rows.with_columns(
        weight=pl.Series([1.0, 1.0, 2.0, 4.0]), mark=pl.Series([True, None, True, False])
    )
    assert replace(corpus, rows=rows).share(pl.col("mark")) == 3 / 8
