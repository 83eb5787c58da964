"""Follows every row of a case through its recipe in plain Python, and compares."""

from __future__ import annotations

import json
import re
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl
from cases import Case
from dirty_files import Row


class MismatchError(AssertionError):
    """The corpus, the ledger or the rejected rows are not what they must be."""


def expect(what: str, found: object, expected: object) -> None:
    if found == expected:
        return
    if isinstance(found, Counter) and isinstance(expected, Counter):
        found, expected = found - expected, expected - found
    raise MismatchError(f"{what}: found {repr(found)[:500]}, expected {repr(expected)[:500]}")


@dataclass
class Followed:
    """The rows at one point of the recipe; `exact` where it is known which they are."""

    rows: list[Row] = field(default_factory=list)
    count: int = 0
    exact: bool = True

    def texts(self) -> Counter[str]:
        return Counter(row.text for row in self.rows)


def follow(rows: Followed, step: dict[str, Any], gone: list[str]) -> Followed:
    """The rows that pass the step, as plain Python has it; `gone` are the texts it rejected."""
    if not rows.exact:
        return Followed([], rows.count - len(gone), exact=False)
    kept = kept_by(step, rows.rows)
    if kept is not None:
        dropped = rows.texts()
        dropped.subtract(row.text for row in kept)
        expect(f"texts rejected by {step}", Counter(gone), +dropped)
        return Followed(kept, len(kept))
    if step["op"] == "sample":
        expect(f"rows left by {step}", rows.count - len(gone), min(step["rows"], rows.count))
    if step["op"] in ("fix_unicode", "clean_c4_lines", "redact_personal_data"):
        return Followed([], rows.count - len(gone), exact=False)
    lost, there = Counter(gone), rows.texts()
    strange = [text for text, number in lost.items() if number > there[text]]
    expect(f"texts rejected by {step} that never reached it", strange, [])
    told_apart = all(lost[text] in (0, number) for text, number in there.items())
    left = [row for row in rows.rows if row.text not in lost] if told_apart else []
    return Followed(left, rows.count - len(gone), exact=told_apart)


def kept_by(step: dict[str, Any], rows: list[Row]) -> list[Row] | None:
    """The rows that the step must keep; None where plain Python cannot tell."""
    match step["op"]:
        case "length_filter":
            most = step["max_chars"] or 10**9
            return [row for row in rows if step["min_chars"] <= len(row.text) <= most]
        case "regex_filter":
            (pattern,) = step["patterns"]
            keep = step["action"] == "keep"
            return [row for row in rows if (re.search(pattern, row.text) is not None) == keep]
        case "exact_dedup":
            seen: set[str] = set()
            return [row for row in rows if not (row.text in seen or seen.add(row.text))]
        case "top_selection":
            sign = -1 if step["order"] == "descending" else 1
            order = sorted(
                range(len(rows)),
                key=lambda i: (rows[i].rank is None, sign * (rows[i].rank or 0), i),
            )
            best = sorted(order[: step["rows"]])
            return [rows[i] for i in best]
    return None


def verify(case: Case, corpus: Path) -> str:
    """Compares what lies in the folder of a corpus, or of a failed run, with what must be there."""
    ledger = {entry["path"]: entry for entry in json.loads((corpus / "ledger.json").read_text())}
    rejects_file = next(iter(corpus.rglob("rejects.parquet")), None)
    rejects = pl.read_parquet(rejects_file) if rejects_file else pl.DataFrame()
    gone: dict[str, list[str]] = {}
    for row in rejects.iter_rows(named=True):
        gone.setdefault(row["step"], []).append(row["text"])
    for path, entry in ledger.items():
        total = sum((entry["dropped"] | entry["failed"]).values())
        if path not in ("mix", "output"):
            expect(f"rows rejected at {path}", len(gone.get(path, [])), total)
        balance = entry["rows_in"] + entry["created"] - total - entry["rows_out"]
        expect(f"balance of {path}", balance, 0)
    arrived: dict[str, Followed] = {}
    for name, source in case.recipe["sources"].items():
        arrived[name] = follow_source(case, name, source, ledger, rejects, gone)
    if "mix" in case.recipe:
        rows = mixed(case.recipe["mix"], arrived, ledger["mix"])
    else:
        rows = Followed(
            [row for one in arrived.values() for row in one.rows],
            sum(one.count for one in arrived.values()),
            exact=all(one.exact for one in arrived.values()),
        )
    for index, step in enumerate(case.recipe["steps"]):
        rows = after(rows, step, f"steps[{index}]", ledger, gone)
    written = read_corpus(case, corpus)
    if "output" in ledger:
        expect("rows of the output", ledger["output"]["rows_out"], len(written))
        expect("rows that reached the output", ledger["output"]["rows_in"], rows.count)
        without_text = sum(ledger["output"]["failed"].values())
        rows = Followed(rows.rows, rows.count - without_text, rows.exact and not without_text)
    expect("rows in the files", len(written), rows.count)
    expect("different ids in the files", len({row["id"] for row in written}), len(written))
    if not rejects.is_empty():
        both = set(rejects["id"].drop_nulls()) & {row["id"] for row in written}
        expect("ids both kept and rejected", both, set())
    if rows.exact:
        found = Counter((row["text"], as_text(row.get("key"))) for row in written)
        expected = Counter((row.text, as_text(row.key)) for row in rows.rows)
        expect("rows of the corpus", found, expected)
        return "exact"
    return "counted"


def follow_source(
    case: Case,
    name: str,
    source: dict[str, Any],
    ledger: dict[str, Any],
    rejects: pl.DataFrame,
    gone: dict[str, list[str]],
) -> Followed:
    files = case.files[name]
    good = [row for file in files for row in file.rows]
    bad = sum(len(file.bad_lines) for file in files)
    read = ledger[f"sources.{name}"]
    expect(f"rows read of {name}", read["rows_in"], len(good) + bad)
    expect(f"rows failed of {name}", sum(read["failed"].values()), bad)
    lines = Counter(
        (Path(row["file"]).name, row["line"])
        for row in rejects.iter_rows(named=True)
        if row["step"] == f"sources.{name}"
    )
    known = Counter((f.name, line) for f in files for line in f.bad_lines if line is not None)
    without = {f.name for f in files if None in f.bad_lines}
    found = Counter({at: number for at, number in lines.items() if at[0] not in without})
    expect(f"lines that failed of {name}", found, known)
    rows = Followed(good, len(good))
    if "take" in source:
        taken = {"op": "sample", "rows": source["take"]}
        rows = after(rows, taken, f"sources.{name}.take", ledger, gone)
    for index, step in enumerate(source["steps"]):
        rows = after(rows, step, f"sources.{name}.steps[{index}]", ledger, gone)
    return rows


def after(
    rows: Followed,
    step: dict[str, Any],
    path: str,
    ledger: dict[str, Any],
    gone: dict[str, list[str]],
) -> Followed:
    expect(f"rows that reached {path}", ledger[path]["rows_in"], rows.count)
    rows = follow(rows, step, gone.get(path, []))
    expect(f"rows that left {path}", ledger[path]["rows_out"], rows.count)
    return rows


def mixed(mix: dict[str, Any], arrived: dict[str, Followed], entry: dict[str, Any]) -> Followed:
    """What the mix let through, of which only the number can be told; it is compared here."""
    weights = {
        name: weight / sum(mix["weights"].values()) for name, weight in mix["weights"].items()
    }
    most = {name: arrived[name].count * mix["max_epochs"] for name in weights}
    wanted = mix.get("budget", {}).get("rows")
    if "budget" in mix:
        if mix["shortage"] == "redistribute":
            size = min(wanted, sum(most.values()))
        else:
            size = min(wanted, *(most[name] / weight for name, weight in weights.items()))
        off = abs(entry["rows_out"] - size)
        if off > len(weights):
            raise MismatchError(f"rows of the mix: found {entry['rows_out']}, expected {size}")
    return Followed([], entry["rows_out"], exact=False)


def as_text(key: int | str | None) -> str | None:
    """A key as it is where a column of numbers met one of texts."""
    return None if key is None else str(key)


def read_corpus(case: Case, corpus: Path) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    for path in sorted((corpus / "data").glob("*")):
        if case.output_format == "parquet":
            rows += pl.read_parquet(path).to_dicts()
        else:
            text = path.read_bytes().decode()
            rows += [json.loads(line) for line in text.split("\n") if line]
    return rows
