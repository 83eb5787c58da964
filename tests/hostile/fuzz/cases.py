"""Random recipes over random dirty files, and what a user may change between two runs."""

from __future__ import annotations

import random
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dirty_files import WRITERS, SourceFile, drawn_files, drawn_text, ranked

from datachef.core import document


@dataclass
class Case:
    """A recipe with the files that it reads."""

    number: int
    recipe: dict[str, Any]
    files: dict[str, list[SourceFile]]
    output_format: str
    engine: str
    workers: int
    keys: Iterator[int]

    def write(self, folder: Path) -> Path:
        for name, files in self.files.items():
            target = folder / name
            shutil.rmtree(target, ignore_errors=True)
            target.mkdir()
            for file in files:
                (target / file.name).write_bytes(file.body)
        path = folder / "recipe.yaml"
        path.write_text(document.dump(self.recipe), encoding="utf-8")
        return path


def drawn_case(seed: int, number: int) -> Case:
    """The case of a number; the same for the same seed."""
    dice = random.Random(f"{seed}/{number}")
    keys = iter(range(1, 10**9))
    names = ["one", "two", "three"][: dice.choice([1, 2, 2, 3])]
    files = {name: drawn_files(dice, keys) for name in names}
    recipe: dict[str, Any] = {
        "name": "fuzz",
        "seed": dice.randrange(1000),
        "sources": {},
        "rejects": {"keep": "all"},
    }
    for name in names:
        source: dict[str, Any] = {
            "path": f"{name}/*",
            "format": {"text": "body"},
            "max_failed": 1.0,
        }
        if files[name][0].name.endswith((".txt", ".txt.gz")):
            source |= {"rows": "line", "format": {"text": "text"}}
        if dice.random() < 0.2:
            source["take"] = dice.choice([5, 40, 40])
        source["steps"] = drawn_steps(dice, ranked(files[name]))
        recipe["sources"][name] = source
    if dice.random() < 0.35:
        recipe["mix"] = drawn_mix(dice, names)
    recipe["steps"] = drawn_steps(dice, by_rank=False)
    output_format = dice.choice(["parquet", "jsonl"])
    recipe["output"] = {"format": output_format, "columns": ["key"]}
    if dice.random() < 0.3:
        recipe["output"]["shard_bytes"] = dice.choice([1_000, 20_000])
    if all(files[name][0].name.endswith((".txt", ".txt.gz")) for name in names):
        del recipe["output"]["columns"]
    engine, workers = dice.choice([("inline", 1)] * 9 + [("local", 2), ("local", 3)])
    return Case(number, recipe, files, output_format, engine, workers, keys)


def drawn_steps(dice: random.Random, by_rank: bool) -> list[dict[str, Any]]:
    known = [
        {"op": "length_filter", "min_chars": dice.choice([1, 10, 20]),
         "max_chars": dice.choice([0, 200])},
        {"op": "regex_filter", "patterns": [dice.choice(["water", "größer", "[0-4]$", "e"])],
         "action": dice.choice(["keep", "drop"])},
        {"op": "exact_dedup"},
        {"op": "sample", "rows": dice.choice([7, 30, 100])},
    ]  # fmt: skip
    if by_rank:
        known.append(
            {"op": "top_selection", "by": "rank", "rows": dice.choice([2, 10]),
             "order": dice.choice(["ascending", "descending"])}
        )  # fmt: skip
    free = [
        {"op": "minhash_dedup"}, {"op": "gopher_repetition_filter"}, {"op": "c4_quality_filter"},
        {"op": "gopher_quality_filter", "min_words": 3}, {"op": "fineweb_quality_filter"},
        {"op": "fix_unicode"}, {"op": "clean_c4_lines"}, {"op": "redact_personal_data"},
    ]  # fmt: skip
    count = dice.choice([0, 1, 1, 2, 3])
    return [dice.choice(known if dice.random() < 0.75 else free) for _ in range(count)]


def drawn_mix(dice: random.Random, names: list[str]) -> dict[str, Any]:
    mix: dict[str, Any] = {
        "op": "weighted_mix",
        "weights": {name: dice.choice([1, 2, 5]) for name in names},
        "max_epochs": dice.choice([1, 2, 4]),
        "shortage": dice.choice(["stop", "redistribute"]),
    }
    if dice.random() < 0.7:
        mix["budget"] = {"rows": dice.choice([4, 20, 500])}
    return mix


def changed(case: Case, dice: random.Random) -> Case:
    """The case with something else in it, as a user edits recipe or data between two runs."""
    name = dice.choice(list(case.files))
    source = case.recipe["sources"][name]
    match dice.choice(["file", "steps", "more steps", "seed", "nothing"]):
        case "file":
            old = dice.choice(case.files[name])
            kind = old.name.split(".")[1]
            texts = [drawn_text(dice) for _ in range(dice.choice([2, 20]))]
            new = WRITERS[kind](dice, old.name.split(".")[0], texts, case.keys)
            case.files[name] = [new if file is old else file for file in case.files[name]]
        case "steps":
            source["steps"] = drawn_steps(dice, ranked(case.files[name]))
        case "more steps":
            source["steps"] = [*source["steps"], *drawn_steps(dice, ranked(case.files[name]))]
        case "seed":
            case.recipe["seed"] += 1
        case "nothing":
            case.engine, case.workers = "inline", 1
    return case
