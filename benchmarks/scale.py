"""Memory, time and disk of deduplication as its input grows.

    python benchmarks/scale.py pages --gigabytes 1 5 20 --work DIR [--peer]
    python benchmarks/scale.py documents --millions 1 10 100 --work DIR

`pages` are real web pages, over and over: a fifth of the copies of a page differ from it in a few
words, in the others every third word is a new one. `documents` are of 8 to 24 made-up words, a
tenth of them exact copies of an earlier one and a tenth copies with one more word. Both go through
`exact_dedup` and `minhash_dedup`; with `--peer` pages also through those of datatrove. Prints for
each size the time, the most memory of all processes together, and the disk that the cache takes.
Run it on a machine that does nothing else.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import random
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from peers.environment import peer_python
from peers.measure import Usage

HERE = Path(__file__).resolve().parent
DATA = Path(os.environ.get("DATACHEF_TEST_DATA", HERE.parent.parent / "shared" / "data"))
RECIPE = """
name: scale
sources:
  rows:
    path: {input}
    steps: [{{op: exact_dedup}}, {{op: minhash_dedup, bands: 14, rows: 8}}]
rejects: {{keep: none}}
"""
ROWS_OF_A_FILE = 1_000_000
WORDS = 50_000


def pages(folder: Path, gigabytes: float) -> int:
    """Writes jsonl files of 256 MB into the folder; returns the bytes of their text."""
    total, written, number = 0, 0, 0
    out = (folder / "0.jsonl").open("w", encoding="utf-8")
    for text in changed_pages():
        size = len(text.encode())
        if total + size > gigabytes * 1e9:
            break
        total, written = total + size, written + size
        out.write(json.dumps({"text": text}, ensure_ascii=False) + "\n")
        if written > 256e6:
            written, number = 0, number + 1
            out.close()
            out = (folder / f"{number}.jsonl").open("w", encoding="utf-8")
    out.close()
    return total


def changed_pages() -> Iterator[str]:
    """Web pages, and then copies of them with other words, without end."""
    texts = []
    for name in sorted(DATA.glob("web/part-*.jsonl.gz")):
        with gzip.open(name, "rt", encoding="utf-8") as lines:
            texts += [json.loads(line)["text"] for line in lines]
    if not texts:
        sys.exit(f"no web pages in {DATA}/web: name a folder by DATACHEF_TEST_DATA")
    yield from texts
    chance = random.Random(0)
    copy = 0
    while True:
        copy += 1
        for text in texts:
            words = text.split(" ")
            step = 97 if chance.random() < 0.2 else 3
            for place in range(chance.randrange(step), len(words), step):
                words[place] = f"{words[place]}{copy}"
            yield " ".join(words)


def documents(folder: Path, millions: float) -> int:
    """Writes Parquet files of a million rows into the folder; returns the bytes of their text."""
    chance = np.random.default_rng(0)
    letters = np.frombuffer(b"abcdefghijklmnopqrstuvwxyz", "S1")
    drawn = chance.choice(letters, (WORDS, 7)).view("S7")[:, 0].astype(str)
    words = pl.Series(drawn)
    left, total, earlier = int(millions * 1e6), 0, None
    for number in range(-(-left // ROWS_OF_A_FILE)):
        rows = min(ROWS_OF_A_FILE, left - number * ROWS_OF_A_FILE)
        lengths = chance.integers(8, 25, rows)
        flat = words[chance.integers(0, WORDS, int(lengths.sum()))]
        row = pl.Series("row", np.repeat(np.arange(rows, dtype=np.uint32), lengths))
        joined = pl.DataFrame([row, flat.alias("word")]).group_by("row", maintain_order=True)
        text = joined.agg(pl.col("word").str.join(" "))["word"]
        if earlier is not None:
            copied = pl.Series(chance.random(rows) < 0.2)
            changed = pl.Series(chance.random(rows) < 0.5)
            source = earlier[chance.integers(0, len(earlier), rows)]
            near = source + " " + words[chance.integers(0, WORDS, rows)]
            frame = pl.DataFrame([text.alias("own"), source.alias("source"), near.alias("near")])
            text = frame.select(
                pl.when(~copied).then("own").when(changed).then("near").otherwise("source")
            )["own"]
        else:
            earlier = text[:200_000]
        total += int(text.str.len_bytes().sum())
        pl.DataFrame([text.alias("text")]).write_parquet(folder / f"{number:04d}.parquet")
    return total


def ours(source: str, work: Path, workers: int) -> dict[str, Any]:
    """A run with an empty cache."""
    recipe, cache = work / "recipe.yaml", work / "cache"
    recipe.write_text(RECIPE.format(input=source))
    command = [sys.executable, "-m", "datachef.core.cli", "run", str(recipe), "--json",
               "--workers", str(workers), "--output", str(work / "out"),
               "--cache", str(cache)]  # fmt: skip
    seconds, usage, output = watched(command)
    report = json.loads(output)["result"]
    counts = [f"{entry['rows_out']:,}" for entry in report["ledger"] if entry["op"] != "output"]
    disk = sum(file.stat().st_size for file in cache.rglob("*") if file.is_file())
    return {"seconds": seconds, "rows": " > ".join(counts), "disk": disk, **usage.figures()}


def watched(command: list[str]) -> tuple[float, Usage, bytes]:
    """The seconds of a command, what its processes took, and what it printed."""
    started = time.perf_counter()
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as running:
        with Usage(running.pid) as usage:
            output, _ = running.communicate()
        seconds = time.perf_counter() - started
    if running.returncode:
        sys.exit(f"{' '.join(command)} ended with {running.returncode}")
    return seconds, usage, output


def theirs(folder: Path, work: Path, workers: int) -> dict[str, Any]:
    """The same by datatrove."""
    command = [str(peer_python("datatrove")), str(HERE / "peers" / "dedup_datatrove.py"),
               str(folder), str(work / "theirs"), "--workers", str(workers)]  # fmt: skip
    seconds, usage, _ = watched(command)
    kept = json.loads((work / "theirs" / "summary.json").read_text())["rows"]
    files = (work / "theirs").rglob("*")
    disk = sum(file.stat().st_size for file in files if file.is_file())
    rows = " > ".join(f"{rows:,}" for rows in kept)
    return {"seconds": seconds, "rows": rows, "disk": disk, **usage.figures()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("kind", choices=["pages", "documents"])
    parser.add_argument("--gigabytes", type=float, nargs="*", default=[1.0, 5.0, 20.0])
    parser.add_argument("--millions", type=float, nargs="*", default=[1.0, 10.0, 100.0])
    parser.add_argument("--work", type=Path, required=True, help="for data and caches; emptied")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--peer", action="store_true", help="datatrove over the same pages")
    options = parser.parse_args()
    if options.peer:
        peer_python("datatrove")
    print("| who | input | seconds | MB/s | memory, all processes | largest | cache | rows |")
    print("|---|--:|--:|--:|--:|--:|--:|---|")
    of_pages = options.kind == "pages"
    for size in options.gigabytes if of_pages else options.millions:
        work = options.work / f"{options.kind}-{size:g}"
        data = work / "data"
        shutil.rmtree(work, ignore_errors=True)
        data.mkdir(parents=True)
        total = pages(data, size) if of_pages else documents(data, size)
        ending = "jsonl" if of_pages else "parquet"
        results = {"datachef": ours(str(data / f"*.{ending}"), work, options.workers)}
        if options.peer and of_pages:
            results["datatrove"] = theirs(data, work, options.workers)
        for name, found in results.items():
            print(
                f"| {name} | {total / 1e9:.2f} GB | {found['seconds']:.0f} "
                f"| {total / 1e6 / found['seconds']:.1f} | {found['peak_memory_mb']:.0f} MB "
                f"| {found['largest_process_mb']:.0f} MB | {found['disk'] / 1e9:.2f} GB "
                f"| {found['rows']} |",
                flush=True,
            )
        shutil.rmtree(work)


if __name__ == "__main__":
    main()
