"""What single filters of Data-Juicer decide about the rows of a jsonl file, each by itself.

    python decide_data_juicer.py INPUT OUTPUT FILTERS.json

Needs the python of ``peer_python("data_juicer")``. FILTERS has names of filters and their
parameters. Writes which rows each keeps, and the processor time of its own run over a table in
memory, without reading and writing.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import datasets
from data_juicer.core.data import NestedDataset
from data_juicer.ops import load_ops
from data_juicer.utils.constant import Fields
from measure import read_rows, write_json


def run(name: str, parameters: dict[str, Any], rows: list[dict[str, Any]]) -> dict[str, Any]:
    """The ids of the rows that a filter keeps, and how long it took."""
    dataset = NestedDataset.from_list(rows)
    (operator,) = load_ops([{name: {**parameters, "num_proc": 1}}])
    operator.run(NestedDataset.from_list(rows[:10]))  # loads word lists and models
    started = sum(os.times()[:4])  # it works in a process of its own
    kept = operator.run(dataset)
    return {"seconds": sum(os.times()[:4]) - started, "kept": kept["id"][:]}


def main() -> None:
    source, output, filters = (Path(argument) for argument in sys.argv[1:])
    datasets.disable_progress_bars()
    datasets.disable_caching()
    rows = [{**row, Fields.suffix: row["suffix"]} for row in read_rows(source)]
    wanted = json.loads(filters.read_text(encoding="utf-8"))
    write_json(output, {name: run(name, given, rows) for name, given in wanted.items()})


if __name__ == "__main__":
    main()
