"""A pool, and recipes of others that are bound to it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from datachef.core import Host, check_recipe, document
from datachef.core.contracts.recipe import VARIABLES
from datachef.core.recipe.checked import CheckResult, Findings, ResolvedRecipe
from datachef.core.recipe.resolving import resolve_recipe

POOL: dict[str, Any] = {
    "sources": {
        "web": {"path": "web.jsonl", "licence": "CC-BY-NC-4.0", "description": "Pages.",
                "take": 20, "max_failed": 0.0},
        "chat": {"path": "chat.jsonl", "format": {"prompt": "q", "completion": "a"}},
        "pool": {"path": "web.jsonl"},
    }
}  # fmt: skip
PLUGIN = '''
from typing import Literal
from pydantic import Field
from datachef.core import Filter, Operator, TextTransform, hookimpl


class WordList(Filter):
    """Drops words of a file."""

    op: Literal["word_list"] = "word_list"
    words: str = Field(description="The file.")

    def files(self):
        return (self.words,)

    def check(self, context):
        yield "words", open(self.words).read(), ""

    def signals(self):
        return {}

    def rules(self):
        return {}


class OwnWay(TextTransform):
    """Asks a model in a way of its own."""

    op: Literal["own_way"] = "own_way"

    def connect(self, services):
        services.llm("openai")
        return self

    def rewrite(self, text):
        return text


@hookimpl
def datachef_operators() -> list[type[Operator]]:
    return [WordList, OwnWay]
'''


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Host:
    plugin = tmp_path_factory.mktemp("plugins") / "third_party.py"
    plugin.write_text(PLUGIN)
    return Host((str(plugin),))


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A pool in `pool/`, a secret beside it, and `recipes/` for untrusted recipes."""
    for variable in VARIABLES.values():
        monkeypatch.delenv(variable, raising=False)
    (tmp_path / "pool").mkdir()
    (tmp_path / "recipes").mkdir()
    rows = {
        "pool/web.jsonl": [{"text": f"page {n}", "secret": "s"} for n in range(40)],
        "pool/chat.jsonl": [{"q": f"{n}?", "a": "yes"} for n in range(40)],
        "pool/bench.jsonl": [{"prompt": "q", "answer": "a"}],
        "recipes/bench.jsonl": [{"prompt": "q", "answer": "a"}],
        "secret.jsonl": [{"prompt": "my key", "answer": "123"}],
    }
    for name, lines in rows.items():
        (tmp_path / name).write_text("".join(json.dumps(line) + "\n" for line in lines))
    write_pool(tmp_path)
    return tmp_path


def write_pool(place: Path, **more: Any) -> None:
    (place / "pool" / "pool.yaml").write_text(document.dump({**POOL, **more}))


Bound = Callable[..., CheckResult]


@pytest.fixture
def bound(place: Path, host: Host) -> Bound:
    """Checks a recipe that lies in `recipes/`, bound to the pool."""

    def check(data: dict[str, Any] | str, **how: Any) -> CheckResult:
        path = place / "recipes" / "recipe.yaml"
        path.write_text(data if isinstance(data, str) else document.dump({"name": "x", **data}))
        return check_recipe(path, host, how.pop("pool", place / "pool" / "pool.yaml"), **how)

    return check


def resolved(place: Path, host: Host) -> ResolvedRecipe | None:
    """The recipe that was checked last, bound to the pool, whatever is wrong with it."""
    path = place / "recipes" / "recipe.yaml"
    findings = Findings(document.read(path))
    return resolve_recipe(findings, path.parent, host, pool=place / "pool" / "pool.yaml")


def told(result: CheckResult) -> list[tuple[str, str]]:
    return [(problem.code, problem.path) for problem in result.problems]
