"""The rows of a finished corpus: which of them are trained on, and in which order."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

import polars as pl
import zstandard

from datachef.core.errors import DatachefError
from datachef.core.rows.stored_conversations import read_back
from datachef.core.system.failures import raise_environment_failure
from datachef.core.text.conversations import (
    MESSAGES,
    TEMPLATE_COLUMNS,
    last_answers,
    turns_column,
    turns_of,
)
from datachef.core.text.turns import dumps

BLOCK = 512

_WANTED = ("messages", "prompt", "completion", "text", *TEMPLATE_COLUMNS)

TrainingRow = dict[str, Any]


def read_corpus(folder: Path) -> pl.DataFrame:
    """The rows that something can be learned from, with what TRL trains on: `messages`, `prompt`
    and `completion`, or `text`, and `tools` where there are any. Conversations are stored as they
    are while a recipe runs; `shuffled` gives them as they are written.

    A conversation needs an answer, a text more than white space. Raises `DatachefError` where the
    folder holds no corpus, or none of its rows will do.
    """
    rows = _content(_read(folder), folder)
    usable = rows.filter(pl.all_horizontal(_usable(rows)))
    if usable.is_empty():
        raise DatachefError(
            f"the corpus {folder} has no row to learn from ({rows.height:,} rows)",
            hint="look at its README.md for the step that drops everything",
        )
    return usable


def shuffled(rows: pl.DataFrame, seed: int) -> Iterator[list[TrainingRow]]:
    """All rows in an order that the seed decides, in blocks."""
    order = list(range(rows.height))
    random.Random(seed).shuffle(order)
    for start in range(0, len(order), BLOCK):
        yield as_rows(rows[order[start : start + BLOCK]])


def as_rows(rows: pl.DataFrame) -> list[TrainingRow]:
    """Rows as `datasets` gives them to TRL: turns with their fields, JSON as objects."""
    result = rows.to_dicts()
    for row in result:
        for name, dtype in rows.schema.items():
            if dtype == MESSAGES:
                row[name] = turns_of(row[name])
            elif name in TEMPLATE_COLUMNS and row[name] is not None:
                row[name] = json.loads(row[name])
    return result


def _read(folder: Path) -> pl.DataFrame:
    files = sorted((folder / "data").glob("train-*"))
    if not files:
        raise DatachefError(
            f"{folder} holds no corpus", hint="give a folder that `chef run` has written"
        )
    try:
        frames = [_read_file(file) for file in files]
    except (OSError, pl.exceptions.PolarsError, zstandard.ZstdError) as error:
        raise_environment_failure(error, str(folder))
        raise DatachefError(
            f"cannot read the corpus {folder}: {error}", hint="run its recipe again"
        ) from error
    wide = [frame for frame in frames if frame.width]
    return pl.concat(wide or frames, how="diagonal")


def _read_file(file: Path) -> pl.DataFrame:
    if file.suffix == ".parquet":
        lazy = pl.scan_parquet(file)
        names = [name for name in lazy.collect_schema().names() if name in _WANTED]
        return read_back(lazy.select(names).collect())
    if ".jsonl" not in file.suffixes:
        raise DatachefError(
            f"{file}: a model is not trained on files that end in {file.suffix}",
            hint="write the corpus as parquet or jsonl: output.format",
        )
    raw = file.read_bytes()
    if file.suffix == ".zst":
        raw = zstandard.ZstdDecompressor().stream_reader(raw).read()
    rows = [json.loads(line) for line in raw.splitlines() if line.strip()]
    found = dict.fromkeys(name for row in rows for name in row if name in _WANTED)
    return pl.DataFrame([_column(name, [row.get(name) for row in rows]) for name in found])


def _column(name: str, values: list[Any]) -> pl.Series:
    if name in TEMPLATE_COLUMNS:
        return pl.Series(name, [None if v is None else dumps(v) for v in values], dtype=pl.String)
    if any(isinstance(value, list) for value in values):
        return turns_column(values).rename(name)
    return pl.Series(name, values, dtype=pl.String)


def _content(rows: pl.DataFrame, folder: Path) -> pl.DataFrame:
    """The columns that TRL reads, of those that are there."""
    names = set(rows.columns)
    for content in (("prompt", "completion"), ("messages",), ("text",)):
        if names.issuperset(content):
            beside = [n for n in TEMPLATE_COLUMNS if n in names and rows[n].count()]
            return rows.select(*content, *(beside if rows.schema[content[0]] == MESSAGES else ()))
    if not rows.width:
        return pl.DataFrame(schema={"text": pl.String})
    raise DatachefError(
        f"the corpus {folder} has neither messages, prompt and completion, nor text",
        hint="choose an output schema in its recipe",
    )


def _usable(rows: pl.DataFrame) -> list[pl.Series]:
    """For every column of content, where something is in it that can be learned or learned from."""
    found = []
    for name, dtype in rows.schema.items():
        if dtype == MESSAGES:
            each = rows[name].list
            whole = each.eval(_IS_TURN.all()).list.first().fill_null(False) & (each.len() > 0)
            answered = name == "prompt" or last_answers(rows[name]).is_not_null()
            found.append((whole & answered).alias(name))
        elif name not in TEMPLATE_COLUMNS:
            found.append(rows[name].str.contains(r"\S").fill_null(False))
    return found


_TURN = pl.element().struct
_SAYS = _TURN.field("content").is_not_null() | _TURN.field("extra").is_not_null()
_IS_TURN = _TURN.field("role").is_not_null() & _SAYS


# Rows that tell how long all are; they come in random order.
LOOKED_AT = 256
# Rows are sorted by length within groups of this many batches: little padding, and still a
# random order.
WINDOW_BATCHES = 16


def choose_rows(
    rows: pl.DataFrame, tokenizer: Any, max_tokens: int | None, max_length: int, seed: int
) -> list[TrainingRow]:
    """Rows drawn at random until they have `max_tokens`; all of them without a budget.

    Rows that the chat template of the tokenizer refuses are left out. What of a conversation is
    beyond `max_length` is not counted, as it is cut off; texts are wrapped and count whole.
    """
    longest = None if "text" in rows.columns else max_length
    chosen: list[TrainingRow] = []
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


def mean_length(rows: Sequence[TrainingRow], tokenizer: Any, max_length: int) -> float:
    """The mean length in tokens of what is trained on at once, by the first rows: of rows up to
    `max_length`, or of the pieces of that length in which texts are packed."""
    if "text" in rows[0]:
        return max_length
    texts = [text for row in rows[:LOOKED_AT] if (text := _render(row, tokenizer)) is not None]
    tokens = tokenizer(texts, add_special_tokens=False)["input_ids"]
    return fmean(min(len(ids), max_length) for ids in tokens)


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


def _render(row: TrainingRow, tokenizer: Any) -> str | None:
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
