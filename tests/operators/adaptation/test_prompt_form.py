from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from datachef.core import BenchmarkFile, Task
from datachef.operators.adaptation.prompt_form import PromptForm

Row = dict[str, Any]


def rows_of(path: Path) -> list[Row]:
    data = path.read_bytes()
    text = gzip.decompress(data) if path.suffix == ".gz" else data
    return list(map(json.loads, text.splitlines()))


# Of each benchmark: the question of an item as its publishers write it, and the fields beside it.
ORIGINALS: dict[str, tuple[str, Callable[[Row], str], Callable[[Row], Row]]] = {
    "arc_challenge": (
        "arc_challenge.test.jsonl.gz", lambda r: str(r["orig"]["instruction"]), lambda _: {},
    ),
    "commonsenseqa": (
        "commonsenseqa.test.jsonl.gz",
        lambda r: str(r["orig"]["question"]["stem"]),
        lambda r: {"question": json.dumps(r["orig"]["question"])},
    ),
    "strategyqa": (
        "strategyqa.test.jsonl", lambda r: str(r["orig"]["question"]), lambda _: {},
    ),
    "cola": ("cola.test.jsonl", lambda r: str(r["orig"]["sentence"]), lambda _: {}),
    "fpb": ("fpb.test.jsonl.gz", lambda r: str(r["orig"]["sentence"]), lambda _: {}),
    "gsm8k": ("gsm8k.test.jsonl.gz", lambda r: str(r["orig"]["question"]), lambda _: {}),
}  # fmt: skip


@pytest.mark.parametrize("name", ORIGINALS)
def test_items_as_published_become_the_prompts_of_the_benchmark(
    name: str, shared_data: Path, adapt: Any, exchange: Any
) -> None:
    file, question, fields = ORIGINALS[name]
    path = shared_data / "bench" / file
    items = rows_of(path)
    operator = PromptForm().for_task(Task(name=name, benchmark=BenchmarkFile(path=str(path))))
    columns = {key: [fields(item)[key] for item in items] for key in fields(items[0])}
    found = adapt(operator, [exchange(question(item), "x") for item in items], columns)
    made = [found.turns[str(at)][0]["content"] for at in range(len(items))]
    wanted = [item["prompt"] for item in items]
    pairs = zip(made, wanted, strict=True)
    differing = [(made, wanted) for made, wanted in pairs if made.split() != wanted.split()]
    assert len(differing) <= 0.01 * len(items), differing[0]


def test_the_parts_stand_in_order(adapt: Any, exchange: Any) -> None:
    operator = PromptForm(
        question_label="Q:",
        option_labels="parentheses",
        answer_label="A:",
        instruction="Answer with the letter.",
    )
    columns = {"passage": ["Bees live in hives."], "choices": [json.dumps(["wax", "silk"])]}
    found = adapt(operator, [exchange("Question: What do bees make?", "A")], columns)
    assert found.turns["0"][0]["content"] == (
        "Bees live in hives.\n\nQ: What do bees make?\n(A) wax\n(B) silk\n"
        "Answer with the letter.\nA:"
    )
    first = operator.changed({"instruction_place": "first", "option_labels": "none"})
    found = adapt(first, [exchange("What do bees make?", "A")], columns)
    assert found.turns["0"][0]["content"] == (
        "Bees live in hives.\n\nAnswer with the letter.\nQ: What do bees make?\nA:"
    )


def test_templates_of_training_sets_go(adapt: Any, exchange: Any) -> None:
    asked = (
        "Question: How far?\\nOptions:\\n(A) 5 km\\n(B) 6 km "
        "OK. Let's think. Some random thoughts first:"
    )
    found = adapt(PromptForm(question_label="Question:"), [exchange(asked, "(A)")])
    assert found.turns["0"][0]["content"] == "Question: How far?\nA. 5 km\nB. 6 km"


def test_a_conversation_without_a_question_is_dropped(adapt: Any) -> None:
    found = adapt(PromptForm(), [[{"role": "assistant", "content": "hello"}]])
    assert found.dropped == {"0": "no_question"}


def test_only_the_last_question_changes(adapt: Any, exchange: Any) -> None:
    chat = [*exchange("Hello?", "Hi."), *exchange("What now?", "This.")]
    found = adapt(PromptForm(answer_label="Answer:"), [chat])
    assert [turn["content"] for turn in found.turns["0"]] == [
        "Hello?", "Hi.", "What now?\nAnswer:", "This.",
    ]  # fmt: skip


def test_a_few_items_say_nothing_about_the_template(tmp_path: Path) -> None:
    path = tmp_path / "bench.jsonl"
    path.write_text('{"prompt": "Question: the only item\\nAnswer:", "answer": "x"}\n')
    task = Task(name="t", benchmark=BenchmarkFile(path=str(path)))
    assert PromptForm().for_task(task) == PromptForm()
