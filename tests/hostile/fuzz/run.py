"""Random recipes over random dirty files, and what must come out, counted without datachef.

    python tests/hostile/fuzz/run.py --minutes 20 --seed 1

Each case writes files of known rows and known damage, draws a recipe over them, and follows every
row through it in plain Python. The corpus, the ledger and the rejected rows must say the same. Then
something changes (a file, a step, a seed), and the same cache must serve the changed case. A case
that fails is kept with its files and its number, which draws it again.
"""

from __future__ import annotations

import argparse
import random
import shutil
import tempfile
import time
from collections import Counter
from pathlib import Path

from cases import changed, drawn_case
from following import verify

from datachef.core import Host, RunError, run_recipe


def run_case(seed: int, number: int, host: Host, folder: Path) -> list[str]:
    """How each of the runs of a case was compared: `exact`, `counted` or `empty`."""
    case = drawn_case(seed, number)
    dice = random.Random(f"{seed}/{number}/changes")
    results = []
    for round_number in range(3):
        if round_number:
            case = changed(case, dice)
        path, corpus = case.write(folder), folder / "corpus"
        try:
            run_recipe(
                path, corpus, host=host, engine=case.engine, workers=case.workers,
                cache=folder / "cache",
            )  # fmt: skip
        except RunError as error:
            if not error.message.startswith("the corpus is empty"):
                raise
            verify(case, folder / "corpus.failed")
            results.append("empty")
        else:
            results.append(verify(case, corpus))
    return results


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--minutes", type=float, default=20)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--first", type=int, default=0, help="the number of the first case")
    parser.add_argument("--cases", type=int, help="number of cases, in place of a time limit")
    parser.add_argument("--work", type=Path, help="folder for the files of the cases")
    options = parser.parse_args()
    work = options.work or Path(tempfile.mkdtemp(prefix="ledger-fuzz-"))
    end = time.monotonic() + 60 * options.minutes
    host = Host()
    counts: Counter[str] = Counter()
    while counts["cases"] < options.cases if options.cases else time.monotonic() < end:
        number = options.first + counts["cases"]
        folder = work / f"case{number}"
        folder.mkdir(parents=True)
        try:
            counts.update(run_case(options.seed, number, host, folder))
        except BaseException:
            print(f"case {number} of seed {options.seed} failed; its files: {folder}", flush=True)
            raise
        counts["cases"] += 1
        shutil.rmtree(folder)
    print(", ".join(f"{name}: {count:,}" for name, count in sorted(counts.items())))


if __name__ == "__main__":
    main()
