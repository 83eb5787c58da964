"""Speed of MinHash signatures on one core: ours and Daft's, over the same texts in one run.

    python benchmarks/minhash_speed.py [FILES...]

112 hash functions over 5-grams of words, as in FineWeb. Ours are the keys of 14 bands and the
sketch by which candidates are verified, of words in lower case in any script; Daft's are the minima
of words between spaces. Prints megabytes of text per second of processor time, the best of three.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from peers.environment import peer_python

HERE = Path(__file__).resolve().parent
DATA = Path(os.environ.get("DATACHEF_TEST_DATA", HERE.parent.parent / "shared" / "data"))
RUNS = 3
BATCH = 2_000  # rows, of some 8 MB as in a run


def best(work: Callable[[], object]) -> float:
    """Seconds of processor time, of all threads."""
    seconds = []
    for _ in range(RUNS):
        start = time.process_time()
        work()
        seconds.append(time.process_time() - start)
    return min(seconds)


def ours(texts: list[str]) -> float:
    import polars as pl

    from datachef.operators.dedup.minhash_dedup import MinHashDedup

    rows = pl.DataFrame({"text": texts})
    operator = MinHashDedup(bands=14, rows=8, ngram=5)
    batches = [rows.slice(first, BATCH) for first in range(0, rows.height, BATCH)]
    return best(lambda: [operator.columns(batch) for batch in batches])


def read(files: list[str]) -> list[str]:
    """The texts of all files."""
    texts = []
    for name in files:
        opener = gzip.open if name.endswith(".gz") else open
        with opener(name, "rt", encoding="utf-8") as lines:
            texts += [json.loads(line)["text"] for line in lines]
    return texts


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("files", nargs="*", help="jsonl or jsonl.gz; 40 MB of web pages by default")
    options = parser.parse_args()
    files = options.files or sorted(map(str, DATA.glob("web/part-00[01].jsonl.gz")))
    if not files:
        parser.error("no input: name some jsonl files")
    python = peer_python("daft")
    texts = read(files)
    megabytes = sum(len(text.encode()) for text in texts) / 1e6
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "texts.json"
        source.write_text(json.dumps(texts), encoding="utf-8")
        command = [str(python), str(HERE / "peers" / "run_daft.py"), str(source)]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
    print(f"{megabytes:.1f} MB of text\n| who | MB/s of processor time |\n|---|--:|")
    for who, seconds in (("datachef", ours(texts)), ("Daft", float(done.stdout))):
        print(f"| {who} | {megabytes / seconds:.1f} |")


if __name__ == "__main__":
    # One thread, before polars is imported; the peer inherits it.
    os.environ |= {"POLARS_MAX_THREADS": "1", "OMP_NUM_THREADS": "1", "DAFT_RUNNER": "native"}
    main()
