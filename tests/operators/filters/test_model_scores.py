"""Classifiers and reward models that are trained here on real rows rank rows they never saw."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from datachef.core import CheckContext, Filter, check_recipe, document, turns_column
from datachef.core.run.signals import decide, measure
from datachef.operators.filters.classifier_filter import ClassifierFilter
from datachef.operators.filters.conversations.reward_model_filter import RewardModelFilter
from datachef.operators.filters.fasttext_filter import FastTextFilter
from datachef.operators.models.fasttext_classifier import train
from datachef.operators.models.sequence_classifier import SequenceClassifier

Turns = list[dict[str, Any]]


def area(good: Sequence[float], bad: Sequence[float]) -> float:
    """The share of pairs in which the good one has the greater score (AUC)."""
    return sum(g > b for g in good for b in bad) / (len(good) * len(bad))


def talk(question: str, answer: str) -> Turns:
    return [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]


def scored(operator: Filter, batch: pl.DataFrame) -> tuple[list[Any], list[Any]]:
    """The scores of rows, and why they are dropped."""
    signals = measure(operator, batch)
    return signals.to_series().to_list(), list(decide(operator, signals))


def test_a_classifier_drops_what_it_finds_toxic(
    classifier: Path, sentences: tuple[list[str], list[int]]
) -> None:
    texts, labels = sentences[0][1_600:], sentences[1][1_600:]
    operator = ClassifierFilter(model=str(classifier), label="toxic", max=0.5)
    assert operator.signal_names() == ["classifier_score_toxic"]
    scores, reasons = scored(operator, pl.DataFrame({"text": [*texts, "", None]}))
    bad = [score for score, label in zip(scores, labels, strict=False) if label]
    assert area(bad, [s for s, label in zip(scores, labels, strict=False) if not label]) > 0.9
    assert reasons[-2:] == ["nothing_to_score"] * 2
    assert [why == "too_high_classifier_score" for why in reasons[:-2]] == [
        score > 0.5 for score in scores[:-2]
    ]
    alone = pl.DataFrame({"text": texts[:3]})
    assert scored(operator, alone)[0] == scores[:3]


def test_probabilities_are_a_softmax_or_a_sigmoid_as_the_configuration_says(
    classifier: Path, tmp_path: Path
) -> None:
    multi = tmp_path / "multi"
    shutil.copytree(classifier, multi)
    config = json.loads((multi / "config.json").read_text())
    config["problem_type"] = "multi_label_classification"
    (multi / "config.json").write_text(json.dumps(config))
    shares = []
    for folder in (classifier, multi):
        model = SequenceClassifier(folder)
        shares.append([model.of_text("You are a nasty fool", n, 96) for n in ("clean", "toxic")])
    assert sum(shares[0]) == pytest.approx(1)
    assert shares[1] != pytest.approx(shares[0], abs=1e-3)
    odds = [[p / (1 - p) for p in found] for found in shares]
    assert odds[1][1] / odds[1][0] == pytest.approx(odds[0][1], rel=1e-3)


def test_a_reward_model_prefers_answers(
    reward_model: Path, talks: tuple[list[Turns], list[Turns]]
) -> None:
    good, bad = talks[0][280:], talks[1][280:]
    turns = [*good, *bad, good[0][:1], None]
    batch = pl.DataFrame({"text": ["t"] * len(turns)}).with_columns(turns_column(turns))
    operator = RewardModelFilter(model=str(reward_model), min=0)
    scores, reasons = scored(operator, batch)
    assert area(scores[: len(good)], scores[len(good) : -2]) > 0.9
    assert min(scores[:-2]) < 0 < max(scores[:-2])  # a logit, not a probability
    assert reasons[-2:] == ["nothing_to_score"] * 2
    assert reasons.count("too_low_reward") == sum(score < 0 for score in scores[:-2])
    short = RewardModelFilter(model=str(reward_model), max_tokens=24)
    longer = [talk("Well, " * 500 + t[0]["content"], t[1]["content"]) for t in good[:2]]
    cut = batch.head(2).with_columns(turns_column(longer))
    assert scored(short, cut)[0] == pytest.approx(scored(short, batch.head(2))[0], abs=1e-4)


def test_what_cannot_be_scored_by_is_told_before_anything_runs(
    classifier: Path, reward_model: Path, tmp_path: Path
) -> None:
    context = CheckContext(frozenset({"text"}), {})
    several = list(ClassifierFilter(model=str(classifier)).check(context))
    assert several[0][0] == "label" and "clean, toxic" in several[0][2]
    wrong = list(ClassifierFilter(model=str(classifier), label="hate").check(context))
    assert "no 'hate'" in wrong[0][1]
    assert not list(RewardModelFilter(model=str(reward_model)).check(context))
    assert [found[0] for found in ClassifierFilter().check(context)] == ["model"]
    plain = tmp_path / "plain"
    plain.mkdir()
    (plain / "config.json").write_text('{"architectures": ["LlamaForCausalLM"]}')
    assert "is no classifier" in next(iter(ClassifierFilter(model=str(plain)).check(context)))[1]


def problems(folder: Path, model: str, pool: Path | None = None) -> list[tuple[str, str]]:
    (folder / "rows.jsonl").write_text('{"text": "A fine day."}\n')
    source: dict[str, Any] = {} if pool else {"path": "rows.jsonl"}
    steps = [{"op": "classifier_filter", "model": model, "label": "toxic"}]
    recipe = {"name": "r", "sources": {"s": {**source, "steps": steps}}}
    (folder / "recipe.yaml").write_text(document.dump(recipe))
    found = check_recipe(folder / "recipe.yaml", pool=pool).problems
    return [(problem.code, problem.hint) for problem in found]


def test_models_of_the_hub_are_fetched_only_where_the_user_allows_it(
    classifier: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setenv("DATACHEF_ALLOW_NETWORK", "")
    ((code, hint),) = problems(tmp_path, "unitary/nowhere-bert")
    assert code == "missing_model" and "--allow-network=huggingface.co" in hint
    shutil.copytree(classifier, tmp_path / "toxicity")
    assert problems(tmp_path, "toxicity") == []
    pool = tmp_path / "pool.yaml"
    pool.write_text("sources: {s: {path: rows.jsonl}}\n")
    for named in ("toxicity", "unitary/nowhere-bert"):
        assert [code for code, _ in problems(tmp_path, named, pool)] == ["not_in_pool"]


def test_another_model_in_the_folder_gives_another_result(classifier: Path) -> None:
    files = ClassifierFilter(model=str(classifier)).files()
    assert {"config.json", "model.safetensors", "tokenizer.json"} <= {Path(f).name for f in files}


def test_toxicity_by_labels_of_fasttext_as_dolma_names_them(
    sentences: tuple[list[str], list[int]], tmp_path: Path
) -> None:
    """The models of Dolma have labels such as `toxic` and `non-toxic`."""
    pytest.importorskip("fasttext")
    split = {"toxic": 1, "non-toxic": 0}
    texts, labels = sentences
    examples = {
        name: pl.Series([t for t, label in zip(texts[:1_600], labels, strict=False) if label == n])
        for name, n in split.items()
    }
    train(
        examples.items(), tmp_path / "jigsaw.bin", epochs=8, learning_rate=0.5, ngrams=2,
        dimensions=8, buckets=1_000, seed=0,
    )  # fmt: skip
    operator = FastTextFilter(
        model=str(tmp_path / "jigsaw.bin"), label="non-toxic", min_probability=0.6
    )
    assert not list(operator.check(CheckContext(frozenset({"text"}), {})))
    scores, reasons = scored(operator, pl.DataFrame({"text": texts[1_600:]}))
    clean = [s for s, label in zip(scores, labels[1_600:], strict=True) if not label]
    assert area(clean, [s for s, n in zip(scores, labels[1_600:], strict=True) if n]) > 0.9
    assert reasons.count("low_probability") == sum(score < 0.6 for score in scores)
