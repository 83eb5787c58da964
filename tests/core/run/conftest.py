from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from conversations import written

from datachef.core import Host

__all__ = ["written"]


@pytest.fixture(scope="session")
def crashing_operators() -> str:
    return str(Path(__file__).parent / "crashing_operators.py")


@pytest.fixture
def host(crashing_operators: str) -> Host:
    return Host([crashing_operators])


@pytest.fixture
def write_rows(tmp_path: Path) -> Callable[..., Path]:
    """Writes texts as JSON lines into a file below tmp_path, and returns its path."""

    def write(name: str, texts: list[str]) -> Path:
        path = tmp_path / name
        lines = [json.dumps({"text": text}) + "\n" for text in texts]
        path.write_text("".join(lines), encoding="utf-8")
        return path

    return write


@pytest.fixture
def corpus_bytes() -> Callable[[Path], dict[str, str]]:
    """The digest of every file of a corpus, by its path within, but of the one with the times."""

    def digests(folder: Path) -> dict[str, str]:
        return {
            str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in sorted(folder.rglob("*"))
            if path.is_file() and path.name != "effort.json"
        }

    return digests
