"""One task of a job array: `python -m datachef.plugins.engines.array_task FOLDER TASK TASKS`.

Does the items of `items.json` in the folder that leave the remainder TASK of TASKS, and leaves what
came of each in a file with its number. Started again, it does what has no such file.
"""

from __future__ import annotations

import sys
from contextlib import closing
from pathlib import Path

import orjson

from datachef.core import WorkerConfig
from datachef.core.run.stage import work_item
from datachef.core.system.atomic import write_atomically
from datachef.plugins.engines.outcomes import ItemWorker


def main(folder: Path, task: int, tasks: int) -> int:
    """The exit status: 1 where an item could not be done, which ends the task."""
    manifest = orjson.loads((folder / "items.json").read_bytes())
    told = manifest["config"]
    files, cache = tuple(told["plugin_files"]), Path(told["cache"])
    config = WorkerConfig(**{**told, "plugin_files": files, "cache": cache})
    with closing(ItemWorker(config)) as worker:
        for index in range(task, len(manifest["items"]), tasks):
            result = folder / f"{index}.json"
            if result.exists():
                continue
            item = work_item(manifest["items"][index])
            outcome = worker.outcome(item)
            write_atomically(result, orjson.dumps(outcome))
            if "record" not in outcome:
                print(f"error: {outcome['error']['message']}", file=sys.stderr)
                return 1
            print(f"done: {item.label}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])))
