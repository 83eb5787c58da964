from __future__ import annotations

import json
import logging
import math
import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from datachef.core import (
    BenchmarkFile,
    BenchmarkItem,
    DatachefError,
    MissingPackageError,
    Task,
    extra,
    read_benchmark,
)
from datachef.core.contracts.metric import Choices
from datachef.core.distribution import install_command
from datachef.core.registry.installed import installed_metric
from datachef.reward.evaluation.harness import run_harness, score

Row = dict[str, Any]
Scripted = Callable[[Mapping[str, str]], Any]

SUMS = [{"prompt": f"How much is {a} + {a}?", "answer": str(a + a)} for a in (1, 2, 3, 4)]
LETTERS = [
    {"prompt": f"Which is {colour}?\nA. grass\nB. snow\nC. coal", "answer": letter}
    for colour, letter in (("green", "A"), ("white", "B"), ("black", "C"), ("dark", "C"))
]
MOODS = [
    {"prompt": f"The mood of {thing}?", "answer": mood}
    for thing, mood in (("rain", "negative"), ("sun", "positive"), ("fog", "neutral"))
]
FACTS = [
    {"prompt": f"Is {one} {other}?", "answer": answer}
    for one, other, answer in (("snow", "hot", "No"), ("fire", "hot", "Yes"), ("ice", "warm", "No"))
]
DOUBLE = "def double(x):\n    return 2 * x"
CODE = [{"prompt": "Write double.", "answer": DOUBLE, "tests": "assert double(4) == 8"}]
LESSONS = {
    "number_match": SUMS,
    "multiple_choice": LETTERS,
    "label": MOODS,
    "yes_no": FACTS,
    "unit_tests": CODE,
}


@pytest.fixture
def make_task(tmp_path: Path) -> Callable[..., Task]:
    """Writes rows as a benchmark and gives the task that asks them."""

    def make(metric: str, rows: list[Row], **fields: str) -> Task:
        path = tmp_path / f"{metric}.jsonl"
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        benchmark = {"path": str(path), **fields}
        return Task.model_validate({"name": "sample", "metric": metric, "benchmark": benchmark})

    return make


@pytest.fixture(scope="session")
def pupil(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny Qwen3 that has learned the answers to all lessons by heart."""
    import torch
    from tokenizers import ByteLevelBPETokenizer
    from transformers import PreTrainedTokenizerFast, Qwen3Config, Qwen3ForCausalLM

    turns = [
        f"<|im_start|>user\n{row['prompt']}<|im_end|>\n<|im_start|>assistant\n{row['answer']}<|im_end|>"
        for rows in LESSONS.values()
        for row in rows
    ]
    bpe = ByteLevelBPETokenizer()
    marks = ["<|pad|>", "<|im_start|>", "<|im_end|>"]
    bpe.train_from_iterator(turns, vocab_size=400, special_tokens=marks, show_progress=False)
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=bpe._tokenizer, pad_token=marks[0], eos_token=marks[2]
    )
    tokenizer.chat_template = (
        "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
        "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
    )
    torch.manual_seed(0)
    config = Qwen3Config(
        vocab_size=len(tokenizer), hidden_size=64, intermediate_size=128, num_hidden_layers=2,
        num_attention_heads=4, num_key_value_heads=2, head_dim=16, max_position_embeddings=256,
        pad_token_id=tokenizer.pad_token_id, eos_token_id=tokenizer.eos_token_id, bos_token_id=None,
    )  # fmt: skip
    model = Qwen3ForCausalLM(config)
    batch = tokenizer(turns, padding=True, return_tensors="pt")
    labels = batch["input_ids"].masked_fill(batch["attention_mask"] == 0, -100)
    optimizer = torch.optim.AdamW(model.parameters(), lr=5e-3)
    for _ in range(120):
        loss = model(**batch, labels=labels).loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    folder = tmp_path_factory.mktemp("pupil")
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def said(rows: list[Row]) -> dict[str, str]:
    return {row["prompt"]: row["answer"] for row in rows}


def answers(folder: Path) -> list[Row]:
    return [json.loads(line) for line in (folder / "answers.jsonl").read_text().splitlines()]


@pytest.mark.slow
@pytest.mark.parametrize("metric", LESSONS)
def test_a_model_that_learned_the_answers_scores_one(
    metric: str, pupil: Path, make_task: Callable[..., Task], tmp_path: Path
) -> None:
    task = make_task(metric, LESSONS[metric])
    figures = run_harness(pupil, task, limit=None, seed=0, folder=tmp_path, allow_code=True)
    assert figures[metric] == 1.0, answers(tmp_path)
    if len(LESSONS[metric]) > 1:
        assert figures[f"{metric}_stderr"] == 0.0


@pytest.mark.slow
def test_a_model_is_wrong_where_the_gold_answers_are(
    pupil: Path, make_task: Callable[..., Task], tmp_path: Path
) -> None:
    swapped = [{**row, "answer": str(int(row["answer"]) + 1)} for row in SUMS]
    for metric, rows in (("number_match", swapped), ("exact_match", swapped)):
        task = make_task(metric, rows)
        figures = run_harness(pupil, task, limit=None, seed=0, folder=tmp_path, allow_code=False)
        assert figures == {metric: 0.0, f"{metric}_stderr": 0.0}


@pytest.mark.slow
def test_the_likelihood_of_a_choice_is_the_models(
    pupil: Path, make_task: Callable[..., Task], tmp_path: Path
) -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    task = make_task("label", MOODS)
    run_harness(pupil, task, limit=None, seed=0, folder=tmp_path, allow_code=False)
    tokenizer = AutoTokenizer.from_pretrained(pupil)
    model = AutoModelForCausalLM.from_pretrained(pupil)
    for answer in answers(tmp_path):
        before = f"<|im_start|>user\n{answer['prompt']}<|im_end|>\n<|im_start|>assistant\n"
        # The harness counts the white space before a choice to the choice, the same for all.
        start = len(tokenizer(before.rstrip())["input_ids"])
        for label, likelihood in answer["log_likelihoods"].items():
            tokens = tokenizer(before + label, return_tensors="pt")["input_ids"]
            with torch.inference_mode():
                logs = model(tokens).logits[0, :-1].log_softmax(-1)
            taken = logs.gather(1, tokens[0, 1:, None])[start - 1 :].sum().item()
            assert likelihood == pytest.approx(taken, abs=1e-4)


@pytest.mark.slow
def test_a_measurement_repeats_itself_and_leaves_nothing_behind(
    pupil: Path,
    make_task: Callable[..., Task],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    environment, disabled = dict(os.environ), logging.root.manager.disable
    task = make_task("number_match", SUMS)
    for name in ("one", "two"):
        run_harness(pupil, task, limit=3, seed=5, folder=tmp_path / name, allow_code=False)
    one, two = ((tmp_path / name / "answers.jsonl").read_bytes() for name in ("one", "two"))
    assert one == two and len(one.splitlines()) == 3
    assert [path.name for path in (tmp_path / "one").iterdir()] == ["answers.jsonl"]
    assert not list((tmp_path / "here").iterdir())
    assert capfd.readouterr() == ("", "")
    assert dict(os.environ) == environment
    assert logging.root.manager.disable == disabled


@pytest.mark.parametrize("metric", LESSONS)
def test_every_metric_counts_what_is_right(
    metric: str, scripted: Scripted, make_task: Callable[..., Task], tmp_path: Path
) -> None:
    rows = LESSONS[metric]
    task = make_task(metric, rows)
    lm = scripted(said(rows))
    assert score(lm, task, folder=tmp_path, allow_code=True)[metric] == 1.0
    assert {line["correct"] for line in answers(tmp_path)} == {True}
    assert all(asked.startswith("<user>") and asked.endswith("<answer>") for asked in lm.asked)


def test_the_value_is_a_mean_with_its_standard_error(
    scripted: Scripted, make_task: Callable[..., Task], tmp_path: Path
) -> None:
    lines = said(SUMS) | {SUMS[0]["prompt"]: "It is 7"}
    task = make_task("number_match", SUMS)
    figures = score(scripted(lines), task, folder=tmp_path)
    error = math.sqrt(0.75 * 0.25 * 4 / 3 / 4)
    assert figures == {"number_match": 0.75, "number_match_stderr": pytest.approx(error)}
    assert [line["response"] for line in answers(tmp_path)] == ["It is 7", "4", "6", "8"]


def test_one_item_has_no_standard_error(
    scripted: Scripted, make_task: Callable[..., Task], tmp_path: Path
) -> None:
    task = make_task("exact_match", SUMS[:1])
    assert score(scripted(said(SUMS)), task, folder=tmp_path) == {"exact_match": 1.0}


def test_without_a_chat_template_the_prompt_stands_alone(
    scripted: Scripted, make_task: Callable[..., Task], tmp_path: Path
) -> None:
    lm = scripted(said(SUMS))
    score(lm, make_task("number_match", SUMS), folder=tmp_path, chat=False)
    assert sorted(lm.asked) == sorted(row["prompt"] for row in SUMS)


def test_a_limit_draws_items_by_seed(
    scripted: Scripted, make_task: Callable[..., Task], tmp_path: Path
) -> None:
    rows = [{"prompt": f"Say {n}", "answer": str(n)} for n in range(40)]
    task, lm = make_task("number_match", rows), scripted(said(rows))
    drawn = []
    for seed in (1, 1, 2):
        score(lm, task, limit=9, seed=seed, folder=tmp_path)
        drawn.append([line["gold"] for line in answers(tmp_path)])
    assert drawn[0] == drawn[1] != drawn[2]
    assert len(set(drawn[0])) == 9
    score(lm, task, limit=100, folder=tmp_path)
    assert len(answers(tmp_path)) == 40


def test_items_without_an_answer_are_left_out(
    scripted: Scripted, make_task: Callable[..., Task], tmp_path: Path
) -> None:
    rows = [*SUMS, {"prompt": "Unanswered?", "answer": " "}]
    score(scripted(said(rows)), make_task("number_match", rows), folder=tmp_path)
    assert len(answers(tmp_path)) == 4
    with pytest.raises(DatachefError, match="no item with an answer"):
        score(scripted({}), make_task("number_match", rows[4:]), folder=tmp_path)


def test_code_is_run_only_when_allowed(
    scripted: Scripted, make_task: Callable[..., Task], tmp_path: Path
) -> None:
    with pytest.raises(DatachefError, match="not allowed") as refused:
        score(scripted(said(CODE)), make_task("unit_tests", CODE), folder=tmp_path)
    assert "--allow-code" in refused.value.hint


def test_a_prompt_that_looks_like_a_template_is_asked_as_it_is(
    scripted: Scripted, make_task: Callable[..., Task], tmp_path: Path
) -> None:
    rows = [
        {"prompt": text, "answer": "1"} for text in ("{{ 7 * 7 }}", "42", "choices", "{% if %}")
    ]
    lm = scripted(said(rows))
    assert score(lm, make_task("number_match", rows), folder=tmp_path)["number_match"] == 1.0
    assert sorted(lm.asked) == sorted(f"<user>{row['prompt']}<answer>" for row in rows)


def test_without_the_harness_the_package_is_named(
    make_task: Callable[..., Task], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "lm_eval.models.huggingface", None)
    task = make_task("number_match", SUMS)
    with pytest.raises(MissingPackageError, match="lm_eval") as missing:
        run_harness(tmp_path, task, limit=1, seed=0, folder=tmp_path, allow_code=False)
    assert missing.value.hint == install_command(extra("evaluate"))


def test_a_checkpoint_that_is_not_there_is_an_error(
    make_task: Callable[..., Task], tmp_path: Path
) -> None:
    pytest.importorskip("lm_eval")
    task = make_task("number_match", SUMS)
    nowhere = tmp_path / "nowhere"
    with pytest.raises(DatachefError, match="cannot load the model"):
        run_harness(nowhere, task, limit=1, seed=0, folder=tmp_path, allow_code=False)


def item(prompt: str, answer: str, *choices: str) -> BenchmarkItem:
    return BenchmarkItem(prompt, answer, choices)


def test_letters_compete_where_the_prompt_lists_the_options() -> None:
    listed = item("Pick.\nA. sand\nB. snow", "B", "sand", "snow")
    unlisted = item("What is white?", "B", "sand", "snow")
    bare = item("Pick.\nA. sand\nB. snow", "B")
    pick = installed_metric("multiple_choice")
    assert pick.choices([listed]) == [Choices(("A", "B"))]
    assert pick.choices([unlisted]) == [Choices(("sand", "snow"), by_byte=True)]
    more = item("Pick.\nA. x\nB. y\nC. z", "C")
    assert pick.choices([bare, more]) == [Choices(("A", "B", "C"))] * 2


def test_words_compete_as_the_benchmark_writes_them() -> None:
    items = [item("?", answer) for answer in ("True", "True", "false", "False", "False")]
    assert installed_metric("yes_no").choices(items) == [Choices(("True", "False"))] * 5
    assert installed_metric("yes_no").choices([item("?", "Yes")]) == [Choices(("Yes", "no"))]


def test_labels_compete_over_the_whole_benchmark_where_items_list_none() -> None:
    items = [item("?", "good"), item("?", "bad"), item("?", "good", "good", "so-so")]
    both = Choices(("bad", "good"))
    assert installed_metric("label").choices(items) == [both, both, Choices(("good", "so-so"))]
    with pytest.raises(DatachefError, match="no choice of its item"):
        installed_metric("label").choices([item("?", "great", "good", "bad")])


@pytest.mark.parametrize(
    ("name", "metric", "fields"),
    [
        ("gsm8k.test.jsonl.gz", "number_match", {}),
        ("scibench_physics.test.jsonl", "number_tolerance", {}),
        ("arc_challenge.test.jsonl.gz", "multiple_choice", {"choices": "choices"}),
        ("logical_deduction.test.jsonl.gz", "multiple_choice", {"choices": "choices"}),
        ("xcopa.test.jsonl.gz", "multiple_choice", {"choices": "choices"}),
        ("fpb.test.jsonl.gz", "label", {"choices": "choices"}),
        ("cola.test.jsonl", "yes_no", {}),
        ("humaneval.test.jsonl", "unit_tests", {"program": "{prompt}{answer}\n{tests}"}),
    ],
)
def test_gold_answers_score_one_on_real_benchmarks(
    name: str,
    metric: str,
    fields: dict[str, str],
    scripted: Scripted,
    shared_data: Path,
    tmp_path: Path,
) -> None:
    benchmark = BenchmarkFile.model_validate({"path": str(shared_data / "bench" / name), **fields})
    task = Task.model_validate({"name": "real", "metric": metric, "benchmark": benchmark})
    lines = {item.prompt: item.answer for item in read_benchmark(benchmark)}
    figures = score(scripted(lines), task, limit=12, seed=3, folder=tmp_path, allow_code=True)
    assert figures == {metric: 1.0, f"{metric}_stderr": 0.0}
