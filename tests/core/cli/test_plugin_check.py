"""`chef plugins check` says of a package which contracts it keeps, whatever its code does."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from command import chef

SAMPLE = Path(__file__).parents[3] / "examples" / "plugin"
PYPROJECT = """
[project]
name = "odd-ones"
version = "2.1"
dependencies = ["datachef-core>=0.1"]
[project.entry-points.datachef]
odd = "odd_ones"
lost = "odd_ones_that_are_not_there"
"""
MODULE = """
import os
from typing import Literal
import polars as pl
from pydantic import Field
from datachef.core import Filter, RunError, TextTransform, hookimpl

class Ends(TextTransform):
    '''Ends the process.'''
    op: Literal["wild"] = "wild"

    def rewrite(self, text):
        os.kill(os.getpid(), 9)

class Ranks(Filter):
    '''Drops what is longer than most rows of the batch.'''
    op: Literal["ranks"] = "ranks"
    share: float = Field(description="How many.", examples=[0.5])

    def signals(self):
        length = pl.col("text").str.len_chars()
        return {"rank": length.rank() / length.len()}

    def rules(self):
        return {"long": pl.col("rank") > self.share}

class Unfit(TextTransform):
    '''Needs a word.'''
    op: Literal["unfit"] = "unfit"
    word: str = Field(description="The word.")

    def rewrite(self, text):
        return text

def silent(corpus):
    return 1.0

@hookimpl
def datachef_operators():
    return CLASSES

@hookimpl
def datachef_features():
    return {"silent": silent}
"""


def _package(folder: Path, classes: str) -> Path:
    (folder / "pyproject.toml").write_text(PYPROJECT)
    (folder / "odd_ones.py").write_text(MODULE.replace("CLASSES", classes))
    return folder


def _verdict(package: object, code: int, **variables: str) -> dict[str, Any]:
    done = chef("plugins", "check", package, "--json", **variables)
    assert done.returncode == code, done.stderr
    assert "running the code of" in done.stderr
    verdict: dict[str, Any] = json.loads(done.stdout)["result"]
    return verdict


def _states(verdict: dict[str, Any]) -> dict[tuple[str, str], tuple[str, str]]:
    return {(one["name"], one["check"]): (one["state"], one["said"]) for one in verdict["checks"]}


def test_the_sample_package_keeps_every_contract() -> None:
    verdict = _verdict(SAMPLE, 0)
    assert (verdict["package"], verdict["requires"]) == ("datachef-sample", "datachef-core")
    assert {one["state"] for one in verdict["checks"]} == {"passed"}
    assert ("shouting_filter", "ledger balances") in _states(verdict)


def test_each_broken_promise_is_told_with_what_keeps_it(tmp_path: Path) -> None:
    verdict = _verdict(_package(tmp_path, "[Ranks, Unfit]"), 3)
    states = _states(verdict)
    assert states["odd", "loads"] == ("passed", "")
    assert "No module named" in states["lost", "loads"][1]
    assert states["ranks", "numbers are bounded"] == (
        "failed", "share has no bounds: give it ge= and le="
    )  # fmt: skip
    assert "CorpusOperator" in states["ranks", "does not depend on batches"][1]
    assert states["unfit", "contract"][1].startswith("word has no default: give it examples")
    assert states["silent", "says what it is"] == ("failed", "")
    assert all(one["advice"] for one in verdict["checks"] if one["state"] == "failed")


def test_what_ends_the_process_is_named(tmp_path: Path) -> None:
    shown = chef("plugins", "check", _package(tmp_path, "[Ends, Unfit]"))
    assert shown.returncode == 3
    assert "-   operator unfit: not tried: word has no default" in shown.stdout
    ended = r"!!  operator wild: [a-z ]+: it ends the process: it was killed"
    assert re.search(ended, shown.stdout), shown.stdout
    assert "checks failed" in shown.stdout


def test_what_does_not_come_to_an_end_is_named() -> None:
    (only,) = _verdict(SAMPLE, 3, DATACHEF_PLUGIN_SECONDS="0.001")["checks"]
    assert only["said"] == "it does not come to an end (0.001 s)"


def test_what_is_no_package_is_told(tmp_path: Path) -> None:
    no_folder = chef("plugins", "check", "datachef-cor")
    assert (no_folder.returncode, "did you mean datachef-core?" in no_folder.stderr) == (1, True)
    empty = chef("plugins", "check", tmp_path)
    assert "chef new plugin NAME writes one" in empty.stderr


def test_the_catalogue_of_the_documentation_is_made_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(SAMPLE.parents[1] / "docs")
    import catalogue

    entry = catalogue.entry_of("examples/plugin")
    assert (entry["package"], entry["operators"]) == ("datachef-sample", ["shouting_filter"])
    assert (entry["checks"]["passed"] > 10, entry["checks"]["failed"]) == (True, 0)
    catalogue.write([entry], tmp_path)
    assert json.loads((tmp_path / "plugins.json").read_text()) == [entry]
    assert "| datachef-sample 0.3.0 | datachef-core | 1 |" in (tmp_path / "plugins.md").read_text()
