"""The rows of a finished corpus, as training takes them."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl
import zstandard

from datachef.core.errors import DatachefError

BLOCK = 512

Row = dict[str, Any]


def read_corpus(folder: Path) -> pl.DataFrame:
    """The rows that something can be learned from, with the one column `messages` or `text`.

    Pairs of prompt and completion become conversations, because a benchmark is asked in one too. A
    conversation needs an answer, a text more than white space. Raises `DatachefError` where the
    folder holds no corpus, or none of its rows will do.
    """
    rows = _content(_read(folder), folder)
    usable = rows.filter(_answered() if "messages" in rows.columns else _written("text"))
    if usable.is_empty():
        raise DatachefError(
            f"the corpus {folder} has no row to learn from ({rows.height:,} rows)",
            hint="look at its README.md for the step that drops everything",
        )
    return usable


def shuffled(rows: pl.DataFrame, seed: int) -> Iterator[list[Row]]:
    """All rows in an order that the seed decides, in blocks."""
    order = list(range(rows.height))
    random.Random(seed).shuffle(order)
    for start in range(0, len(order), BLOCK):
        yield rows[order[start : start + BLOCK]].to_dicts()


def _read(folder: Path) -> pl.DataFrame:
    files = sorted((folder / "data").glob("train-*"))
    if not files:
        raise DatachefError(
            f"{folder} holds no corpus", hint="give a folder that `chef run` has written"
        )
    try:
        frames = [_read_file(file) for file in files]
    except (OSError, pl.exceptions.PolarsError, zstandard.ZstdError) as error:
        raise DatachefError(
            f"cannot read the corpus {folder}: {error}", hint="run its recipe again"
        ) from error
    return pl.concat([frame for frame in frames if frame.width] or frames)


def _read_file(file: Path) -> pl.DataFrame:
    wanted = ("messages", "prompt", "completion", "text")
    if file.suffix == ".parquet":
        lazy = pl.scan_parquet(file)
        return lazy.select([n for n in lazy.collect_schema().names() if n in wanted]).collect()
    raw = file.read_bytes()
    if file.suffix == ".zst":
        raw = zstandard.ZstdDecompressor().stream_reader(raw).read()
    if not raw.strip():
        return pl.DataFrame()
    frame = pl.read_ndjson(raw, infer_schema_length=None)
    return frame.select([name for name in frame.columns if name in wanted])


def _content(rows: pl.DataFrame, folder: Path) -> pl.DataFrame:
    for column in ("messages", "text"):
        if column in rows.columns:
            return rows.select(column)
    if {"prompt", "completion"} <= set(rows.columns):
        turns = [_turn("user", "prompt"), _turn("assistant", "completion")]
        pairs = rows.filter(_written("prompt") & _written("completion"))
        return pairs.select(pl.concat_list(turns).alias("messages"))
    if not rows.width:
        return pl.DataFrame(schema={"text": pl.String})
    raise DatachefError(
        f"the corpus {folder} has neither messages, prompt and completion, nor text",
        hint="choose an output schema in its recipe",
    )


def _turn(role: str, column: str) -> pl.Expr:
    return pl.struct(pl.lit(role).alias("role"), pl.col(column).alias("content"))


def _written(column: str) -> pl.Expr:
    return pl.col(column).str.strip_chars().fill_null("") != ""


def _answered() -> pl.Expr:
    """Conversations without a hole in which an assistant says something."""
    role, content = (pl.element().struct.field(name) for name in ("role", "content"))
    whole = (role.is_not_null() & content.is_not_null()).all()
    said = ((role == "assistant") & (content.str.strip_chars() != "")).any()
    turns = pl.col("messages").list
    return (turns.eval(whole).list.first() & turns.eval(said).list.first()).fill_null(False)
