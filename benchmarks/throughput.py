"""Throughput of the same cleaning by datachef, datatrove and Data-Juicer, in one run.

    python benchmarks/throughput.py [FILES...] [--workers 2] [--peers datatrove,data_juicer]
    python benchmarks/throughput.py --chain fineweb

Gopher quality, Gopher repetition, C4 and FineWeb quality, exact and MinHash deduplication, over the
same jsonl on the same cores. Or FineWeb's chain over 160 MB, in its order: language, the same
filters with C4's lines whatever they end with, and MinHash; Data-Juicer has no equivalent. Each
peer runs in an environment of its own, made on first use. Times are those of whole commands, from
start to exit. Prints megabytes of text per second and core, peak memory, rows kept, the ratios, and
how often ours and datatrove's filters decide alike on single documents. Run it on a machine that
does nothing else.
"""

from __future__ import annotations

import argparse
import compileall
import gzip
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from peers.environment import peer_python
from peers.measure import Usage

HERE = Path(__file__).resolve().parent
DATA = Path(os.environ.get("DATACHEF_TEST_DATA", HERE.parent.parent / "shared" / "data"))
SAMPLE_ROWS = 4_000

RECIPE = """
name: throughput
sources:
  pages:
    path: {input}
    steps:
      - op: gopher_quality_filter
      - {{op: gopher_repetition_filter, counting: datatrove}}
      - op: clean_c4_lines
      - op: c4_quality_filter
      - op: fineweb_quality_filter
      - op: exact_dedup
      - op: minhash_dedup
        bands: 14
        rows: 8
rejects: {{keep: none}}
"""
FINEWEB = """
name: throughput
sources:
  pages:
    path: {input}
    steps:
      - op: language_filter
      - {{op: gopher_repetition_filter, counting: datatrove}}
      - op: gopher_quality_filter
      - {{op: clean_c4_lines, terminal_punctuation: false}}
      - {{op: c4_quality_filter, terminal_punctuation: false}}
      - op: fineweb_quality_filter
      - {{op: minhash_dedup, bands: 14, rows: 8}}
rejects: {{keep: none}}
"""
RECIPES = {"quality": RECIPE, "fineweb": FINEWEB}
FILTERS: dict[str, dict[str, str]] = {
    "gopher_quality": {},
    "gopher_repetition": {"counting": "datatrove"},
    "c4_quality": {},
    "fineweb_quality": {},
}


def unpacked(files: list[str], folder: Path) -> Path:
    """All files as one plain jsonl, which every peer reads."""
    path = folder / "input.jsonl"
    with path.open("wb") as out:
        for name in files:
            opener = gzip.open if name.endswith(".gz") else open
            with opener(name, "rb") as stream:
                shutil.copyfileobj(stream, out)
    return path


def text_megabytes(path: Path) -> float:
    """Millions of bytes of text in UTF-8."""
    with path.open(encoding="utf-8") as lines:
        return sum(len(json.loads(line)["text"].encode()) for line in lines) / 1e6


def run_ours(source: Path, folder: Path, workers: int, chain: str) -> dict[str, Any]:
    """A fresh `chef run`, with an empty cache; its modules are compiled, as pip leaves those of
    the peers."""
    for part in ("core", "operators", "plugins"):
        compileall.compile_dir(HERE.parent / part, quiet=1)
    folder.mkdir()
    recipe = folder / "recipe.yaml"
    recipe.write_text(RECIPES[chain].format(input=source))
    command = [sys.executable, "-m", "datachef.core.cli", "run", str(recipe), "--json",
               "--workers", str(workers), "--output", str(folder / "out"),
               "--cache", str(folder / "cache")]  # fmt: skip
    with Usage() as usage:
        started = time.perf_counter()
        done = subprocess.run(command, check=True, capture_output=True)
        seconds = time.perf_counter() - started
    report = json.loads(done.stdout)["result"]
    kept = {entry["op"]: entry["rows_out"] for entry in report["ledger"]}
    return {"seconds": seconds, "rows_kept_per_stage": kept, **usage.figures()}


def run_peer(name: str, source: Path, folder: Path, workers: int, chain: str) -> dict[str, Any]:
    """A peer's own pipeline as a command, timed from outside like ours."""
    more = ["--chain", chain] if name == "datatrove" else []
    command = [str(peer_python(name)), str(HERE / "peers" / f"run_{name}.py"), str(source),
               str(folder), "--workers", str(workers), *more]  # fmt: skip
    with (folder.parent / f"{name}.log").open("wb") as log:
        started = time.perf_counter()
        subprocess.run(command, check=True, stdout=log, stderr=log)
        seconds = time.perf_counter() - started
    summary: dict[str, Any] = json.loads((folder / "summary.json").read_text())
    return summary | {"seconds": seconds}


def agreement(source: Path, folder: Path) -> dict[str, float]:
    """The share of single documents on which a filter of ours decides like datatrove's."""
    import polars as pl

    from datachef.core import Host
    from datachef.core.run.signals import decide, measure

    rows = [json.loads(line) for line in source.open(encoding="utf-8")]
    rows = rows[:: max(1, len(rows) // SAMPLE_ROWS)][:SAMPLE_ROWS]
    sample = folder / "sample.jsonl"
    sample.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    command = [str(peer_python("datatrove")), str(HERE / "peers" / "run_datatrove.py"),
               str(sample), str(folder / "decisions")]  # fmt: skip
    subprocess.run(command, check=True, capture_output=True)
    lines = (folder / "decisions" / "decisions.jsonl").read_text(encoding="utf-8").splitlines()
    theirs = [json.loads(line) for line in lines]
    batch = pl.DataFrame({"text": [row["text"] for row in rows]})
    vocabulary = Host().vocabulary
    shares = {}
    for name, parameters in FILTERS.items():
        operator: Any = vocabulary.operator({"op": f"{name}_filter", **parameters})
        kept = decide(operator, batch.hstack(measure(operator, batch))).is_null()
        alike = sum(ours == (their[name] is True) for ours, their in zip(kept, theirs, strict=True))
        shares[name] = alike / len(rows)
    return shares


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("files", nargs="*", help="jsonl or jsonl.gz; by default web pages: 80 MB, "
                        "160 MB for FineWeb's chain")  # fmt: skip
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--chain", choices=RECIPES, default="quality")
    parser.add_argument("--peers", help="datatrove,data_juicer; datatrove for FineWeb's chain")
    parser.add_argument("--no-agreement", action="store_true", help="leave out the decisions")
    options = parser.parse_args()
    fineweb = options.chain == "fineweb"
    if options.peers is None:
        options.peers = "datatrove" if fineweb else "datatrove,data_juicer"
    parts = "web/part-*.jsonl.gz" if fineweb else "web/part-00[0-3].jsonl.gz"
    files = options.files or sorted(map(str, DATA.glob(parts)))
    if not files:
        parser.error("no input: name some jsonl files")
    with tempfile.TemporaryDirectory() as folder:
        compare(unpacked(files, Path(folder)), Path(folder), options)


def compare(source: Path, work: Path, options: argparse.Namespace) -> None:
    """Runs everybody and prints the table."""
    megabytes = text_megabytes(source)
    print(f"{megabytes:.1f} MB of text, {options.workers} workers")
    peers = [name for name in options.peers.split(",") if name]
    for name in peers:
        peer_python(name)
    results = {"datachef": run_ours(source, work / "ours", options.workers, options.chain)}
    for name in peers:
        results[name] = run_peer(name, source, work / name, options.workers, options.chain)
    ours = results["datachef"]["seconds"]
    print("| who | seconds | MB/s per core | ratio | CPU s | peak memory, all processes | kept |")
    print("|---|--:|--:|--:|--:|--:|--:|")
    for name, result in results.items():
        speed = megabytes / result["seconds"] / options.workers
        kept = list(result["rows_kept_per_stage"].values())[-1]
        print(
            f"| {name} | {result['seconds']:.1f} | {speed:.2f} | {result['seconds'] / ours:.1f} "
            f"| {result['cpu_seconds']:.0f} | {result['peak_memory_mb']:.0f} MB | {kept:,} |"
        )
    if "datatrove" in peers and not options.no_agreement:
        for name, share in agreement(source, work).items():
            print(f"{name}: decides like datatrove on {share:.2%} of single documents")


if __name__ == "__main__":
    main()
