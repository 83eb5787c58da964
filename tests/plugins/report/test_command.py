"""`chef report`: in the terminal, as JSON, as a page, and what it says of a folder that is none."""

from __future__ import annotations

import json
from pathlib import Path

from command import chef

from datachef.core import FinishedRun
from datachef.core.pages.rendering import MARK


def test_the_ledger_in_the_terminal_and_as_json(web: FinishedRun) -> None:
    shown = chef("report", web.folder).stdout
    assert "gopher_quality_filter" in shown
    assert "dropped: too_few_words" in shown
    assert "share of rows" in shown
    printed = json.loads(chef("report", web.folder, "--json").stdout)
    assert printed["result"] == list(web.ledger_data)


def test_a_page_takes_the_place_of_a_page_and_of_nothing_else(
    web: FinishedRun, tmp_path: Path
) -> None:
    for _ in range(2):
        done = chef("report", web.folder, "--html", "page.html", folder=tmp_path)
        assert (done.returncode, done.stdout, done.stderr) == (0, "page.html\n", "")
    assert (tmp_path / "page.html").read_text(encoding="utf-8").startswith(MARK)
    (tmp_path / "mine.html").write_text("<p>mine</p>")
    refused = chef("report", web.folder, "--html", "mine.html", folder=tmp_path)
    assert refused.returncode == 1
    assert "error: mine.html exists and is not a page of datachef" in refused.stderr
    assert (tmp_path / "mine.html").read_text() == "<p>mine</p>"


def test_what_is_no_run_is_an_error_for_people(web: FinishedRun, tmp_path: Path) -> None:
    done = chef("report", tmp_path, "--html", tmp_path / "page.html")
    assert done.returncode == 1
    assert "holds no ledger" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "page.html").exists()
