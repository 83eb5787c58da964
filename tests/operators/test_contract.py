"""Every registered operator keeps the contract that operators of plugins are held to."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import polars as pl
import pytest

from datachef.core import Completion, Filter, Host, LLMBackend, Request, Services, threshold
from datachef.core.testing import OperatorContract
from datachef.operators.models.fasttext_classifier import train

VOCABULARY = Host().vocabulary

# Parameters for operators that cannot do without, or do nothing without.
EXAMPLES: Mapping[str, list[dict[str, Any]]] = {
    "answer_form": [
        {"form": "letter"},
        {"form": "number", "solution": "keep", "wording": "hashes"},
        {"form": "text"},
        {"form": "code"},
        {"form": "label", "labels": ["a", "b"]},
    ],
    "answer_check_filter": [{"gold": "source", "checker": "exact_match"}],
    "answer_question": [{"model": "echo", "backend": "echo"}],
    "back_translate": [{"model": "echo", "backend": "echo"}],
    "bad_words_filter": [{"words": "words.txt"}],
    "classifier_filter": [{"label": "toxic", "max": 0.5}],
    "column_filter": [{"where": "length > 10 and source == 'a'"}],
    "evol_instruct": [{"model": "echo", "backend": "echo"}],
    "diverse_sample": [{}, {"method": "facility_location", "rows": 9}],
    "fasttext_filter": [{"model": "quality.bin"}],
    "flagged_words_filter": [{"words": "words.txt"}],
    "chain_of_thought": [{}, {"place": "think_tags", "trigger": "add"}],
    "curriculum_order": [{"by": "length"}, {"by": "length", "order": "descending", "stages": 3}],
    "generate_question": [{"model": "echo", "backend": "echo"}],
    "generate_question_answer_pairs": [{"model": "echo", "backend": "echo"}],
    "ifd_filter": [{"max_tokens": 16}],
    "judge_score": [{"model": "echo", "backend": "echo"}],
    "language_filter": [{"languages": ["en"]}],
    "length_filter": [{}, {"min_chars": 3, "max_chars": 500, "keep_signals": True}],
    "minhash_dedup": [{}, {"ngram": 2, "bands": 30, "rows": 2}],
    "perplexity_filter": [{"max": 200, "max_tokens": 8}],
    "quality_upsampling": [
        {"by": "length"},
        {"by": "length", "epochs": [1.5, 0.3], "per_source": True},
    ],
    "regex_filter": [{"patterns": ["[aeiou]"]}],
    "rejection_sampling": [
        {"model": "echo", "backend": "echo", "gold": "source", "checker": "exact_match"}
    ],
    "rephrase_text": [{"model": "echo", "backend": "echo"}],
    "prompt_form": [{}, {"question_label": "Q:", "answer_label": "A:", "instruction": "Answer."}],
    "sample": [{}, {"share": 0.3}],
    "self_instruct": [{"model": "echo", "backend": "echo"}],
    "stratified_sample": [
        {"share": 0.4},
        {"by": "length", "bins": 4, "allocation": "equal", "rows": 9},
    ],
    "system_prompt": [{"prompt": "Be brief."}, {"action": "drop"}],
    "task_similarity": [{}, {"to": "mean", "keep_scores": True}, {"by": "embeddings"}],
    "to_messages": [{"format": {"prompt": "id", "completion": "text"}}],
    "to_multiple_choice": [{"model": "echo", "backend": "echo"}],
    "top_selection": [{"by": "length", "share": 0.5}, {"by": "length", "rows": 3}],
    "truncate_tokens": [{}, {"max_tokens": 5}, {"max_tokens": 5, "keep": "end"}],
    "url_filter": [{"column": "source", "hosts": "words.txt", "soft_words": "words.txt"}],
    "weighted_mix": [
        {},
        {"weights": {"a": 0.9, "b": 0.1}, "max_epochs": 3},
        {"weights": {"a": 1, "b": 2}, "budget": {"rows": 10}},
        {"budget": {"tokens": 900}, "max_epochs": 2, "temperature": 3.0},
    ],
}

# Operators that ask a model, with the fixture that trains one.
TRAINED = {"classifier_filter": "classifier", "reward_model_filter": "reward_model"}

# Operators that go by the examples of a task.
TARGETED = ("importance_resampling", "task_ranking", "task_similarity")

# Files that operators of the examples read, by their name.
FILES = {"words.txt": "fox\nthe same line\n日本\n"}


class Echo(LLMBackend):
    """Answers every request alike, in the form that was asked for."""

    def complete(self, request: Request) -> Completion:
        if request.response_schema is None:
            return Completion("the same text in other words")
        said = {
            "pairs": [{"question": "what?", "answer": "that"}] * 3,
            "distractors": ["this", "that", "neither"],
            "instructions": ["Tell me what this is about.", "Name five rivers in Asia."],
            "reasoning": "So it is.",
            "score": 3,
        }
        return Completion(json.dumps({k: said[k] for k in request.response_schema["required"]}))


CASES = [
    pytest.param((name, parameters), id=f"{name}-{number}")
    for name in VOCABULARY
    for number, parameters in enumerate(EXAMPLES.get(name, [{}]))
]


class TestContract(OperatorContract):
    @pytest.fixture(autouse=True, params=CASES)
    def _set_operator(self, request: pytest.FixtureRequest, tmp_path: Path) -> None:
        name, parameters = request.param
        if name == "decontaminate":
            benchmark = tmp_path / "benchmark.jsonl"
            prompt = "The quick brown fox jumps over the lazy dog, does it not, dear reader?"
            benchmark.write_text(json.dumps({"prompt": prompt, "answer": "it does"}) + "\n")
            parameters = {"benchmark": {"path": str(benchmark)}}
        if name in TARGETED:
            target = tmp_path / "target.jsonl"
            target.write_text(json.dumps({"prompt": "The lazy dog", "answer": "jumps"}) + "\n")
            parameters = {"target": {"path": str(target)}, "share": 0.3, **parameters}
        for file, content in FILES.items():
            (tmp_path / file).write_text(content, encoding="utf-8")
        if name == "fasttext_filter":
            pytest.importorskip("fasttext")
            texts = {"hq": pl.Series(["the quick fox"]), "lq": pl.Series(["a lazy dog"])}
            train(
                texts.items(), tmp_path / "quality.bin", epochs=5, learning_rate=1.0, ngrams=1,
                dimensions=4, buckets=10, seed=0,
            )  # fmt: skip
        if (made := TRAINED.get(name)) is not None:
            parameters = {"model": str(request.getfixturevalue(made)), **parameters}
        services = Services({"echo": Echo}, tmp_path / "llm")
        operator = VOCABULARY.operator({"op": name, **parameters})
        for asset in operator.assets():
            request.getfixturevalue(asset)  # which skips where it cannot be fetched
        self.operator = operator.located(tmp_path).connect(services)  # type: ignore[misc] - one per case

    def batch(self) -> pl.DataFrame:
        lengths = pl.col("text").str.len_chars().alias("length")
        return super().batch().with_columns(lengths)


def test_every_operator_has_a_case() -> None:
    assert set(EXAMPLES) <= set(VOCABULARY)
    for name in VOCABULARY:
        fields = VOCABULARY[name].model_fields
        if any(field.is_required() for key, field in fields.items() if key != "op"):
            assert name in EXAMPLES


class Careless(Filter):
    """Drops long text, by a signal that depends on what is said to be a threshold."""

    op: Literal["careless"] = "careless"
    limit: int = threshold(10, ge=1, le=100, description="Longest text.")

    def signals(self) -> Mapping[str, pl.Expr]:
        return {"over": pl.col("text").str.len_chars().cast(pl.Int64) - self.limit}

    def rules(self) -> Mapping[str, pl.Expr]:
        return {"too_long": pl.col("over") > 0}


def test_the_contract_notices_a_stale_signal() -> None:
    class Contract(OperatorContract):
        operator = Careless()

    with pytest.raises(AssertionError, match="limit changes the signals"):
        Contract().test_thresholds_do_not_touch_signals()
