"""Finished runs to report on: web pages through filters, and conversations for fine-tuning."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from datachef.core import FinishedRun, Host, document, run_recipe

ATTACK = "</p><script>window.attacked = 1</script><img src=x onerror='window.attacked=1'>\u202e"
# Words of which some are the stop words that prose has.
TEXT = """the of and to that have with be a river bank slowly carries stones down into valleys
where people built their houses"""
HOST = Host()


def run(folder: Path, recipe: dict[str, Any], name: str = "corpus", *overrides: str) -> FinishedRun:
    """A recipe run in a folder that holds the files of its sources."""
    (folder / "recipe.yaml").write_text(document.dump({"name": "test", **recipe}))
    run_recipe(
        folder / "recipe.yaml", folder / name, host=HOST, engine="inline", workers=1,
        overrides=overrides, cache=folder / "cache",
    )  # fmt: skip
    return FinishedRun.open(folder / name)


def _pages(count: int) -> list[str]:
    chance = random.Random(5)
    texts = [" ".join(chance.choices(TEXT.split(), k=chance.randint(5, 200))) for _ in range(count)]
    texts += [f"  {text}\u00e2\u0080\u0099s  " for text in texts[:10]]
    texts += texts[20:40] + [f"{ATTACK} {text} {ATTACK}" for text in texts[40:60]] + [ATTACK]
    return texts


WEB = {
    "description": ATTACK,
    "sources": {
        "web": {
            "path": "web.jsonl",
            "licence": ATTACK,
            "max_failed": 0.5,
            "steps": [
                {"op": "fix_unicode"},
                {"op": "gopher_quality_filter"},
                {"op": "exact_dedup"},
            ],
        },
        "more": {"path": "more.jsonl", "steps": [{"op": "length_filter", "min_chars": 300}]},
    },
    "mix": {"op": "weighted_mix", "weights": {"web": 3, "more": 1}, "budget": {"rows": 120}},
}


@pytest.fixture(scope="package")
def web_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("web")
    lines = [json.dumps({"text": text}) for text in _pages(300)]
    (folder / "web.jsonl").write_text("\n".join([*lines, '{"text": "cut ' + ATTACK]))
    (folder / "more.jsonl").write_text("\n".join(lines[::5]))
    return folder


@pytest.fixture(scope="package")
def web(web_folder: Path) -> FinishedRun:
    return run(web_folder, WEB)


@pytest.fixture(scope="package")
def run_again(web_folder: Path) -> Callable[[str], FinishedRun]:
    """The same recipe with another value somewhere."""
    return lambda override: run(web_folder, WEB, "again", override)


@pytest.fixture(scope="package")
def conversations(tmp_path_factory: pytest.TempPathFactory) -> FinishedRun:
    folder = tmp_path_factory.mktemp("sft")
    rows = [{"question": f"What is {n} + {n}? {ATTACK}", "answer": str(n + n)} for n in range(40)]
    rows += [{"question": "Why?", "answer": "I'm sorry, but I cannot help with that."}] * 3
    (folder / "sft.jsonl").write_text("\n".join(map(json.dumps, rows)))
    return run(
        folder,
        {
            "sources": {
                "sft": {
                    "path": "sft.jsonl",
                    "format": {"prompt": "question", "completion": "answer"},
                    "steps": [{"op": "refusal_filter"}, {"op": "exact_dedup"}],
                }
            },
            "output": {"schema": "messages", "format": "jsonl"},
        },
    )
