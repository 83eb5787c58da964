"""Writes development tasks as datachef reads them: task.yaml, pool.yaml, and what people know.

    python benchmarks/reward/tasks.py --data DIR --folder DIR [--tasks a,b]

`DIR/tasks.json` says which test set, metric and sources each task has and which fields hold what;
`DIR/README.md` has a table with the licence of each file. `sources.yaml` and `targets.yaml` beside
this script add descriptions, formats and instructions.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from datachef.core import DatachefError, RecipeError, document
from datachef.core.errors import did_you_mean

HERE = Path(__file__).resolve().parent
TASK, POOL, KNOWLEDGE = "task.yaml", "pool.yaml", "knowledge.yaml"

METRICS = {
    "exact_number": "number_match",
    "exact": "exact_match",
    "mc": "multiple_choice",
    "label": "label",
    "yesno": "yes_no",
    "unittest": "unit_tests",
    "math_boxed": "math_match",
    "numeric_tol_0.05": "number_tolerance",
}


@dataclass(frozen=True)
class Knowledge:
    """What people know of a task's pool and no recipe is told.

    The role of each source; those of plain documents, which turn a corpus with them into plain
    text; the languages worth keeping, of which none means to keep all; the tokens that each source
    holds at most, None where that is unknown.
    """

    roles: dict[str, str]
    documents: list[str]
    languages: list[str]
    most_tokens: dict[str, int | None]


def task_names(data: Path) -> list[str]:
    """The names of all tasks, in the order of `tasks.json`."""
    return list(_entries(data))


def write_task(data: Path, name: str, folder: Path) -> Path:
    """Writes `task.yaml`, `pool.yaml` and `knowledge.yaml` into `folder`; returns the first.

    Paths in them lead to `data`. Raises `DatachefError` for a task that is not in `tasks.json` or
    of which `targets.yaml` or `sources.yaml` know nothing.
    """
    entries = _entries(data)
    if name not in entries:
        raise DatachefError(f"no task {name!r} in {data}", did_you_mean(name, entries))
    entry, target = entries[name], _known("targets.yaml", name)
    pool = {source["name"]: _source(data, source) for source in entry["pool"]}
    knowledge = {
        "roles": {source["name"]: source["role"] for source in entry["pool"]},
        "documents": [name for name, source in pool.items() if "text" in source["format"]],
        "languages": target["languages"],
        "most_tokens": {n: _most_tokens(Path(source["path"])) for n, source in pool.items()},
    }
    folder.mkdir(parents=True, exist_ok=True)
    _write(folder / POOL, {"sources": pool})
    _write(folder / KNOWLEDGE, knowledge)
    _write(folder / TASK, _task(data, entry, target, pool))
    return folder / TASK


def read_knowledge(folder: Path) -> Knowledge:
    """What `write_task` wrote beside a task."""
    return Knowledge(**_read(folder / KNOWLEDGE))


def _task(
    data: Path, entry: dict[str, Any], target: dict[str, Any], pool: dict[str, Any]
) -> dict[str, Any]:
    metric = METRICS[entry["metric"].split(":")[0]]
    benchmark = {"path": _path(data, entry["test"]), "prompt": "prompt", "answer": "answer"}
    if metric in ("multiple_choice", "label"):
        benchmark["choices"] = "choices"
    benchmark |= {name: target[name] for name in ("program", "reference") if name in target}
    examples = (
        {"path": _path(data, entry["dev"]), "prompt": "prompt", "answer": "answer"}
        if entry["dev"]
        else _examples(target["examples"], pool)
    )
    return {
        "name": entry["name"],
        "instruction": target["instruction"],
        "benchmark": benchmark,
        "examples": examples,
        "metric": metric,
    }


def _examples(given: str | dict[str, str], pool: dict[str, Any]) -> dict[str, str]:
    """The rows of a source, by default with the question and answer that its format makes."""
    if isinstance(given, dict):
        path = pool[given["source"]]["path"]
        return {"path": path, "prompt": given["prompt"], "answer": given["answer"]}
    source = pool[given]
    form = source["format"]
    prompt = form.get("prompt") or form["instruction"]
    answer = form.get("completion") or form["output"]
    return {"path": source["path"], "prompt": prompt, "answer": answer}


def _source(data: Path, entry: dict[str, Any]) -> dict[str, Any]:
    known = _known("sources.yaml", entry["name"])
    if "like" in known:
        known = _known("sources.yaml", known["like"])
    source = {
        "path": _path(data, entry["file"]),
        "format": known.get("format") or _format(entry),
        "description": known["description"],
        "licence": _licences(data).get(entry["file"], ""),
    }
    return source | ({"max_failed": known["max_failed"]} if "max_failed" in known else {})


def _format(entry: dict[str, Any]) -> dict[str, str]:
    if entry["prompt"] is None:
        return {"text": entry["text"]}
    if entry["prompt"] == "instruction":
        return {"instruction": "instruction", "output": entry["response"]}
    return {"prompt": entry["prompt"], "completion": entry["response"]}


def _most_tokens(path: Path) -> int | None:
    """A token per four bytes of the file; the size of a compressed one says nothing."""
    return None if path.suffix == ".gz" else path.stat().st_size // 4


def _path(data: Path, name: str) -> str:
    return str((data / name).resolve())


@cache
def _licences(data: Path) -> dict[str, str]:
    """The licence of each file, from the table in the README whose columns are file, rows and
    licence."""
    lines = (data / "README.md").read_text(encoding="utf-8").splitlines()
    cells = [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines if "|" in line]
    return {row[0]: row[2] for row in cells if len(row) > 2 and ".jsonl" in row[0]}


@cache
def _entries(data: Path) -> dict[str, dict[str, Any]]:
    try:
        entries = json.loads((data / "tasks.json").read_bytes())
    except (OSError, ValueError) as error:
        raise DatachefError(f"cannot read {data / 'tasks.json'}: {error}") from error
    return {entry["name"]: entry for entry in entries}


@cache
def _known(file: str, name: str) -> dict[str, Any]:
    known: dict[str, dict[str, Any]] = _read(HERE / file)
    if name not in known:
        raise DatachefError(f"{file} does not know {name!r}", "describe it there")
    return known[name]


def _read(path: Path) -> Any:
    found = document.read(path)
    if found.problems:
        raise RecipeError(found.problems)
    return found.data


def _write(path: Path, data: dict[str, Any]) -> None:
    path.write_text(document.dump(data), encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder with tasks.json")
    parser.add_argument("--folder", type=Path, required=True, help="a folder per task goes here")
    parser.add_argument("--tasks", default="", help="names with commas between; all by default")
    options = parser.parse_args()
    for name in options.tasks.split(",") if options.tasks else task_names(options.data):
        print(write_task(options.data, name, options.folder / name))


if __name__ == "__main__":
    try:
        main()
    except DatachefError as error:
        sys.exit(f"{error}\n{error.hint}".strip())
