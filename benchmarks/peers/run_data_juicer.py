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
from measure import Run, Usage

RECIPE = Path(__file__).with_name("recipe_data_juicer.yaml")
STAGE_DONE = re.compile(r"OP \[(\w+)\] Done in ([\d.]+)s\. Left (\d+) samples")  # its log


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
    result = Run("data_juicer", source, workers)

    def note(message: str) -> None:
        if found := STAGE_DONE.search(message):
            name, stage_seconds, rows = found.groups()
            result.stage_seconds[name] = float(stage_seconds)
            result.rows_kept[name] = int(rows)

    logger.add(note, level="INFO")
    with Usage() as usage:
        start = time.perf_counter()
        DefaultExecutor(config).run(skip_return=True)
        seconds = time.perf_counter() - start
    result.write(output, seconds, usage, not_timed="imports and reading the recipe")
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
