from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from datachef.core import Services, Task
from datachef.plugins.openai_backend import OpenAIBackend
from datachef.reward.verifier import Judge, Verifier


@pytest.fixture
def services(llm_server: Any, tmp_path: Path) -> Services:
    """The scripted server under two names, its answers remembered in the folder of the test."""

    def build() -> OpenAIBackend:
        return OpenAIBackend(llm_server.url)

    return Services({"openai": build, "second": build}, tmp_path / "llm")


@pytest.fixture
def make_task() -> Callable[..., Task]:
    def make(**fields: Any) -> Task:
        return Task.model_validate({"name": "t", "benchmark": {"path": "unread.jsonl"}} | fields)

    return make


@pytest.fixture
def make_verifier(services: Services, make_task: Callable[..., Task]) -> Callable[..., Verifier]:
    """A verifier with one judge, or with the models that are named, and no checkers."""

    def make(*models: str, task: Task | None = None, **options: Any) -> Verifier:
        judges = [Judge(model=model) for model in models or ("tiny",)]
        options = {"checkers": ()} | options
        return Verifier(judges, services, task or make_task(), **options)

    return make


@pytest.fixture
def make_rows() -> Callable[..., pl.DataFrame]:
    """Documents of one source, or of several that are named, each with what its rows weigh."""

    def make(*texts: str, weights: dict[str, float] | None = None, **sources: Any) -> pl.DataFrame:
        named = {"s": list(texts)} | sources if texts else sources
        weigh = weights or {}
        return pl.DataFrame(
            [
                {"id": f"{name}-{n}", "source": name, "text": text, "weight": weigh.get(name, 1.0)}
                for name, several in named.items()
                for n, text in enumerate(several)
            ]
        )

    return make


@pytest.fixture
def grading() -> Callable[[str], str]:
    """Answers with the class that the row names first, so that a row decides what is said of it."""

    def answer(prompt: str) -> str:
        word = prompt.partition(" the row begins\n")[2].split(maxsplit=1)[0]
        return json.dumps({"reasoning": f"it says {word}", "class": word})

    return answer
