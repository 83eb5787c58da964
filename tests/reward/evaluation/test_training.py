from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from pydantic import ValidationError
from safetensors.torch import load_file

from datachef.core import DatachefError, MissingPackageError, extra
from datachef.core.distribution import install_command
from datachef.core.language_models.checkpoint import load_model, load_tokenizer, quiet
from datachef.reward.evaluation import Training, fine_tune
from datachef.reward.evaluation.corpus import choose_rows, read_corpus
from datachef.reward.evaluation.training import train

Rows = list[dict[str, Any]]
WriteCorpus = Callable[..., Path]


def weights(folder: Path) -> bytes:
    return (folder / "model.safetensors").read_bytes()


def test_the_same_seed_gives_the_same_weights(
    base: Path,
    colour_rows: Rows,
    write_corpus: WriteCorpus,
    training: Training,
    tmp_path: Path,
) -> None:
    corpus = write_corpus(colour_rows)
    runs = [
        fine_tune(corpus, base, training, seed, tmp_path / f"{n}").checkpoint
        for n, seed in enumerate((0, 0, 1))
    ]
    assert weights(runs[0]) == weights(runs[1]) != weights(runs[2])
    assert weights(runs[0]) != weights(base)
    assert {file.name for file in runs[0].iterdir()} == {file.name for file in base.iterdir()}


@pytest.mark.parametrize("schema", ["messages", "prompt_completion"])
def test_conversations_teach_their_answers(
    base: Path,
    colour_rows: Rows,
    colour_items: list[Any],
    write_corpus: WriteCorpus,
    training: Training,
    tmp_path: Path,
    schema: str,
    bits_per_byte: Callable[..., tuple[float, float]],
) -> None:
    rows = colour_rows
    if schema == "prompt_completion":
        said = [[turn["content"] for turn in row["messages"]] for row in rows]
        rows = [{"prompt": question, "completion": answer} for question, answer in said]
    tuned = fine_tune(write_corpus(rows), base, training, 0, tmp_path / "model").checkpoint
    before, after = (bits_per_byte(model, colour_items)[0] for model in (base, tuned))
    assert after < 0.5 * before


def test_texts_teach_every_token(
    base: Path,
    write_corpus: WriteCorpus,
    training: Training,
    tmp_path: Path,
    loss: Callable[[Path, str], float],
) -> None:
    text = "Seven wizards quietly fixed jumbled boxes."
    tuned = fine_tune(
        write_corpus([{"text": text}] * 50), base, training, 0, tmp_path / "model"
    ).checkpoint
    assert loss(tuned, text) < 0.6 * loss(base, text)


@pytest.mark.parametrize("schema", ["messages", "text"])
def test_equal_tokens_are_equal_steps(
    base: Path,
    colour_rows: Rows,
    write_corpus: WriteCorpus,
    training: Training,
    tmp_path: Path,
    schema: str,
) -> None:
    """Whether rows are short or texts are packed: the form of a corpus decides nothing."""
    rows: Rows = [{"text": "Seven wizards quietly fixed jumbled boxes."}] * 400
    settings = training.model_copy(update={"learning_rate": (1e-3,), "max_tokens": 4_096})
    corpus = write_corpus(colour_rows if schema == "messages" else rows)
    made = fine_tune(corpus, base, settings, 0, tmp_path / "model")
    assert 13 <= made.tuned["most_steps"] <= 19  # of 256 tokens


@pytest.mark.parametrize("marked", [True, False])
def test_questions_are_not_learned(
    base: Path,
    colour_rows: Rows,
    training: Training,
    monkeypatch: pytest.MonkeyPatch,
    marked: bool,
) -> None:
    """With a template that marks answers and one that does not: the loss sees them alone."""
    from trl import SFTTrainer

    tokenizer = load_tokenizer(base)
    if not marked:
        plain = tokenizer.chat_template.replace("{% generation %}", "")
        tokenizer.chat_template = plain.replace("{% endgeneration %}", "")
    seen: list[dict[str, list[int]]] = []
    monkeypatch.setattr(SFTTrainer, "train", lambda self: seen.extend(self.train_dataset))
    with quiet(offline=True):
        train(load_model(base), tokenizer, colour_rows, training, 0)
    for row in seen:
        learned = tokenizer.decode([token for token in row["labels"] if token != -100])
        answer, end, rest = learned.partition("<|im_end|>")
        assert answer in {"green", "white", "black", "red", "blue"}
        assert end
        assert not rest.strip()
        assert "Which colour" in tokenizer.decode(row["input_ids"])
    assert len(seen) > len(colour_rows)


def test_adapters_are_merged_into_a_whole_checkpoint(
    base: Path,
    colour_rows: Rows,
    colour_items: list[Any],
    write_corpus: WriteCorpus,
    training: Training,
    tmp_path: Path,
    bits_per_byte: Callable[..., tuple[float, float]],
) -> None:
    settings = training.model_copy(update={"lora_rank": 4})
    tuned = fine_tune(write_corpus(colour_rows), base, settings, 0, tmp_path / "model").checkpoint
    before, after = (load_file(model / "model.safetensors") for model in (base, tuned))
    assert before.keys() == after.keys()
    assert torch.equal(before["model.embed_tokens.weight"], after["model.embed_tokens.weight"])
    change = (
        after["model.layers.0.mlp.up_proj.weight"] - before["model.layers.0.mlp.up_proj.weight"]
    )
    assert 0 < int(torch.linalg.matrix_rank(change, rtol=1e-3)) <= 4
    assert bits_per_byte(tuned, colour_items)[0] < bits_per_byte(base, colour_items)[0] - 0.2


def test_a_model_without_a_chat_template_gets_one(
    base: Path,
    colour_rows: Rows,
    write_corpus: WriteCorpus,
    training: Training,
    tmp_path: Path,
) -> None:
    bare = tmp_path / "bare"
    tokenizer = load_tokenizer(base)
    tokenizer.chat_template = None
    with quiet(offline=True):
        load_model(base).save_pretrained(bare)
    tokenizer.save_pretrained(bare)
    tuned = fine_tune(write_corpus(colour_rows), bare, training, 0, tmp_path / "model").checkpoint
    assert "im_start" in load_tokenizer(tuned).chat_template


def test_a_corpus_that_teaches_nothing_is_explained(
    base: Path, write_corpus: WriteCorpus, training: Training, tmp_path: Path
) -> None:
    question = {"role": "user", "content": "Which colour has the house? " * 40}
    rows = [{"messages": [question, {"role": "assistant", "content": "red"}]}] * 9
    with pytest.raises(DatachefError, match="no answer of the corpus begins within 64 tokens"):
        fine_tune(write_corpus(rows), base, training, 0, tmp_path / "model")
    empty = write_corpus([{"text": " "}], "empty")
    with pytest.raises(DatachefError, match="no row to learn from"):
        fine_tune(empty, base, training, 0, tmp_path / "model")
    assert not (tmp_path / "model").exists()


def test_one_row_is_enough(
    base: Path,
    colour_rows: Rows,
    write_corpus: WriteCorpus,
    training: Training,
    tmp_path: Path,
) -> None:
    tuned = fine_tune(
        write_corpus(colour_rows[:1]), base, training, 0, tmp_path / "model"
    ).checkpoint
    assert weights(tuned) != weights(base)


def test_a_model_that_cannot_be_loaded_is_explained(
    colour_rows: Rows, write_corpus: WriteCorpus, training: Training, tmp_path: Path
) -> None:
    (tmp_path / "hollow").mkdir()
    corpus = write_corpus(colour_rows)
    for model in (tmp_path / "hollow", tmp_path / "absent"):
        with pytest.raises(DatachefError, match="cannot load the model") as caught:
            fine_tune(corpus, model, training, 0, tmp_path / "model")
        assert "checkpoint" in caught.value.hint


def test_a_missing_package_is_named(
    base: Path,
    colour_rows: Rows,
    write_corpus: WriteCorpus,
    training: Training,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "trl", None)
    with pytest.raises(MissingPackageError, match="trl") as caught:
        fine_tune(write_corpus(colour_rows), base, training, 0, tmp_path / "model")
    assert caught.value.hint == install_command(extra("train"))


def test_libraries_are_as_noisy_afterwards_as_before() -> None:
    import datasets
    import huggingface_hub.constants as hub
    from transformers.utils import logging as notices

    def state() -> tuple[Any, ...]:
        bars = notices.is_progress_bar_enabled(), datasets.are_progress_bars_disabled()
        return (notices.get_verbosity(), *bars, hub.HF_HUB_OFFLINE, hub.HF_HUB_DISABLE_TELEMETRY)

    before = state()
    with quiet(offline=True):
        assert hub.is_offline_mode()
        assert state() != before
    assert state() == before


def test_settings_are_checked_and_travel_as_data() -> None:
    with pytest.raises(ValidationError):
        Training(lora_rank=0)
    with pytest.raises(ValidationError):
        Training.model_validate({"learning_rat": 1.0})
    settings = Training(lora_rank=8, max_tokens=None)
    assert Training.model_validate(json.loads(settings.model_dump_json())) == settings
    assert all(field.description for field in Training.model_fields.values())


TOOL = {"type": "function", "function": {"name": "look_up", "parameters": {"type": "object"}}}


def calls(question: str, answer: str, **arguments: Any) -> Rows:
    function = {"name": "look_up", "arguments": arguments}
    call = {"type": "function", "function": function}
    return [
        {"role": "user", "content": question},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "content": answer, "name": "look_up"},
        {"role": "assistant", "content": answer},
    ]


@pytest.mark.parametrize("schema", ["messages", "prompt_completion"])
def test_what_is_trained_has_the_tools_of_the_corpus(
    base: Path,
    training: Training,
    make_corpus: Callable[..., Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    schema: str,
) -> None:
    """Of calls whose arguments have little in common, and of rows without any."""
    import trl

    chats = [
        {"messages": calls("How hot?", "9", city="Köln", at=[1, 2]), "tools": [TOOL]},
        {"messages": calls("How far?", "7", to={"city": "Bonn"}, at=3), "tools": [TOOL]},
        {
            "messages": [
                {"role": "user", "content": "Hi"},
                {"role": "assistant", "content": "Hello"},
            ]
        },
    ]
    (tmp_path / "a.jsonl").write_text("\n".join(map(json.dumps, chats)))
    corpus = make_corpus("a.jsonl", output={"schema": schema}).report.folder
    tokenizer = load_tokenizer(base)
    tokenizer.chat_template = trl.chat_template_utils.qwen3_chat_template
    seen: list[dict[str, list[int]]] = []
    monkeypatch.setattr(trl.SFTTrainer, "train", lambda self: seen.extend(self.train_dataset))
    settings = training.model_copy(update={"epochs": 1, "max_length": 4_096})
    with quiet(offline=True):
        rows = choose_rows(read_corpus(corpus), tokenizer, None, 4_096, 0)
        train(load_model(base), tokenizer, rows, settings, 0)
    texts = sorted(tokenizer.decode(row["input_ids"]) for row in seen)
    assert len(texts) == 3
    assert json.dumps(TOOL) in texts[0]
    assert '"arguments": {"to": {"city": "Bonn"}, "at": 3}}' in texts[0]
    assert '"arguments": {"city": "Köln", "at": [1, 2]}}' in texts[1]
    assert "<tools>" not in texts[2]
    assert texts[2].startswith("<|im_start|>user\nHi<|im_end|>")
    for row in seen:
        learned = tokenizer.decode([token for token in row["labels"] if token != -100])
        assert learned.rstrip().endswith(("9<|im_end|>", "7<|im_end|>", "Hello<|im_end|>"))
        assert "How" not in learned
