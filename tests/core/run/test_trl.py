"""TRL trains on a corpus as it lies there, and sees what the sources say."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import tiny_qwen

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("default")]

MakeCorpus = Callable[..., Any]
Row = dict[str, Any]

TOOL = {
    "type": "function",
    "function": {
        "name": "left",
        "description": "What is left.",
        "parameters": {"type": "object", "properties": {"of": {"type": "integer"}}},
    },
}
CALL = {"id": "c1", "type": "function", "function": {"name": "left", "arguments": {"of": 3}}}
USES_TOOLS = {
    "tools": [TOOL],
    "messages": [
        {"role": "user", "content": "How many are left?"},
        {
            "role": "assistant",
            "content": None,
            "reasoning_content": "I ask.",
            "tool_calls": [CALL | {"function": {"name": "left", "arguments": '{"of": 3}'}}],
        },
        {"role": "tool", "content": "1", "name": "left", "tool_call_id": "c1"},
        {"role": "assistant", "content": "He has 1 left."},
    ],
}
PARTS = {
    "messages": [
        {"role": "user", "content": [{"type": "text", "text": "How many are left?"}]},
        {"role": "assistant", "content": "He has 2 left."},
    ]
}


class Trained(NamedTuple):
    """What the trainer sees of each row, as text: all of it, and what the loss counts."""

    seen: list[str]
    learned: list[str]
    loss: float


@pytest.fixture
def tokenizer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Qwen3's chat template over a tokenizer and a model made on the spot."""
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    trl = pytest.importorskip("trl")
    transformers = pytest.importorskip("transformers")
    tiny_qwen.make(tmp_path / "model")
    made = transformers.AutoTokenizer.from_pretrained(tmp_path / "model")
    made.chat_template = trl.chat_template_utils.qwen3_chat_template
    return made


@pytest.fixture
def train(tmp_path: Path, tokenizer: Any) -> Callable[..., Trained]:
    """Trains a step on a dataset and decodes the batch."""

    def run(dataset: Any) -> Trained:
        from transformers import AutoModelForCausalLM
        from trl import SFTConfig, SFTTrainer

        trainer = SFTTrainer(
            model=AutoModelForCausalLM.from_pretrained(tmp_path / "model"),
            processing_class=tokenizer,
            train_dataset=dataset,
            args=SFTConfig(
                output_dir=str(tmp_path / "run"),
                max_steps=1,
                per_device_train_batch_size=len(dataset),
                train_sampling_strategy="sequential",
                max_length=None,
                use_cpu=True,
                bf16=False,
                report_to=[],
                save_strategy="no",
                disable_tqdm=True,
            ),
        )
        batch = next(iter(trainer.get_train_dataloader()))
        rows = zip(batch["input_ids"], batch["attention_mask"], batch["labels"], strict=True)
        kept = [(ids[mask == 1], labels[mask == 1]) for ids, mask, labels in rows]
        return Trained(
            [tokenizer.decode(ids) for ids, _ in kept],
            [tokenizer.decode(ids[labels != -100]) for ids, labels in kept],
            trainer.train().training_loss,
        )

    return run


@pytest.fixture
def load(tmp_path: Path) -> Callable[..., Any]:
    datasets = pytest.importorskip("datasets")
    datasets.disable_progress_bars()

    def run(folder: Path, *, by_file: bool) -> Any:
        cache = str(tmp_path / "datasets")
        if not by_file:
            return datasets.load_dataset(str(folder), split="train", cache_dir=cache)
        files = [str(file) for file in (folder / "data").iterdir()]
        kind = "parquet" if files[0].endswith("parquet") else "json"
        return datasets.load_dataset(kind, data_files=files, split="train", cache_dir=cache)

    return run


def write(folder: Path, *rows: Row) -> str:
    (folder / "a.jsonl").write_text("\n".join(map(json.dumps, rows)))
    return "a.jsonl"


@pytest.mark.parametrize("by_file", [False, True], ids=["folder", "files"])
@pytest.mark.parametrize("format", ["parquet", "jsonl"])
@pytest.mark.parametrize("schema", ["messages", "prompt_completion"])
def test_tools_calls_and_reasoning_reach_the_batch(
    make_corpus: MakeCorpus,
    load: Callable[..., Any],
    train: Callable[..., Trained],
    tokenizer: Any,
    tmp_path: Path,
    schema: str,
    format: str,
    by_file: bool,
) -> None:
    source = write(tmp_path, USES_TOOLS, PARTS)
    folder = make_corpus(source, output={"schema": schema, "format": format}).report.folder
    trained = train(load(folder, by_file=by_file))
    call = '<tool_call>\n{"name": "left", "arguments": {"of": 3}}\n</tool_call>'
    assert trained.seen == [
        "<|im_start|>system\n# Tools\n\nYou may call one or more functions to assist with the user "
        "query.\n\nYou are provided with function signatures within <tools></tools> XML tags:\n"
        f"<tools>\n{json.dumps(TOOL)}\n</tools>\n\nFor each function call, return a json object "
        "with function name and arguments within <tool_call></tool_call> XML tags:\n<tool_call>\n"
        '{"name": <function-name>, "arguments": <args-json-object>}\n</tool_call><|im_end|>\n'
        "<|im_start|>user\nHow many are left?<|im_end|>\n"
        f"<|im_start|>assistant\n<think>\nI ask.\n</think>\n\n{call}<|im_end|>\n"
        "<|im_start|>user\n<tool_response>\n1\n</tool_response><|im_end|>\n"
        "<|im_start|>assistant\n<think>\n\n</think>\n\nHe has 1 left.<|im_end|>\n",
        "<|im_start|>user\nHow many are left?<|im_end|>\n"
        "<|im_start|>assistant\n<think>\n\n</think>\n\nHe has 2 left.<|im_end|>\n",
    ]
    if schema == "prompt_completion":
        assert [text.split("</think>\n\n")[-1] for text in trained.learned] == [
            "He has 1 left.<|im_end|>\n",
            "He has 2 left.<|im_end|>\n",
        ]
    assert trained.loss > 0


PLAIN = {"prompt": "How many are left?", "completion": "He has 1 left."}


@pytest.mark.parametrize(
    ("output", "seen", "learned"),
    [
        ({"schema": "text"}, "How many are left?\n\nHe has 1 left.<|im_end|>", None),
        (
            {"schema": "messages"},
            "<|im_start|>user\nHow many are left?<|im_end|>\n"
            "<|im_start|>assistant\n<think>\n\n</think>\n\nHe has 1 left.<|im_end|>\n",
            None,
        ),
        (
            {"schema": "prompt_completion"},
            "<|im_start|>user\nHow many are left?<|im_end|>\n"
            "<|im_start|>assistant\n<think>\n\n</think>\n\nHe has 1 left.<|im_end|>\n",
            "<think>\n\n</think>\n\nHe has 1 left.<|im_end|>\n",
        ),
        (
            {"schema": "prompt_completion", "separator": "\n"},
            "How many are left?\nHe has 1 left.<|im_end|>",
            "He has 1 left.<|im_end|>",
        ),
    ],
    ids=["text", "messages", "prompt and completion", "plain"],
)
def test_what_a_pair_becomes_in_every_schema(
    make_corpus: MakeCorpus,
    load: Callable[..., Any],
    train: Callable[..., Trained],
    tmp_path: Path,
    output: Row,
    seen: str,
    learned: str | None,
) -> None:
    folder = make_corpus(write(tmp_path, PLAIN, PLAIN), output=output).report.folder
    trained = train(load(folder, by_file=False))
    assert trained.seen == [seen] * 2
    assert trained.learned == [learned or seen] * 2
    assert trained.loss > 0
