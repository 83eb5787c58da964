"""Makes Markdown tables of what `learn.py` and `measure.py` wrote."""

from __future__ import annotations

import argparse
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from statistics import fmean
from typing import Any

import orjson
from comparison import compare

from datachef.core.contracts.reward import mean_interval
from datachef.policy.search import SEARCHES

# Recipes over which the mean of the first and of the last ones is taken.
WINDOW = 96

Row = dict[str, Any]


def learning(rows: list[Row]) -> Iterator[str]:
    """From which mean reward to which, and how that compares with the best of all methods."""
    yield "| task | algorithm | runs | mean at the start | mean at the end | of the best of all |"
    yield "|---|---|--:|--:|--:|--:|"
    for task, own in _grouped(rows, "task").items():
        best = max(max(row["values"]) for row in own)
        for method, runs in _grouped(own, "method").items():
            if method in SEARCHES:
                continue
            first = fmean(fmean(row["values"][:WINDOW]) for row in runs)
            ends = [fmean(row["values"][-WINDOW:]) for row in runs]
            shares = [end / best for end in ends]
            yield (
                f"| {task} | {method} | {len(runs)} | {first:.4f} | {fmean(ends):.4f}"
                f"{_around(ends)} | {fmean(shares):.1%} |"
            )


def searching(rows: list[Row], calls: int) -> Iterator[str]:
    """The best value that each method found by number of reward calls, task by task."""
    for task, own in _grouped(rows, "task").items():
        runs = {
            method: [_first(row["called"], calls, method) for row in found]
            for method, found in _grouped(own, "method").items()
        }
        yield f"### {task}\n"
        yield compare(runs).to_markdown()


def _first(values: list[float], calls: int, method: str) -> list[float]:
    """The first calls. A policy that writes nothing new any more has found what it finds."""
    missing = 0 if method in SEARCHES else calls - len(values)
    return values[:calls] + values[-1:] * missing


def measuring(rows: list[Row]) -> Iterator[str]:
    """Bits per byte of the gold answers, fewer are better."""
    yield "| task | recipe | chosen among | bits per byte | 95% interval | seeds |"
    yield "|---|---|--:|--:|:-:|--:|"
    for row in rows:
        bits = row["bits_per_byte"]
        low, high = mean_interval(bits) or (bits[0], bits[0])
        yield (
            f"| {row['task']} | {row['kind']} | {row['candidates']} | {fmean(bits):.4f} | "
            f"{low:.4f} to {high:.4f} | {len(bits)} |"
        )


def _around(values: list[float]) -> str:
    interval = mean_interval(values)
    return f" ({interval[0]:.4f} to {interval[1]:.4f})" if interval else ""


def _grouped(rows: list[Row], key: str) -> dict[str, list[Row]]:
    groups: defaultdict[str, list[Row]] = defaultdict(list)
    for row in rows:
        groups[row[key]].append(row)
    return dict(sorted(groups.items()))


def _read(path: Path) -> list[Row]:
    return [orjson.loads(line) for line in path.read_bytes().splitlines()]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=Path, required=True)
    parser.add_argument("--measured", type=Path, required=True)
    parser.add_argument("--calls", type=int, default=480)
    options = parser.parse_args()
    rows = _read(options.runs)
    print("## Learning\n")
    print("\n".join(learning(rows)))
    print(f"\n## The best recipe after {options.calls:,} reward calls\n")
    print("\n".join(searching(rows, options.calls)))
    print("## Really measured\n")
    print("\n".join(measuring(_read(options.measured))))


if __name__ == "__main__":
    main()
