"""datatrove's exact and MinHash deduplication of a folder of jsonl files."""

from __future__ import annotations

import argparse
from pathlib import Path

from datatrove_chain import Chain
from measure import count_rows, write_json


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args()
    work, kept = options.output / "work", options.output / "kept"
    work.mkdir(parents=True)
    (work / "filtered").symlink_to(options.folder.resolve())
    chain = Chain(work, options.workers)
    chain.exact()
    chain.minhash("unique", kept)
    rows = [count_rows(sorted(folder.glob("*.jsonl"))) for folder in (work / "unique", kept)]
    write_json(options.output / "summary.json", {"rows": rows, "seconds": chain.seconds})


if __name__ == "__main__":
    main()
