"""The part of a prompt about a source, from its first rows and its size on disk."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import orjson
import polars as pl

from datachef.core.contracts.filter import Filter
from datachef.core.contracts.operator import Operator
from datachef.core.contracts.source import RawRow, SourceError
from datachef.core.errors import DatachefError, RowError
from datachef.core.language_models.tokens import TokenCounter
from datachef.core.rows.columns import concat
from datachef.core.rows.inspection import SourceInfo
from datachef.core.rows.reader import SAMPLE_BYTES, SAMPLE_ROWS, RowReader, sample
from datachef.core.run.signals import measure
from datachef.core.text.conversations import render_text
from datachef.core.text.turns import Turn
from datachef.policy.prompt.quoting import named, quoted, spread

QUANTILES = (0.1, 0.5, 0.9)
EXAMPLES = 2

Quantiles = tuple[float, float, float]
Example = Mapping[str, str]
Rejects = Callable[[Iterable[str]], bool]

# The sample has all rows of files smaller than this, however their rows are encoded.
_SURELY_READ = SAMPLE_BYTES // 4


@dataclass(frozen=True)
class SourceCard:
    """A summary of a source.

    `rows` and `tokens` are estimates of its size, None if unknown, and `rough` if the files are
    compressed. `fields` are those that its texts are made of, `columns` the others. `characters`
    are the quantiles `QUANTILES` of the lengths of its first rows, `signals` those of the signals,
    by filter and signal. `examples` are texts by role: `text`, or `prompt` and `answer`.
    """

    name: str
    description: str
    licence: str
    rows: int | None
    tokens: int | None
    rough: bool
    conversational: bool
    fields: tuple[str, ...]
    columns: tuple[str, ...]
    characters: Quantiles
    signals: Mapping[str, Mapping[str, Quantiles]]
    examples: tuple[Example, ...]


def source_card(
    name: str,
    info: SourceInfo,
    operators: Iterable[Operator],
    rejects: Rejects = lambda texts: False,
) -> SourceCard:
    """The card of a source, with the signals of the filters among the operators.

    It has the numeric signals that rules use and that are polars expressions. A filter that needs
    another package, or columns that the source lacks, is left out. Rows with texts that `rejects`
    rejects are not shown as examples. Raises `DatachefError` if the source can no longer be read.
    """
    try:
        rows = sample(info.source, info.partitions)
    except SourceError as error:
        raise DatachefError(f"the source {name} cannot be read: {error}", error.hint) from error
    frame = _frame(name, info, rows)
    count, rough = _rows(info, rows)
    return SourceCard(
        name=name,
        description=info.source.description,
        licence=info.source.licence,
        rows=count,
        tokens=_tokens(frame, count),
        rough=rough,
        conversational=info.format.conversational,
        fields=tuple(sorted(info.format.uses())),
        columns=tuple(sorted(info.kinds)),
        characters=_quantiles(frame["text"].str.len_chars()) or (0.0, 0.0, 0.0),
        signals={
            operator.op: found
            for operator in operators
            if isinstance(operator, Filter) and (found := _signals(operator, frame))
        },
        examples=_examples(info, rows, rejects),
    )


def _frame(name: str, info: SourceInfo, rows: Sequence[Mapping[str, Any]]) -> pl.DataFrame:
    """The rows as filters get them, without those that do not fit the format."""
    reader = RowReader(name, info.format, info.kinds)
    raw = (RawRow(position, 0, 0, row) for position, row in enumerate(rows))
    batches = list(reader.batches([(info.partitions[0].name, raw)], SAMPLE_BYTES))
    if not batches:
        raise DatachefError(f"the source {name} has no rows of its format any more")
    return concat(batches)


def _rows(info: SourceInfo, rows: Sequence[Mapping[str, Any]]) -> tuple[int | None, bool]:
    """An estimate of the number of rows, and whether it is rough.

    It assumes that all rows of a compressed file are compressed as well as the first ones.
    """
    lines = b"".join(orjson.dumps(row, default=str) + b"\n" for row in rows)
    if len(info.partitions) == 1 and len(rows) < SAMPLE_ROWS and len(lines) < _SURELY_READ:
        return _taken(info, len(rows)), False
    if any(partition.size == 0 for partition in info.partitions):
        return _taken(info, None), False
    size = len(zlib.compress(lines)) if info.packed else len(lines)
    return _taken(info, round(info.size * len(rows) / size)), info.packed


def _taken(info: SourceInfo, rows: int | None) -> int | None:
    take = info.source.take
    return rows if take is None or (rows is not None and rows < take) else take


def _tokens(frame: pl.DataFrame, rows: int | None) -> int | None:
    if rows is None or frame.is_empty():
        return None
    return round(int(TokenCounter().count(frame["text"]).sum()) / frame.height * rows)


def _signals(operator: Filter, frame: pl.DataFrame) -> dict[str, Quantiles]:
    if operator.requires() or not operator.reads() <= set(frame.columns):
        return {}
    if not all(isinstance(signal, pl.Expr) for signal in operator.signals().values()):
        return {}
    ruled = {name for rule in operator.rules().values() for name in rule.meta.root_names()}
    try:
        measured = measure(operator, frame)
    except pl.exceptions.PolarsError:  # a plugin's filter shows its error when it is run, not here
        return {}
    numbers = {
        name: _quantiles(measured[name])
        for name in operator.signal_names()
        if name in ruled and measured[name].dtype.is_numeric()
    }
    return {name: found for name, found in numbers.items() if found is not None}


def _quantiles(values: pl.Series) -> Quantiles | None:
    known = values.cast(pl.Float64).fill_nan(None).drop_nulls()
    low, middle, high = (known.quantile(share, "nearest") for share in QUANTILES)
    return None if low is None or middle is None or high is None else (low, middle, high)


def _examples(
    info: SourceInfo, rows: Sequence[Mapping[str, Any]], rejects: Rejects
) -> tuple[Example, ...]:
    found: list[Example] = []
    for row in spread(rows):
        example = _example(info, row)
        if example and not rejects(example.values()) and example not in found:
            found.append(example)
        if len(found) == EXAMPLES:
            break
    return tuple(found)


def _example(info: SourceInfo, row: Mapping[str, Any]) -> Example:
    try:
        content = info.format.convert(row)
    except RowError:
        return {}
    if isinstance(content, str):
        return {"text": content} if content.strip() else {}
    return _exchange(content.turns)


def _exchange(turns: Sequence[Turn]) -> Example:
    """The first answer, and the turn before it."""
    for before, turn in pairwise(turns):
        if turn["role"] == "assistant":
            return {"prompt": render_text(before), "answer": render_text(turn)}
    return {}


DESCRIPTION_CHARACTERS = 300
EXAMPLE_CHARACTERS = 400
MOST_NAMES = 12


def source_head(card: SourceCard, shown: Collection[str]) -> str:
    """The name, size, description, fields and lengths of a source, as far as they are shown."""
    lines = [f"{card.name}: {_size(card)}" if "source sizes" in shown else card.name]
    if "source descriptions" in shown:
        if card.description:
            lines.append(f"  description: {quoted(card.description, DESCRIPTION_CHARACTERS)}")
        if card.licence:
            lines.append(f"  licence: {quoted(card.licence, 80)}")
        kind = "conversations" if card.conversational else "documents"
        more = f"; more columns: {_names(card.columns)}" if card.columns else ""
        lines.append(f"  {kind}, from the fields: {_names(card.fields)}{more}")
    if "signals" in shown:
        lines.append(f"  characters: {quantile_text(card.characters)}")
    return "\n".join(lines)


def signal_line(name: str, signals: Mapping[str, Quantiles]) -> str:
    """The quantiles of a filter's signals; values that several signals share are written once."""
    alike: dict[str, list[str]] = {}
    for signal, quantiles in signals.items():
        alike.setdefault(quantile_text(quantiles), []).append(signal)
    return f"  {name}: " + "; ".join(
        f"{', '.join(names)} {values}" for values, names in alike.items()
    )


def example_lines(card: SourceCard) -> list[str]:
    """A line for each example row, its texts quoted and shortened."""
    return [f"  row: {quoted_texts(example)}" for example in card.examples]


def quoted_texts(texts: Mapping[str, str]) -> str:
    """The texts of an example by role, as one JSON object."""
    parts = (f'"{role}": {quoted(text, EXAMPLE_CHARACTERS)}' for role, text in texts.items())
    return f"{{{', '.join(parts)}}}"


def quantile_text(quantiles: Quantiles) -> str:
    """The quantiles; a single number if all are the same."""
    numbers = [amount(value) for value in quantiles]
    return numbers[0] if len(set(numbers)) == 1 else "/".join(numbers)


def amount(value: float) -> str:
    """A number with three significant digits."""
    rounded = float(f"{value:.3g}")
    return f"{rounded:,.0f}" if abs(rounded) >= 100 else f"{rounded:.15g}"


def _size(card: SourceCard) -> str:
    if card.rows is None:
        return "size unknown"
    rows = f"about {amount(card.rows)} rows"
    tokens = "" if card.tokens is None else f", {amount(card.tokens)} tokens"
    return rows + tokens + (" (a rough estimate, the files are compressed)" if card.rough else "")


def _names(names: Collection[str]) -> str:
    more = len(names) - MOST_NAMES
    listed = ", ".join(named(name) for name in list(names)[:MOST_NAMES])
    return f"{listed} and {more} more" if more > 0 else listed
