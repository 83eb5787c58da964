"""Files of known rows and known damage."""

from __future__ import annotations

import csv
import gzip
import io
import json
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import polars as pl

VOCABULARY = (
    'the of and water river stone Haus größer être naïve 数学 данные 🙂 e\u0301 a,b "said" it\'s '
    "x=1; 3.14 -5% <b> & A&amp;B {brace} [1] #tag foo@bar.org \\n NULL nan true"
)
WORDS = VOCABULARY.split()


@dataclass(frozen=True)
class Row:
    """A row that can be read; `key` and `rank` are None where its file has no such columns."""

    text: str
    key: int | None
    rank: int | None


@dataclass
class SourceFile:
    """What a file holds: its rows, and for each that cannot be read its line, if it has one."""

    name: str
    body: bytes
    rows: list[Row]
    bad_lines: list[int | None]


def drawn_files(dice: random.Random, keys: Iterator[int]) -> list[SourceFile]:
    """One to three files of one kind, since a source has one format."""
    kinds = ["jsonl", "json", "csv", "tsv", "txt", "parquet", "mixed"]
    kind = dice.choice(kinds)
    files = []
    for number in range(dice.choice([1, 1, 2, 3])):
        one = dice.choice(["jsonl", "csv", "tsv", "parquet", "json"]) if kind == "mixed" else kind
        texts = [drawn_text(dice) for _ in range(dice.choice([1, 3, 12, 12, 60]))]
        texts = [dice.choice(texts) if dice.random() < 0.2 else text for text in texts]
        files.append(WRITERS[one](dice, f"part{number}", texts, keys))
    return files


def ranked(files: list[SourceFile]) -> bool:
    """Whether the column `rank` holds numbers: in tables of text it is text."""
    return all(file.name.split(".")[1] in ("jsonl", "json", "parquet") for file in files)


def drawn_text(dice: random.Random) -> str:
    words = [dice.choice(WORDS) for _ in range(dice.choice([1, 2, 5, 9, 30, 120]))]
    glue = dice.choice([" ", " ", " ", ". ", "\n"])
    return f"{glue.join(words)} {dice.randrange(10**6)}"


def drawn_rank(dice: random.Random) -> int | None:
    return dice.choice([None, 0, 1, 1, 2, dice.randrange(-50, 50)])


def packed(dice: random.Random, name: str, body: bytes) -> tuple[str, bytes]:
    return (f"{name}.gz", gzip.compress(body)) if dice.random() < 0.25 else (name, body)


def json_lines(dice: random.Random, name: str, texts: list[str], keys: Iterator[int]) -> SourceFile:
    ending = dice.choice([b"\n", b"\r\n"])
    body, rows, bad, line = b"", [], [], 0
    for text in texts:
        row = Row(text, next(keys), drawn_rank(dice))
        data = {"body": text, "key": row.key, "rank": row.rank}
        line += 1
        body += json.dumps(data, ensure_ascii=dice.random() < 0.5).encode() + ending
        rows.append(row)
        while dice.random() < 0.15:
            line += 1
            damage = dice.choice(
                [b"{broken", b'{"body": "\xff\xfe"}', b"[1]", b'{"other": 1}', b"null", b'"text"',
                 b'{"body": null}', b'{"body": ["a"]}', b'{"body": "a"} trailing',
                 b'{"body": "\\ud800"}', b'{"body": "cut', b"5", b"", b"   "]
            )  # fmt: skip
            body += damage + ending
            if damage.strip():
                bad.append(line)
    if dice.random() < 0.3:
        body = body[: -len(ending)]
    if dice.random() < 0.2:
        body = b"\xef\xbb\xbf" + body
    return SourceFile(*packed(dice, f"{name}.jsonl", body), rows, bad)


def json_array(dice: random.Random, name: str, texts: list[str], keys: Iterator[int]) -> SourceFile:
    rows = [Row(text, next(keys), drawn_rank(dice)) for text in texts]
    data: list[Any] = [{"body": row.text, "key": row.key, "rank": row.rank} for row in rows]
    bad = 0
    for damage in ({"other": 1}, {"body": None}, [1], 5):
        if dice.random() < 0.2:
            data.insert(dice.randrange(1, len(data) + 1), damage)
            bad += 1
    text = json.dumps(data, indent=dice.choice([None, 2]), ensure_ascii=False)
    return SourceFile(*packed(dice, f"{name}.json", text.encode()), rows, [None] * bad)


def comma_separated(
    dice: random.Random, name: str, texts: list[str], keys: Iterator[int]
) -> SourceFile:
    ending = dice.choice(["\n", "\r\n"])
    out = io.StringIO()
    out.write(f"key,body,rank{ending}")
    rows, bad, line = [], [], 1
    writer = csv.writer(out, lineterminator=ending, quoting=dice.choice([0, 1]))
    for text in texts:
        row = Row(text, next(keys), drawn_rank(dice))
        writer.writerow([row.key, text, row.rank])
        rows.append(row)
        line += 1 + text.count("\n")
        while dice.random() < 0.1:
            damage = dice.choice([f"{next(keys)},too,many,fields", f"{next(keys)}"])
            out.write(damage + ending)
            line += 1
            bad.append(line)
    return SourceFile(*packed(dice, f"{name}.csv", out.getvalue().encode()), rows, bad)


def tab_separated(
    dice: random.Random, name: str, texts: list[str], keys: Iterator[int]
) -> SourceFile:
    lines, rows, bad = ["key\tbody\trank"], [], []
    for text in texts:
        flat = text.replace("\n", " ")
        if dice.random() < 0.1:
            flat = f'"{flat}'
        row = Row(flat, next(keys), drawn_rank(dice))
        lines.append(f"{row.key}\t{flat}\t{'' if row.rank is None else row.rank}")
        rows.append(row)
        while dice.random() < 0.1:
            lines.append(dice.choice(["1\ta\tb\tc", "1", '"unclosed\ta']))
            bad.append(len(lines))
    body = ("\n".join(lines) + "\n").encode()
    return SourceFile(*packed(dice, f"{name}.tsv", body), rows, bad)


def plain_lines(
    dice: random.Random, name: str, texts: list[str], keys: Iterator[int]
) -> SourceFile:
    body, rows, bad, line = b"", [], [], 0
    for text in texts:
        flat = text.replace("\n", " ")
        rows.append(Row(flat, None, None))
        line += 1
        body += flat.encode() + b"\n"
        while dice.random() < 0.1:
            damage = dice.choice([b"", b"  ", b"caf\xe9 \xff"])
            line += 1
            body += damage + b"\n"
            if damage.strip():
                bad.append(line)
    return SourceFile(*packed(dice, f"{name}.txt", body), rows, bad)


def parquet(dice: random.Random, name: str, texts: list[str], keys: Iterator[int]) -> SourceFile:
    rows, bad = [], 0
    columns: dict[str, list[Any]] = {"key": [], "body": [], "rank": []}
    for text in texts:
        row = Row(text, next(keys), drawn_rank(dice))
        rows.append(row)
        values: list[Any] = [row.key, text, row.rank]
        for column, value in zip(columns.values(), values, strict=True):
            column.append(value)
        while dice.random() < 0.1:
            for column, value in zip(columns.values(), [next(keys), None, 1], strict=True):
                column.append(value)
            bad += 1
    body = io.BytesIO()
    schema = {"key": pl.Int64, "body": pl.String, "rank": pl.Int64}
    pl.DataFrame(columns, schema=schema).write_parquet(
        body, row_group_size=dice.choice([2, 7, 1000])
    )
    return SourceFile(f"{name}.parquet", body.getvalue(), rows, [None] * bad)


WRITERS: dict[str, Callable[..., SourceFile]] = {
    "jsonl": json_lines, "json": json_array, "csv": comma_separated, "tsv": tab_separated,
    "txt": plain_lines, "parquet": parquet,
}  # fmt: skip
