"""Run Data-Juicer over a jsonl file; needs the python of ``peer_python("data_juicer")``."""

from __future__ import annotations

import argparse
import re
import shutil
import time
from pathlib import Path

from data_juicer.config import init_configs
from data_juicer.core import DefaultExecutor
from loguru import logger
from measure import Usage, count_rows, megabytes, read_rows, write_json

RECIPE = Path(__file__).with_name("recipe_data_juicer.yaml")
STAGE_DONE = re.compile(r"OP \[(\w+)\] Done in ([\d.]+)s\. Left (\d+) samples")


class Stages:
    """Collects the seconds and rows that Data-Juicer logs after each operator."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self.rows: dict[str, int] = {}

    def __call__(self, message: str) -> None:
        if found := STAGE_DONE.search(message):
            name, seconds, rows = found.groups()
            self.seconds[name] = float(seconds)
            self.rows[name] = int(rows)


def run(source: Path, output: Path, workers: int) -> None:
    """The recipe over ``source`` into kept/, and the summary."""
    work, kept = output / "work", output / "kept"
    for folder in (work, kept):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
    options = {
        "config": RECIPE,
        "dataset_path": source.resolve(),
        "export_path": kept.resolve() / "kept.jsonl",
        "work_dir": work.resolve(),
        "ds_cache_dir": work.resolve() / "cache",
        "np": workers,
    }
    arguments = [text for name, value in options.items() for text in (f"--{name}", str(value))]
    config = init_configs(arguments)
    stages = Stages()
    logger.add(stages, level="INFO")
    with Usage() as usage:
        start = time.perf_counter()
        DefaultExecutor(config).run(skip_return=True)
        seconds = time.perf_counter() - start
    size = megabytes(row["text"] for row in read_rows(source))
    summary = {
        "peer": "data_juicer",
        "workers": workers,
        "seconds": round(seconds, 3),
        "per_stage_seconds": stages.seconds,
        "rows_in": count_rows([source]),
        "rows_kept_per_stage": stages.rows,
        "megabytes": round(size, 3),
        "mb_per_second": round(size / seconds, 3),
        **usage.figures(),
        "not_timed": "imports and reading the recipe",
    }
    write_json(output / "summary.json", summary)
    shutil.rmtree(work)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("input", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("--workers", type=int, default=1)
    options = parser.parse_args()
    run(options.input, options.output, options.workers)


if __name__ == "__main__":
    main()
