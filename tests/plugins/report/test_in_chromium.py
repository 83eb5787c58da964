"""The page in a real browser: nothing complains, rows cannot run, thresholds move, and the rules of
accessibility hold."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import chromium
import pytest
from policy_folders import evolution_folder, training_folder

from datachef.core import FinishedRun, FolderReport, Host
from datachef.plugins.report.comparison import Comparison
from datachef.plugins.report.diff_page import diff_page
from datachef.plugins.report.page import page
from datachef.policy.reports.evolution import EvolutionReport
from datachef.policy.reports.training import TrainingReport

VOCABULARY = Host().vocabulary
BROWSER = chromium.found()
pytestmark = pytest.mark.skipif(
    BROWSER is None, reason="there is no Chromium here (Debian: apt-get install chromium)"
)
SLIDER = "document.querySelector('input[data-drops]')"


@pytest.fixture(scope="module")
def browser(web: FinishedRun, tmp_path_factory: pytest.TempPathFactory) -> Iterator[chromium.Page]:
    file = tmp_path_factory.mktemp("page") / "report.html"
    file.write_text(page(web, VOCABULARY), encoding="utf-8")
    assert BROWSER is not None
    with chromium.chromium(BROWSER) as opened:
        opened.open(file)
        yield opened


def test_nothing_complains_and_rows_do_not_run(browser: chromium.Page) -> None:
    browser.ask("document.querySelectorAll('details').forEach((each) => (each.open = true))")
    assert browser.ask("document.querySelectorAll('details').length") > 3
    assert browser.ask("window.attacked === undefined")
    assert browser.complaints == []


def test_thresholds_move_by_keyboard(browser: chromium.Page) -> None:
    said = f"{SLIDER}.closest('figure').querySelector('output').textContent"
    line = f"Number({SLIDER}.closest('figure').querySelector('.threshold').getAttribute('x1'))"
    before, place = browser.ask(said), browser.ask(line)
    browser.ask(f"{SLIDER}.focus()")
    browser.press("ArrowLeft")
    assert "than now" in browser.ask(said)
    assert browser.ask(line) < place
    at, drops = browser.ask(f"[{SLIDER}.value, {SLIDER}.dataset.drops]")
    assert f"drops {json.loads(drops)[int(at)]:,} row" in browser.ask(said)
    assert browser.ask(f"{SLIDER}.getAttribute('aria-valuetext')") == browser.ask(said)
    browser.press("ArrowRight")
    assert browser.ask(said) == before


@pytest.fixture(scope="module")
def axe(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("axe")
    npm = shutil.which("npm")
    if npm is None:
        pytest.skip("there is no npm here, which fetches the rules (axe-core)")
    packed = subprocess.run(
        [npm, "pack", "axe-core@4.14.1", "--silent"],
        cwd=folder,
        capture_output=True,
        timeout=120,
        check=False,
    )
    if packed.returncode:
        pytest.skip("npm cannot fetch axe-core here")
    shutil.unpack_archive(next(folder.glob("*.tgz")), folder)
    return (folder / "package" / "axe.min.js").read_text(encoding="utf-8")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_rules_of_accessibility_hold(browser: chromium.Page, axe: str, scheme: str) -> None:
    features = [{"name": "prefers-color-scheme", "value": scheme}]
    browser.call("Emulation.setEmulatedMedia", features=features)
    assert _violations(browser, axe) == []


def test_the_page_of_a_comparison_is_as_good(
    browser: chromium.Page, axe: str, web: FinishedRun, run_again: Callable[[str], FinishedRun],
    tmp_path: Path,
) -> None:  # fmt: skip
    other = run_again("sources.more.steps[0].min_chars=500")
    file = tmp_path / "diff.html"
    file.write_text(diff_page(Comparison.of(web, other, examples=3), "both"), encoding="utf-8")
    browser.open(file)
    assert browser.ask("document.querySelectorAll('ol.rows li').length") > 0
    assert browser.ask("window.attacked === undefined")
    assert _violations(browser, axe) == []
    assert browser.complaints == []


@pytest.mark.parametrize(
    ("make", "report"),
    [(training_folder, TrainingReport), (evolution_folder, EvolutionReport)],
    ids=["training", "evolution"],
)
def test_pages_of_trainings_and_evolutions_are_as_good(
    browser: chromium.Page, axe: str, tmp_path: Path, make: Callable[[Path], Path],
    report: type[FolderReport],
) -> None:  # fmt: skip
    file = tmp_path / "page.html"
    file.write_text(report(make(tmp_path / "made"), Host()).page(), encoding="utf-8")
    browser.open(file)
    browser.ask("document.querySelectorAll('details').forEach((each) => (each.open = true))")
    assert browser.ask("document.querySelectorAll('figure.chart path.line').length") > 2
    assert browser.ask("window.attacked === undefined")
    assert _violations(browser, axe) == []
    assert browser.complaints == []


def _violations(browser: chromium.Page, axe: str) -> list[list[str]]:
    browser.ask(f"{axe}; 0")
    found: list[list[str]] = browser.ask(
        "axe.run(document).then((told) => told.violations.map((each) => "
        "[each.id, each.impact, each.nodes[0].html]))"
    )
    return found
