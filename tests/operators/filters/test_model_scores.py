"""Classifiers and reward models that are trained here on real rows rank rows they never saw."""

from __future__ import annotations

import gzip
import json
import random
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import torch

from datachef.core import CheckContext, check_recipe, document, turns_column
from datachef.core.language_models.checkpoint import byte_level_tokenizer
from datachef.core.run.signals import decide, measure
from datachef.operators.filters.classifier_filter import ClassifierFilter
from datachef.operators.filters.conversations.reward_model_filter import RewardModelFilter
from datachef.operators.filters.model_score import ModelScoreFilter
from datachef.operators.models.sequence_classifier import SequenceClassifier

TOKENS = 96
Turns = list[dict[str, Any]]


def lines(file: Path, most: int) -> Iterator[dict[str, Any]]:
    with gzip.open(file, "rt", encoding="utf-8") as stream:
        for _, line in zip(range(most), stream, strict=False):
            yield json.loads(line)


def area(good: Sequence[float], bad: Sequence[float]) -> float:
    """The share of pairs in which the good one has the greater score (AUC)."""
    return sum(g > b for g in good for b in bad) / (len(good) * len(bad))


def train(model: Any, tokenizer: Any, texts: list[str], labels: list[int], rate: float) -> None:
    """One epoch of AdamW in one thread; a model with one logit learns by the logistic loss."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    optimizer = torch.optim.AdamW(model.parameters(), lr=rate)
    order = random.Random(0).sample(range(len(texts)), len(texts))
    model.train()
    for start in range(0, len(order), 16):
        places = order[start : start + 16]
        batch = tokenizer(
            [texts[i] for i in places], padding=True, truncation=True, max_length=TOKENS,
            return_tensors="pt",
        )  # fmt: skip
        logits = model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]).logits
        wanted = torch.tensor([labels[i] for i in places])
        loss = (
            torch.nn.functional.binary_cross_entropy_with_logits(logits[:, 0], wanted.float())
            if logits.shape[1] == 1
            else torch.nn.functional.cross_entropy(logits, wanted)
        )
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    torch.set_num_threads(threads)
    model.eval()


@pytest.fixture(scope="session")
def sentences(shared_data: Path) -> tuple[list[str], list[int]]:
    """Short sentences, a part of them insults (1), in an order of chance."""
    rows = list(lines(shared_data / "noise" / "toxicity_madlibs.jsonl.gz", 20_000))
    rows = random.Random(1).sample(rows, 1_800)
    return [row["Text"] for row in rows], [int(row["Label"] == "BAD") for row in rows]


@pytest.fixture(scope="session")
def classifier(
    sentences: tuple[list[str], list[int]], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A tiny BERT that was trained to tell insults, with the labels clean and toxic."""
    from transformers import BertConfig, BertForSequenceClassification

    texts, labels = sentences[0][:1_600], sentences[1][:1_600]
    tokenizer = byte_level_tokenizer(texts, 600)
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(tokenizer), hidden_size=48, num_hidden_layers=1, num_attention_heads=4,
        intermediate_size=96, max_position_embeddings=TOKENS, pad_token_id=tokenizer.pad_token_id,
        id2label={0: "clean", 1: "toxic"}, label2id={"clean": 0, "toxic": 1},
    )  # fmt: skip
    model = BertForSequenceClassification(config)
    tokenizer.model_max_length = TOKENS
    tokenizer.model_input_names = ["input_ids", "attention_mask"]
    train(model, tokenizer, texts, labels, 3e-3)
    folder = tmp_path_factory.mktemp("toxicity")
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def talk(question: str, answer: str) -> Turns:
    return [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]


@pytest.fixture(scope="session")
def talks(shared_data: Path) -> tuple[list[Turns], list[Turns]]:
    """Instructions with their answers, and the same with headlines in the place of answers."""
    asked = [
        row
        for row in lines(shared_data / "pool" / "alpaca_5000.jsonl.gz", 3_000)
        if not row["input"] and len(row["instruction"]) < 80 and 20 < len(row["output"]) < 160
    ][:340]
    headlines = lines(shared_data / "noise" / "clickbait_headlines.jsonl.gz", 340)
    good = [talk(row["instruction"], row["output"]) for row in asked]
    bad = [talk(r["instruction"], h["text"]) for r, h in zip(asked, headlines, strict=False)]
    return good, bad


@pytest.fixture(scope="session")
def reward_model(
    talks: tuple[list[Turns], list[Turns]], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A tiny Qwen with one logit that was trained to prefer answers to headlines."""
    from transformers import Qwen3Config, Qwen3ForSequenceClassification

    chats = [*talks[0][:280], *talks[1][:280]]
    tokenizer = byte_level_tokenizer([turn["content"] for t in chats for turn in t], 600)
    torch.manual_seed(0)
    config = Qwen3Config(
        vocab_size=len(tokenizer), hidden_size=48, num_hidden_layers=1, num_attention_heads=4,
        num_key_value_heads=2, head_dim=12, intermediate_size=96, num_labels=1,
        pad_token_id=tokenizer.pad_token_id,
    )  # fmt: skip
    model = Qwen3ForSequenceClassification(config)
    texts = [tokenizer.apply_chat_template(chat, tokenize=False) for chat in chats]
    tokenizer.truncation_side = "left"
    train(model, tokenizer, texts, [1] * 280 + [0] * 280, 5e-3)
    folder = tmp_path_factory.mktemp("reward")
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def scored(operator: ModelScoreFilter, batch: pl.DataFrame) -> tuple[list[Any], list[Any]]:
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
