"""Making, cutting and rearranging conversations."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given, strategies as st

from datachef.core import (
    BenchmarkFile,
    CheckContext,
    Task,
    render_text,
    turns_column,
    turns_of,
    with_text,
)
from datachef.operators.adaptation.chain_of_thought import ChainOfThought
from datachef.operators.adaptation.split_turns import SplitTurns
from datachef.operators.adaptation.system_prompt import SystemPrompt
from datachef.operators.adaptation.to_messages import ToMessages
from datachef.operators.adaptation.truncate_tokens import TruncateTokens

ASKED, ANSWERED = (
    {"role": "user", "content": "2 + 2?"}, {"role": "assistant", "content": "4"},
)  # fmt: skip


def documents(**columns: list[Any]) -> pl.DataFrame:
    size = len(next(iter(columns.values())))
    ids = [str(number) for number in range(size)]
    return pl.DataFrame({"id": ids, "source": ["a"] * size, "text": ["t"] * size, **columns})


@pytest.mark.parametrize(
    ("operator", "columns"),
    [
        (ToMessages(), {"conversations": json.dumps(
            [{"from": "human", "value": "2 + 2?"}, {"from": "gpt", "value": "4"}])}),
        (ToMessages(), {"instruction": "2 + 2?", "input": "", "output": "4"}),
        (ToMessages(), {"prompt": "2 + 2?", "completion": "4"}),
        (ToMessages(), {"question": "2 + 2?", "answer": "4"}),
        (ToMessages.model_validate({"format": {"messages": "chat"}}),
            {"chat": json.dumps([ASKED, ANSWERED])}),
        (ToMessages.model_validate({"format": {"prompt": "{a} + {b}?", "completion": "c"}}),
            {"a": 2, "b": 2, "c": 4}),
    ],
)  # fmt: skip
def test_columns_become_conversations(operator: ToMessages, columns: dict[str, Any]) -> None:
    outcome = operator.process(documents(**{name: [value] for name, value in columns.items()}))
    assert turns_of(outcome.rows["messages"][0]) == [ASKED, ANSWERED]
    assert outcome.rows["text"].to_list() == ["2 + 2?\n\n4"]
    assert operator.writes() == {"messages"}


def test_rows_that_cannot_be_read_are_dropped_as_a_source_would_fail_them() -> None:
    rows = documents(question=["2 + 2?", None], answer=["4", "5"])
    outcome = ToMessages().process(rows)
    assert outcome.rows["id"].to_list() == ["0"]
    assert outcome.dropped is not None
    assert outcome.dropped["reason"].to_list() == ["missing_field"]
    unknown = CheckContext(frozenset({"text", "body"}), {})
    [(parameter, *_)] = ToMessages().check(unknown)
    assert parameter == "format"


def test_a_system_prompt_is_set_replaced_and_dropped(adapt: Any) -> None:
    old = {"role": "system", "content": "Old."}
    chats = [[ASKED, ANSWERED], [old, ASKED, ANSWERED]]

    def systems(operator: SystemPrompt) -> list[str]:
        found = adapt(operator, chats).turns.values()
        return [turns[0]["content"] for turns in found]

    assert systems(SystemPrompt(action="set", prompt="New.")) == ["New.", "Old."]
    assert systems(SystemPrompt(prompt="New.")) == ["New.", "New."]
    assert systems(SystemPrompt(action="drop")) == ["2 + 2?", "2 + 2?"]
    assert adapt(SystemPrompt(action="drop"), [[old]]).dropped == {"0": "emptied"}


def test_the_task_is_the_system_prompt_that_is_left_out() -> None:
    benchmark = BenchmarkFile(path="bench.jsonl")
    task = Task(name="t", instruction="Do the sum.\n", benchmark=benchmark)
    assert SystemPrompt().for_task(task).prompt == "Do the sum."
    assert list(SystemPrompt().check(CheckContext(frozenset(), {})))
    assert not list(SystemPrompt(action="drop").check(CheckContext(frozenset(), {})))


TAGGED = "<think>\nTwo and two.\n</think>\n\n4"
ANNOUNCED = "Two and two.\nSo, the answer is 4."


@pytest.mark.parametrize(
    ("place", "tagged", "announced"),
    [
        ("before_answer", "Two and two.\n4", ANNOUNCED),
        ("after_answer", "4\nTwo and two.", "So, the answer is 4.\nTwo and two."),
        ("think_tags", TAGGED, "<think>\nTwo and two.\n</think>\n\nSo, the answer is 4."),
        ("reasoning_content", "4", "So, the answer is 4."),
        ("drop", "4", "So, the answer is 4."),
    ],
)
def test_a_chain_of_thought_moves(
    place: Any, tagged: str, announced: str, adapt: Any, exchange: Any
) -> None:
    chats = [exchange("?", TAGGED), exchange("?", ANNOUNCED), exchange("?", "4")]
    found = adapt(ChainOfThought(place=place), chats, {"rationale": [None, None, "Two and two."]})
    assert found.answers() == {"0": tagged, "1": announced, "2": tagged}
    thought = found.turns["0"][-1].get("reasoning_content")
    assert thought == ("Two and two." if place == "reasoning_content" else None)


def test_reasoning_of_the_turn_is_a_chain_of_thought(adapt: Any) -> None:
    chat = [ASKED, ANSWERED | {"reasoning_content": "Two and two."}]
    assert adapt(ChainOfThought(place="think_tags"), [chat]).turns["0"] == [
        ASKED, {"role": "assistant", "content": TAGGED},
    ]  # fmt: skip


@pytest.mark.parametrize(
    "trigger",
    [
        "Let's think step by step.", "Stream of consciousness first, then make a decision:",
        "OK. Let's think. Some random thoughts first:", "Hmmm, my stream of consciousness:",
    ],
)  # fmt: skip
def test_phrases_that_ask_for_a_chain_of_thought_come_and_go(
    trigger: str, adapt: Any, exchange: Any
) -> None:
    chat = [exchange(f"How far is it? {trigger}", "4")]
    dropped = adapt(ChainOfThought(trigger="drop"), chat).turns["0"]
    assert dropped[0]["content"] == "How far is it?"
    added = adapt(ChainOfThought(trigger="add"), chat).turns["0"]
    assert added[0]["content"] == "How far is it?\nLet's think step by step."


def test_every_answer_becomes_a_row_with_what_led_to_it(adapt: Any, exchange: Any) -> None:
    system = {"role": "system", "content": "Be brief."}
    chat = [system, *exchange("a", "b"), *exchange("c", "d"), {"role": "user", "content": "e"}]
    found = adapt(SplitTurns(), [chat, [ASKED]])
    contents = {row: [t["content"] for t in turns] for row, turns in found.turns.items()}
    assert contents == {
        "0.0": ["Be brief.", "a", "b"],
        "0.1": ["Be brief.", "a", "b", "c", "d"],
    }
    assert found.dropped == {"1": "no_answer"}
    short = adapt(SplitTurns(history="last_question"), [chat]).turns
    assert [turn["content"] for turn in short["0.1"]] == ["Be brief.", "c", "d"]


def cut(operator: TruncateTokens, chat: list[dict[str, str]]) -> list[str] | str:
    frame = pl.DataFrame({"id": ["0"], "source": ["a"]}).with_columns(turns_column([chat]))
    outcome = operator.process(with_text(frame))
    if outcome.rows.height:
        return [turn["content"] for turn in turns_of(outcome.rows["messages"][0])]
    assert outcome.dropped is not None
    return str(outcome.dropped["reason"][0])


def test_conversations_are_cut_at_whole_turns(exchange: Any) -> None:
    chat = [{"role": "system", "content": "s" * 8}, *exchange("a" * 8, "b" * 8)]
    chat += exchange("c" * 8, "d" * 8)
    assert cut(TruncateTokens(max_tokens=10), chat) == [t["content"] for t in chat]
    assert cut(TruncateTokens(max_tokens=9), chat) == ["s" * 8, "a" * 8, "b" * 8]
    assert cut(TruncateTokens(max_tokens=7, keep="end"), chat) == ["s" * 8, "c" * 8, "d" * 8]
    assert cut(TruncateTokens(max_tokens=5), chat) == "no_turn_fits"
    assert cut(TruncateTokens(max_tokens=5, keep="end"), chat) == "no_turn_fits"


@given(st.text(min_size=1), st.integers(1, 20), st.sampled_from(["start", "end"]))
def test_a_text_is_a_part_of_itself_of_so_many_tokens(text: str, most: int, keep: Any) -> None:
    rows = documents(body=["x"]).with_columns(pl.lit(text).alias("text"))
    operator = TruncateTokens(max_tokens=most, keep=keep)
    made = operator.process(rows).rows["text"][0]
    assert text.startswith(made) if keep == "start" else text.endswith(made)
    assert len(made.encode()) <= 4 * most
    assert len(made.encode()) > 4 * most - 4 or made == text


def test_a_tokenizer_says_where_tokens_end(tmp_path: Path) -> None:
    tokenizers = pytest.importorskip("tokenizers")
    trained = tokenizers.Tokenizer(tokenizers.models.WordLevel({}, "?"))
    trained.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    trained.train_from_iterator(["one two three four"], tokenizers.trainers.WordLevelTrainer())
    path = tmp_path / "tokenizer.json"
    trained.save(str(path))
    rows = documents(body=["x"]).with_columns(pl.lit("one two three four").alias("text"))
    start = TruncateTokens(max_tokens=2, tokenizer=str(path))
    assert start.process(rows).rows["text"].to_list() == ["one two"]
    end = TruncateTokens(max_tokens=2, tokenizer=str(path), keep="end")
    assert end.process(rows).rows["text"].to_list() == ["three four"]
    assert start.files() == (str(path),)


def test_all_that_a_turn_says_counts() -> None:
    turn = {"role": "assistant", "content": "b", "reasoning_content": "a" * 40}
    assert len(render_text(turn)) > 40
    assert cut(TruncateTokens(max_tokens=5), [ASKED, turn]) == "no_turn_fits"
