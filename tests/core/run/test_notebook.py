"""What `run_recipe` returns is looked at in a notebook, as tables of polars and of `datasets`."""

from __future__ import annotations

import sys
from collections.abc import Callable
from html import unescape
from pathlib import Path
from typing import Any

import pytest

from datachef.core import Host, MissingPackageError
from datachef.core.run import notebook

MakeCorpus = Callable[..., Any]
BROKEN_PAGE = """
from datachef.core import FolderReport, hookimpl

class Mine(FolderReport):
    data = printed = None

    def page(self):
        raise ValueError("no <page>")

@hookimpl
def datachef_reports():
    return {"corpus": Mine}
"""


@pytest.fixture
def made(make_corpus: MakeCorpus, tmp_path: Path) -> Any:
    """A corpus of two rows, and a line that was rejected."""
    (tmp_path / "rows.jsonl").write_text('{"text": "one"}\n{"text": "two"}\n{"text": <b>}\n')
    return make_corpus({"s": {"path": "rows.jsonl", "max_failed": 0.5}})


def test_tables_of_polars_and_of_datasets_hold_the_same(made: Any) -> None:
    pytest.importorskip("datasets")
    report = made.report
    assert report.corpus.collect()["text"].to_list() == ["one", "two"]
    assert report.dataset()["text"][:] == ["one", "two"]
    assert (
        report.rejects["reason"].to_list() == report.dataset("rejects")["reason"][:] == ["not_json"]
    )
    tokens = report.signals.filter(step="output", signal="tokens")
    assert tokens["rows"].sum() == 2
    assert len(report.dataset("signals")) == report.signals.height


def test_datasets_that_are_missing_are_named(made: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(MissingPackageError, match="datasets") as caught:
        made.report.dataset()
    assert caught.value.hint.startswith("pip install")


def test_a_notebook_shows_the_page_of_a_plugin_in_a_frame(
    made: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATACHEF_PLUGINS", "report")
    shown = made.report._repr_html_()
    assert shown.startswith('<iframe sandbox="allow-scripts"')
    assert "<!doctype html>" in unescape(shown)
    assert shown.count("<") == 2, "the page is escaped"


def test_without_a_page_it_shows_the_ledger(
    made: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown = made.report._repr_html_()
    assert shown.startswith("<table>")
    assert "<td>sources.s</td><td>read</td><td>3</td><td>2</td><td>not_json 1</td>" in shown
    (tmp_path / "broken.py").write_text(BROKEN_PAGE)
    host = Host([str(tmp_path / "broken.py")])
    monkeypatch.setattr(notebook, "installed", lambda: host)
    shown = made.report._repr_html_()
    assert "the page broke: ValueError: no &lt;page&gt;" in shown
    assert "<table>" in shown
