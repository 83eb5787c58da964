"""Makes the raw sources of the quickstart, as untidy as real ones, in `data/` beside this file.

`pages.jsonl`: documentation of this Python's standard library, with copies, near copies, spam,
addresses and broken lines among it. `problems.jsonl`: word problems with worked answers, some of
them taken from the test set, in disguise. `problems.test.jsonl`: that test set.
"""

from __future__ import annotations

import importlib
import inspect
import json
import random
from pathlib import Path
from typing import Any

MODULES = [
    "argparse",
    "asyncio",
    "collections",
    "concurrent.futures",
    "contextlib",
    "csv",
    "datetime",
    "decimal",
    "difflib",
    "email",
    "enum",
    "fractions",
    "functools",
    "heapq",
    "http.client",
    "inspect",
    "itertools",
    "json",
    "logging",
    "math",
    "multiprocessing",
    "optparse",
    "os",
    "os.path",
    "pathlib",
    "pickle",
    "random",
    "re",
    "shutil",
    "socket",
    "sqlite3",
    "ssl",
    "statistics",
    "string",
    "subprocess",
    "tarfile",
    "tempfile",
    "textwrap",
    "threading",
    "tokenize",
    "traceback",
    "turtle",
    "unittest",
    "urllib.parse",
    "urllib.request",
    "uuid",
    "weakref",
    "zipfile",
]
SPAM = "CLICK HERE!!! WIN $$$ NOW!!! " * 20
NAMES = ("Ana", "Ben", "Chidi", "Dara", "Emre", "Fumi", "Gita", "Hugo")
THINGS = ("apples", "pencils", "marbles", "stamps", "tickets", "shells")


def documented(module_name: str) -> list[str]:
    """The longer docstrings of a module and of what it defines."""
    module = importlib.import_module(module_name)
    members = [member for _, member in inspect.getmembers(module) if hasattr(member, "__doc__")]
    inner = [m for c in members if inspect.isclass(c) for m in vars(c).values() if callable(m)]
    docs = {inspect.getdoc(thing) or "" for thing in [module, *members, *inner]}
    return sorted(doc for doc in docs if len(doc.split()) >= 40)


def pages(chance: random.Random) -> list[bytes]:
    """Lines of JSON, and some that are none."""
    texts = sorted({text for name in MODULES for text in documented(name)})
    texts += chance.sample(texts, 60)
    texts += [
        text + "\n\nLast edited by jane.doe@example.org." for text in chance.sample(texts, 40)
    ]
    texts += [SPAM] * 15
    chance.shuffle(texts)
    lines = [json.dumps({"url": f"doc/{i}", "text": text}).encode() for i, text in enumerate(texts)]
    lines[100] = b'{"url": "doc/100", "text": "cut off in the mid'
    lines[200] = b'{"url": "doc/200", "text": "not UTF-8: \xe9\xe8"}'
    return lines


def problem(chance: random.Random) -> dict[str, str]:
    """One word problem with its worked answer."""
    name, friend = chance.sample(NAMES, 2)
    thing = chance.choice(THINGS)
    boxes, each, gift = chance.randint(2, 30), chance.randint(2, 40), chance.randint(1, 60)
    total = boxes * each
    question = (
        f"{name} has {boxes} boxes with {each} {thing} in each of them. {friend} brings {gift} "
        f"more {thing} to the party. How many {thing} do they have together in the end?"
    )
    answer = (
        f"{boxes} boxes with {each} {thing} are {boxes} * {each} = {total} {thing}. "
        f"With the {gift} that {friend} brings they have {total} + {gift} = {total + gift}.\n"
        f"#### {total + gift}"
    )
    return {"question": question, "answer": answer}


def write(path: Path, rows: list[Any]) -> None:
    """Writes rows as lines; bytes as they are, everything else as JSON."""
    lines = [row if isinstance(row, bytes) else json.dumps(row).encode() for row in rows]
    path.write_bytes(b"\n".join(lines) + b"\n")
    print(f"{path.name}: {len(lines):,} lines")


def main() -> None:
    chance = random.Random(0)
    folder = Path(__file__).parent / "data"
    folder.mkdir(exist_ok=True)
    write(folder / "pages.jsonl", pages(chance))
    test = [problem(chance) for _ in range(50)]
    planted = [
        {"question": row["question"].upper().replace(" ", "  "), "answer": row["answer"]}
        for row in test[:20]
    ]
    problems = [problem(chance) for _ in range(800)] + planted
    chance.shuffle(problems)
    write(folder / "problems.jsonl", problems)
    write(folder / "problems.test.jsonl", test)


if __name__ == "__main__":
    main()
