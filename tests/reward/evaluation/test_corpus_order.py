from __future__ import annotations

from collections import Counter
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings, strategies as st

from datachef.core.language_models.checkpoint import load_tokenizer
from datachef.reward.evaluation.corpus import choose_rows, training_order

LENGTHS = st.lists(st.integers(1, 300), min_size=1, max_size=60)


@settings(max_examples=60, deadline=None)
@given(LENGTHS, st.integers(1, 20), st.integers(1, 5), st.integers(0, 3))
def test_each_pass_trains_on_every_row(
    lengths: list[int], batch: int, epochs: int, seed: int
) -> None:
    order = training_order(lengths, batch, epochs, None, seed)
    assert Counter(order) == dict.fromkeys(range(len(lengths)), epochs)
    assert order == training_order(lengths, batch, epochs, None, seed)


@settings(max_examples=60, deadline=None)
@given(LENGTHS, st.integers(1, 20), st.integers(1, 2_000))
def test_the_budget_ends_training_with_the_row_that_uses_it_up(
    lengths: list[int], batch: int, budget: int
) -> None:
    order = training_order(lengths, batch, 3, budget, 0)
    spent = sum(lengths[index] for index in order)
    if len(order) < 3 * len(lengths):
        assert budget <= spent < budget + max(lengths)
    # No row comes a second time before all others came once.
    counts = Counter(order)
    assert max(counts.values()) - min(counts[i] for i in range(len(lengths))) <= 1


def test_rows_of_like_length_share_a_batch() -> None:
    lengths = [10, 200] * 64
    order = training_order(lengths, 16, 1, None, 0)
    batches = [{lengths[i] for i in order[at : at + 16]} for at in range(0, 128, 16)]
    assert all(len(batch) == 1 for batch in batches)
    assert [min(batch) for batch in batches] != sorted(min(batch) for batch in batches)


def test_rows_are_drawn_until_their_tokens_fill_the_budget(base: Path) -> None:
    tokenizer = load_tokenizer(base)
    rows = pl.DataFrame({"text": [f"The house of {number} is blue." for number in range(200)]})
    chosen = choose_rows(rows, tokenizer, 300, 64, seed=0)
    tokens = [len(ids) for ids in tokenizer([row["text"] for row in chosen])["input_ids"]]
    assert sum(tokens[:-1]) < 300 <= sum(tokens)
    assert chosen == choose_rows(rows, tokenizer, 300, 64, seed=0)
    assert chosen != choose_rows(rows, tokenizer, 300, 64, seed=1)
    assert len(choose_rows(rows, tokenizer, None, 64, seed=0)) == 200


def test_of_long_conversations_only_what_is_trained_on_counts(base: Path) -> None:
    turns = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "blue " * 300}]
    rows = pl.DataFrame({"messages": [turns] * 20})
    assert len(choose_rows(rows, load_tokenizer(base), 32 * 5, 32, seed=0)) == 5


@pytest.mark.parametrize("refused", [0, 3, 8])
def test_rows_that_the_template_refuses_are_left_out(base: Path, refused: int) -> None:
    tokenizer = load_tokenizer(base)
    tokenizer.chat_template = (
        "{% if messages[0]['role'] != 'user' %}{{ raise_exception('user first') }}{% endif %}"
        "{{ messages[0]['content'] }}"
    )
    good = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "blue"}]
    rows = pl.DataFrame({"messages": [good[::-1]] * refused + [good] * (8 - refused)})
    chosen = choose_rows(rows, tokenizer, None, 64, seed=0)
    assert [row["messages"] for row in chosen] == [good] * (8 - refused)
