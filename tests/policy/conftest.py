from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture(scope="session")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Of a tiny Qwen3: byte-level BPE, so that there are many ways to spell a text."""
    from transformers import AutoTokenizer

    folder = tmp_path_factory.mktemp("tiny")
    maker = Path(__file__).parent.parent / "tiny_qwen.py"
    subprocess.run([sys.executable, str(maker), str(folder)], check=True, capture_output=True)
    return AutoTokenizer.from_pretrained(folder)


@pytest.fixture
def small_pool(tmp_path: Path) -> Path:
    """A pool.yaml of two sources of documents."""
    for name in ("first", "second"):
        (tmp_path / f"{name}.jsonl").write_text(f'{{"text": "A page of the {name} source."}}\n' * 3)
    pool = tmp_path / "pool.yaml"
    pool.write_text("sources:\n  first: {path: first.jsonl}\n  second: {path: second.jsonl}\n")
    return pool
