"""What the corpus is made of: its sources and their licences, and languages of some of its rows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import orjson
import polars as pl
import zstandard

from datachef.core import FinishedRun, LanguageIdentifier, identify_languages

_PLACES = 8
_ROWS = 320
_LANGUAGE_CHARACTERS = 1_000
_PROMPTS = ("text", "prompt", "messages")
_ANSWERS = ("completion",)


@dataclass(frozen=True)
class SourceSummary:
    """A source: what was read of it, and what is in the corpus, beside what was asked for."""

    name: str
    licence: str
    description: str
    rows_read: int
    rows: int
    tokens: int
    unit: str
    share: float
    asked: float | None
    epochs: float | None


def sources_of(run: FinishedRun) -> list[SourceSummary]:
    """The sources in the corpus, in the order of the recipe."""
    inputs: Mapping[str, Mapping[str, Any]] = run.manifest.get("inputs", {})
    declared: Mapping[str, Mapping[str, Any]] = run.recipe.get("sources", {})
    return [
        SourceSummary(
            share.source,
            str(inputs.get(share.source, {}).get("licence") or ""),
            str(declared.get(share.source, {}).get("description") or ""),
            run.ledger[f"sources.{share.source}"].rows_in,
            share.rows, share.tokens, share.unit, share.share, share.asked, share.epochs,
        )
        for share in run.shares
    ]  # fmt: skip


def licences_of(sources: Sequence[SourceSummary]) -> list[tuple[str, int, int]]:
    """Rows and tokens of the corpus by licence, the largest first."""
    rows: Counter[str] = Counter()
    tokens: Counter[str] = Counter()
    for source in sources:
        rows[source.licence] += source.rows
        tokens[source.licence] += source.tokens
    return [(licence, count, tokens[licence]) for licence, count in rows.most_common()]


def some_rows(run: FinishedRun) -> list[tuple[str, str]]:
    """The id and the text of some rows of the corpus, from several places of it; none where its
    format is that of a plugin."""
    files = [output for output in run.manifest["outputs"] if output["rows"]]
    some = files[:: -(-len(files) // _PLACES) or 1]
    rows: list[Mapping[str, Any]] = []
    for output in some:
        file = run.file(output["file"])
        each = _ROWS // len(some)
        name = str(output["file"])
        if name.endswith(".parquet"):
            rows += _spread(pl.scan_parquet(file), output["rows"], each)
        elif name.endswith((".jsonl", ".jsonl.zst")):
            with zstandard.open(file, "rb") if name.endswith(".zst") else file.open("rb") as lines:
                rows += [orjson.loads(line) for line in islice(lines, each)]
    return [(str(row.get("id", "")), _content(row)) for row in rows]


def _spread(table: pl.LazyFrame, height: int, wanted: int) -> list[dict[str, Any]]:
    """Rows from places spread evenly over a file."""
    each = max(wanted // _PLACES, 1)
    starts = sorted({max(height - each, 0) * place // (_PLACES - 1) for place in range(_PLACES)})
    pieces = [table.slice(start, each).collect() for start in starts]
    return pl.concat(pieces).unique("id", maintain_order=True).to_dicts()


def _content(row: Mapping[str, Any]) -> str:
    """What stands in a row: its text or conversation, or all of its fields."""
    shown = [name for name in (*_PROMPTS, *_ANSWERS) if row.get(name) is not None]
    return "\n\n".join(_text(row[name]) for name in shown or row)


def _text(value: Any) -> str:
    """A text as it is, a conversation with who speaks, anything else as JSON."""
    if isinstance(value, str):
        return value
    if isinstance(value, list) and all(isinstance(t, dict) and "role" in t for t in value):
        return "\n\n".join(f"{turn['role']}: {_text(turn.get('content'))}" for turn in value)
    return "" if value is None else orjson.dumps(value, default=str).decode()


def languages_of(texts: Sequence[str]) -> list[tuple[str, int]]:
    """How many of the texts are in each language, the most frequent first."""
    table = pl.DataFrame({"text": texts}, schema={"text": pl.String})
    found = table.select(
        identify_languages(pl.col("text"), _LANGUAGE_CHARACTERS, LanguageIdentifier).alias("found")
    )
    return Counter(found["found"].struct.field("language").to_list()).most_common()
