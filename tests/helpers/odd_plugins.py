"""Plugin files that are odd, and what a host says of them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from datachef.core import Host
from datachef.core.registry.host import Plugin

HEAD = """
import contextlib, os, sys, warnings, logging
from abc import abstractmethod
from typing import Any, Literal
import polars as pl
from pydantic import ConfigDict, Field
from datachef.core import (Context, CorpusOperator, Filter, MixOperator, Operator, Problem,
                           TextTransform, Transform, hookimpl)
from datachef.core import RunObserver
from datachef.core import Source

class Good(TextTransform):
    \"\"\"Does nothing.\"\"\"
    op: Literal["good"] = "good"
    def rewrite(self, text):
        return text

class Size(Filter):
    \"\"\"Measures.\"\"\"
    def signals(self):
        return {"size": pl.col("text").str.len_chars()}
    def rules(self):
        return {"small": pl.col("size") < 3}
"""

OPERATORS = """
@hookimpl
def datachef_operators():
    return [Good, {}]
"""

Write = Callable[[str], str]


@pytest.fixture
def write_plugin(tmp_path: Path) -> Write:
    def put(code: str) -> str:
        path = tmp_path / "odd.py"
        path.write_text(HEAD + code)
        return str(path)

    return put


def examined(*files: str) -> tuple[Host, Plugin]:
    """A host with our sources and these files, and what it says of the last one."""
    host = Host(files, only={"sources", "engines"})
    host.examine()
    assert [p.name for p in host.broken if p.package == "datachef-core"] == []
    assert host.vocabulary.source_keys == ("hf", "path")
    assert set(host.named("datachef_engines")) >= {"inline", "local"}
    return host, host.plugins[-1]
