"""Which rows of a corpus fit into a budget of tokens, and in which order they are trained on."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

import polars as pl

from datachef.reward.evaluation.corpus import Row, shuffled

# Rows are sorted by length within so many batches: little padding, and still a random order.
WINDOW_BATCHES = 16


def choose_rows(
    rows: pl.DataFrame, tokenizer: Any, max_tokens: int | None, max_length: int, seed: int
) -> list[Row]:
    """Rows drawn at random until they have `max_tokens`; all of them without a budget.

    Rows that the chat template of the tokenizer refuses are left out. What of a conversation is
    beyond `max_length` is not counted, as it is cut off; texts are wrapped and count whole.
    """
    longest = None if "text" in rows.columns else max_length
    chosen: list[Row] = []
    left = max_tokens
    for block in shuffled(rows, seed):
        rendered = [_render(row, tokenizer) for row in block]
        kept = [index for index, text in enumerate(rendered) if text is not None]
        if not kept:
            continue
        tokens = tokenizer([rendered[i] for i in kept], add_special_tokens=False)["input_ids"]
        for index, ids in zip(kept, tokens, strict=True):
            chosen.append(block[index])
            if left is not None:
                left -= len(ids[:longest])
                if left <= 0:
                    return chosen
    return chosen


def training_order(
    lengths: Sequence[int], batch_size: int, epochs: int, max_tokens: int | None, seed: int
) -> list[int]:
    """Indices of rows of these lengths in tokens, in the order of training.

    Passes over all rows, each in another order, until `epochs` or `max_tokens` are used up. Rows of
    like length come together, so that a batch needs little padding; at least one row is trained on.
    """
    rng = random.Random(seed)
    stream: list[int] = []
    tokens = 0
    for _ in range(epochs):
        for index in rng.sample(range(len(lengths)), len(lengths)):
            if max_tokens is not None and stream and tokens >= max_tokens:
                return _bucketed(stream, lengths, batch_size, rng)
            stream.append(index)
            tokens += lengths[index]
    return _bucketed(stream, lengths, batch_size, rng)


def _bucketed(
    stream: Sequence[int], lengths: Sequence[int], batch_size: int, rng: random.Random
) -> list[int]:
    order: list[int] = []
    window = WINDOW_BATCHES * batch_size
    for start in range(0, len(stream), window):
        near = sorted(stream[start : start + window], key=lengths.__getitem__)
        batches = [near[i : i + batch_size] for i in range(0, len(near), batch_size)]
        # An incomplete batch has to stay the last: the trainer cuts the order into batches again.
        shorter = [batches.pop()] if len(batches[-1]) < batch_size else []
        rng.shuffle(batches)
        order += [index for batch in (*batches, *shorter) for index in batch]
    return order


def _render(row: Row, tokenizer: Any) -> str | None:
    """The text that a row is to the model, or None where the chat template refuses it."""
    from jinja2 import TemplateError

    if "text" in row:
        return str(row["text"])
    turns = row["messages"] if "messages" in row else row["prompt"] + row["completion"]
    if isinstance(turns, str):
        return turns
    arguments = row.get("chat_template_kwargs") or {}
    tools = row.get("tools")
    try:
        return str(tokenizer.apply_chat_template(turns, tools=tools, tokenize=False, **arguments))
    except (TemplateError, TypeError, ValueError):
        return None
