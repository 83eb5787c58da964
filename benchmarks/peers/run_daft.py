"""Daft's MinHash over texts; needs the python of ``peer_python("daft")``. Prints seconds."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import daft

RUNS = 3


def main() -> None:
    texts = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    rows = daft.from_pydict({"text": texts}).collect()
    minima = daft.col("text").minhash(num_hashes=112, ngram_size=5, seed=1)
    seconds = []
    for _ in range(RUNS):
        start = time.process_time()
        rows.select(minima.alias("minima")).collect()
        seconds.append(time.process_time() - start)
    print(min(seconds))


if __name__ == "__main__":
    main()
