"""What a policy is told of a source, from its first rows and its size on disk alone."""

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
Refuses = Callable[[Iterable[str]], bool]

# Of whole files smaller than this, however their rows are spelled, the sample has every row.
_SURELY_READ = SAMPLE_BYTES // 4


@dataclass(frozen=True)
class SourceCard:
    """A source in short.

    `rows` and `tokens` are about what it holds, None where that is unknown, and `rough` where they
    were told from compressed files. `fields` are those its texts are made of, `columns` the others.
    `characters` are the quantiles `QUANTILES` of the lengths of its first rows, and `signals`
    theirs by filter and signal. `examples` are texts by role: `text`, or `prompt` and `answer`.
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
    survey: SourceInfo,
    operators: Iterable[Operator],
    refuses: Refuses = lambda texts: False,
) -> SourceCard:
    """The card of a source, with the signals of the filters among the operators.

    Signals count that are numbers, that rules read and that cost a polars expression; a filter that
    needs a package of its own, or columns that the source lacks, is left out. Rows whose texts are
    refused are no examples. Raises `DatachefError` where the source can no longer be read.
    """
    try:
        rows = sample(survey.source, survey.partitions)
    except SourceError as error:
        raise DatachefError(f"the source {name} cannot be read: {error}", error.hint) from error
    frame = _frame(name, survey, rows)
    count, rough = _rows(survey, rows)
    return SourceCard(
        name=name,
        description=survey.source.description,
        licence=survey.source.licence,
        rows=count,
        tokens=_tokens(frame, count),
        rough=rough,
        conversational=survey.format.conversational,
        fields=tuple(sorted(survey.format.uses())),
        columns=tuple(sorted(survey.kinds)),
        characters=_quantiles(frame["text"].str.len_chars()) or (0.0, 0.0, 0.0),
        signals={
            operator.op: found
            for operator in operators
            if isinstance(operator, Filter) and (found := _signals(operator, frame))
        },
        examples=_examples(survey, rows, refuses),
    )


def _frame(name: str, survey: SourceInfo, rows: Sequence[Mapping[str, Any]]) -> pl.DataFrame:
    """The rows as filters see them; those that do not fit the format are left out."""
    intake = RowReader(name, survey.partitions[0], survey.format, survey.kinds)
    raw = (RawRow(position, 0, 0, row) for position, row in enumerate(rows))
    batches = list(intake.batches(raw, SAMPLE_BYTES))
    if not batches:
        raise DatachefError(f"the source {name} has no rows of its format any more")
    return concat(batches)


def _rows(survey: SourceInfo, rows: Sequence[Mapping[str, Any]]) -> tuple[int | None, bool]:
    """About how many rows the source has, and whether that is rough.

    Compressed files are taken to pack as well as their first rows do.
    """
    lines = b"".join(orjson.dumps(row, default=str) + b"\n" for row in rows)
    if len(survey.partitions) == 1 and len(rows) < SAMPLE_ROWS and len(lines) < _SURELY_READ:
        return _taken(survey, len(rows)), False
    if any(partition.size == 0 for partition in survey.partitions):
        return _taken(survey, None), False
    size = len(zlib.compress(lines)) if survey.packed else len(lines)
    return _taken(survey, round(survey.size * len(rows) / size)), survey.packed


def _taken(survey: SourceInfo, rows: int | None) -> int | None:
    take = survey.source.take
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
    except pl.exceptions.PolarsError:  # a stranger's filter fails when it is run, not here
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
    survey: SourceInfo, rows: Sequence[Mapping[str, Any]], refuses: Refuses
) -> tuple[Example, ...]:
    found: list[Example] = []
    for row in spread(rows):
        example = _example(survey, row)
        if example and not refuses(example.values()) and example not in found:
            found.append(example)
        if len(found) == EXAMPLES:
            break
    return tuple(found)


def _example(survey: SourceInfo, row: Mapping[str, Any]) -> Example:
    try:
        content = survey.format.convert(row)
    except RowError:
        return {}
    if isinstance(content, str):
        return {"text": content} if content.strip() else {}
    return _exchange(content.turns)


def _exchange(turns: Sequence[Turn]) -> Example:
    """The first answer and the turn before it."""
    for before, turn in pairwise(turns):
        if turn["role"] == "assistant":
            return {"prompt": render_text(before), "answer": render_text(turn)}
    return {}


DESCRIPTION_CHARACTERS = 300
EXAMPLE_CHARACTERS = 400
MOST_NAMES = 12


def source_head(card: SourceCard, shown: Collection[str]) -> str:
    """The name, how much there is, what it is, and how long its texts are, as far as shown."""
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
        lines.append(f"  characters: {spelled(card.characters)}")
    return "\n".join(lines)


def signal_line(name: str, signals: Mapping[str, Quantiles]) -> str:
    """What a filter measures of a source; values that several signals share stand once."""
    alike: dict[str, list[str]] = {}
    for signal, quantiles in signals.items():
        alike.setdefault(spelled(quantiles), []).append(signal)
    return f"  {name}: " + "; ".join(
        f"{', '.join(names)} {values}" for values, names in alike.items()
    )


def example_lines(card: SourceCard) -> list[str]:
    """A line per example row, its texts quoted and cut."""
    return [f"  row: {quoted_texts(example)}" for example in card.examples]


def quoted_texts(texts: Mapping[str, str]) -> str:
    """The texts of an example by role, as one JSON object."""
    parts = (f'"{role}": {quoted(text, EXAMPLE_CHARACTERS)}' for role, text in texts.items())
    return f"{{{', '.join(parts)}}}"


def spelled(quantiles: Quantiles) -> str:
    """The quantiles; one that is the same as the others stands once for all."""
    numbers = [amount(value) for value in quantiles]
    return numbers[0] if len(set(numbers)) == 1 else "/".join(numbers)


def amount(value: float) -> str:
    """A number with three significant digits, as people write it."""
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
