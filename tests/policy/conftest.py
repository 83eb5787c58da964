from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import tiny_qwen

from datachef.policy.grammar import Grammar

EveryText = Callable[[Grammar], Iterator[tuple[int, ...]]]


@pytest.fixture(scope="session")
def every_text() -> EveryText:
    """All texts of a finite grammar, token by token."""

    def found(grammar: Grammar, start: tuple[int, ...] = ()) -> Iterator[tuple[int, ...]]:
        state, written = grammar.start(), list[int]()
        while len(written) < len(start):
            forced = state.forced()
            written += forced
            if not forced:
                state.advance(start[len(written)])
                written.append(start[len(written)])
        written += state.forced()
        if state.finished:
            yield tuple(written)
            return
        for token in state.allowed():
            yield from found(grammar, (*written, int(token)))

    return found


@pytest.fixture(scope="session")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Of a tiny Qwen3: byte-level BPE, so that there are many ways to spell a text."""
    from transformers import AutoTokenizer

    folder = tmp_path_factory.mktemp("tiny")
    tiny_qwen.make(folder)
    return AutoTokenizer.from_pretrained(folder)


@pytest.fixture
def small_pool(tmp_path: Path) -> Path:
    """A pool.yaml of two sources of documents."""
    for name in ("first", "second"):
        (tmp_path / f"{name}.jsonl").write_text(f'{{"text": "A page of the {name} source."}}\n' * 3)
    pool = tmp_path / "pool.yaml"
    pool.write_text("sources:\n  first: {path: first.jsonl}\n  second: {path: second.jsonl}\n")
    return pool
