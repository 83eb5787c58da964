"""What is transferred of a large file that is read over HTTP.

    python benchmarks/transfer.py --gigabytes 5 --work DIR

Real web pages, over and over with other words, in one uncompressed Parquet file on a server of this
machine that counts what it sends. Prints the bytes sent over those of the file, requests, rows and
seconds.
"""

from __future__ import annotations

import argparse
import mmap
import os
import shutil
import subprocess
import sys
import time
from itertools import islice, takewhile
from pathlib import Path

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
from scale import changed_pages
from servers import web_server

RECIPE = """
name: transfer
sources:
  pages: {path: URL, steps: [{op: length_filter, min_chars: 200}]}
rejects: {keep: none}
"""
ROWS_OF_A_GROUP = 10_000
NAME = "/pages.parquet"


def write_pages(path: Path, gigabytes: float) -> int:
    """Writes the file; returns its size in bytes."""
    written = 0

    def more(text: str) -> bool:
        nonlocal written
        written += len(text.encode())
        return written < gigabytes * 1e9

    schema = pa.schema([("text", pa.string())])
    with pq.ParquetWriter(path, schema, compression="none", use_dictionary=False) as writer:
        texts = takewhile(more, changed_pages())
        while group := list(islice(texts, ROWS_OF_A_GROUP)):
            writer.write_table(pa.table([pa.array(group)], schema=schema))
    return path.stat().st_size


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--gigabytes", type=float, default=5.0)
    parser.add_argument("--work", type=Path, required=True, help="for data and cache; emptied")
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args()
    work = options.work / "transfer"
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    path, recipe = work / "pages.parquet", work / "recipe.yaml"
    size = write_pages(path, options.gigabytes)
    with (
        path.open("rb") as file,
        mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as raw,
        web_server({NAME: memoryview(raw)}) as web,
    ):
        recipe.write_text(RECIPE.replace("URL", f"{web.url}{NAME}"))
        started = time.perf_counter()
        subprocess.run(
            [sys.executable, "-m", "datachef.core.cli", "run", str(recipe), "--quiet",
             "--workers", str(options.workers), "--output", str(work / "out"),
             "--cache", str(work / "cache")],
            check=True, env={**os.environ, "DATACHEF_ALLOW_NETWORK": "127.0.0.1"},
        )  # fmt: skip
        seconds = time.perf_counter() - started
        web.files.clear()
    rows = pl.scan_parquet(work / "out" / "data" / "*.parquet").select(pl.len()).collect().item()
    ratio, requests = web.sent / size, len(web.asked)
    print(
        f"{size:,} bytes, {web.sent:,} sent: {ratio:.4f} times; "
        f"{requests} requests, {rows:,} rows, {seconds:.0f} s"
    )
    shutil.rmtree(work)


if __name__ == "__main__":
    main()
