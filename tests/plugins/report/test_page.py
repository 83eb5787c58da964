"""The page of a run: its numbers are those of the ledger, and what stands in rows stays text."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import lxml.html
import polars as pl
import pytest

from datachef.core import FinishedRun, Host
from datachef.plugins.report import page as page_module
from datachef.plugins.report.histograms import BARS, WIDTH
from datachef.plugins.report.page import MOST_BYTES, page
from datachef.plugins.report.samples import differences

VOCABULARY = Host().vocabulary


def _parsed(run: FinishedRun) -> Any:
    return lxml.html.document_fromstring(page(run, VOCABULARY).removeprefix("<!doctype html>\n"))


def _number(element: Any) -> int:
    text = re.sub(r"[^\d]", "", element.text_content())
    return int(text or 0)


@pytest.mark.parametrize("name", ["web", "conversations"])
def test_every_number_is_that_of_the_ledger(name: str, request: pytest.FixtureRequest) -> None:
    run: FinishedRun = request.getfixturevalue(name)
    shown = _parsed(run)
    rows = shown.xpath("//table[@id='ledger']/tbody/tr")
    assert [row.get("data-path") for row in rows] == [entry.path for entry in run.ledger]
    for row, entry in zip(rows, run.ledger, strict=True):
        for field in ("rows_in", "rows_out", "tokens"):
            assert _number(row.xpath(f".//td[@data-is='{field}']")[0]) == getattr(entry, field)
        for kind in ("dropped", "failed", "counted"):
            told = {
                item.get("data-reason"): _number(item.xpath(".//span[1]")[0])
                for item in row.xpath(f".//li[@data-is='{kind}']")
            }
            assert told == getattr(entry, kind)
        created = row.xpath(".//li[@data-is='created']")
        assert sum(map(_number, (item.xpath(".//span[1]")[0] for item in created))) == entry.created
    for share in run.shares:
        (row,) = shown.xpath(f"//table[@id='shares']//tr[@data-source='{share.source}']")
        cells = {cell.get("data-is"): cell.text_content() for cell in row.xpath("td[@data-is]")}
        assert cells["rows"] == f"{share.rows:,}"
        assert cells["tokens"] == f"{share.tokens:,}"
        assert cells["share"] == f"{share.share:.1%}"
        assert cells["asked"] == ("" if share.asked is None else f"{share.asked:.1%}")
    summaries = {
        (group.get("data-path"), group.get("data-reason")): _number(
            group.xpath("summary/span[2]")[0]
        )
        for group in shown.xpath("//section[@id='rejected']/details")
    }
    assert summaries == {
        (entry.path, reason): count
        for entry in run.ledger
        for reason, count in (*entry.dropped.items(), *entry.failed.items())
    }


def test_thresholds_drop_what_the_ledger_says_and_what_another_run_would(
    web: FinishedRun, run_again: Callable[[str], FinishedRun]
) -> None:
    sliders = _parsed(web).xpath("//input[@data-drops]")
    assert sliders
    for slider in sliders:
        (told,) = slider.xpath("ancestor::figure//p[@data-step]")
        drops = json.loads(slider.get("data-drops"))
        entry = web.ledger[told.get("data-step")]
        assert drops[int(slider.get("value"))] == entry.dropped.total()
        assert int(slider.get("data-rows")) == entry.rows_in - entry.failed.total()
    filter_path = "sources.web.steps[1]"
    (slider,) = (
        each
        for each in sliders
        if each.xpath("ancestor::figure//p[@data-reason='too_few_words']")
        and each.xpath(f"ancestor::figure//p[@data-step='{filter_path}']")
    )
    values = [int(value.replace(",", "")) for value in json.loads(slider.get("data-values"))]
    tried = values[3 * len(values) // 4]
    other = run_again(f"{filter_path}.min_words={tried}")
    assert other.recipe["sources"]["web"]["steps"][1]["min_words"] == tried
    expected = other.ledger[filter_path].dropped.total()
    assert expected > web.ledger[filter_path].dropped.total()
    assert json.loads(slider.get("data-drops"))[values.index(tried)] == expected


def test_a_threshold_stands_between_the_bars_that_it_parts(conversations: FinishedRun) -> None:
    (slider,) = _parsed(conversations).xpath("//p[@data-reason='refusal']/../div/input")
    at = int(slider.get("value"))
    drops, positions = (json.loads(slider.get(f"data-{name}")) for name in ("drops", "positions"))
    # of two values the first, in the first bar, is kept, and the second, in the last one, is not
    assert (drops[at], positions[at]) == (3, round(WIDTH / BARS, 1))
    assert (drops[at + 1], positions[at + 1]) == (3, round(WIDTH - WIDTH / BARS, 1))


@pytest.mark.parametrize("name", ["web", "conversations"])
def test_what_stands_in_rows_stays_text(name: str, request: pytest.FixtureRequest) -> None:
    run: FinishedRun = request.getfixturevalue(name)
    shown = _parsed(run)
    (script,) = shown.xpath("//script")
    assert script.get("src") is None
    digest = base64.b64encode(hashlib.sha256(script.text.encode()).digest()).decode()
    (policy,) = shown.xpath("//meta[@http-equiv='Content-Security-Policy']/@content")
    assert policy.startswith("default-src 'none'; ")
    assert f"script-src 'sha256-{digest}'" in policy
    assert "unsafe" not in policy
    assert not shown.xpath("//img | //iframe | //link | //object | //@style | //@src")
    assert not [name for name in shown.xpath("//@*") if name.attrname.startswith("on")]
    assert not [link for link in shown.xpath("//@href") if not link.startswith("#")]
    assert "window.attacked = 1" in shown.text_content()
    assert "\u202e" not in shown.text_content()


def test_samples_say_why_and_changes_are_marked(web: FinishedRun) -> None:
    shown = _parsed(web)
    (few,) = shown.xpath(
        "//details[@data-reason='too_few_words'][@data-path='sources.web.steps[1]']"
    )
    words = few.xpath(".//dl[@class='signals']/div[dt='gopher_words']/dd")
    assert words
    assert all(_number(value) < 50 for value in words)
    (number,) = shown.xpath("//td[@data-is='copies'][@data-path='sources.web.steps[2]']")
    assert _number(number) == web.ledger["sources.web.steps[2]"].dropped.total() > 10
    (copies,) = shown.xpath("//details[@data-path='sources.web.steps[2]']")
    assert "a copy of web/web.jsonl:" in copies.text_content()
    (unread,) = shown.xpath("//details[@data-reason='not_json']")
    assert "web.jsonl line 352" in unread.text_content()
    (fixed,) = shown.xpath("//section[@id='changed']/details[@data-path='sources.web.steps[0]']")
    assert "10 of 351 rows changed" in fixed.text_content()
    assert fixed.xpath(".//del")
    assert fixed.xpath(".//ins") == [] or fixed.xpath(".//ins")[0].text
    assert differences("a bold move", "a new move") == [
        ("same", "a "), ("gone", "bold"), ("new", "new"), ("same", " move"),
    ]  # fmt: skip


def test_a_page_stays_small_however_much_there_is_to_tell(
    web: FinishedRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(web.folder, tmp_path / "large")
    ledger, manifest = (
        json.loads((web.folder / f"{name}.json").read_bytes()) for name in ("ledger", "manifest")
    )
    steps = [entry for entry in ledger if entry["path"].startswith("sources.web.")]
    for number in range(15):
        entry = steps[1] | {"path": f"sources.web.steps[{number + 3}]"}
        entry["dropped"] = {f"reason_{n}": 10 for n in range(40)}
        ledger.insert(4, entry)
    manifest["inputs"]["web"]["partitions"] *= 20_000
    manifest["outputs"] += [{**manifest["outputs"][0], "rows": 0}] * 5_000
    (tmp_path / "large" / "ledger.json").write_text(json.dumps(ledger))
    (tmp_path / "large" / "manifest.json").write_text(json.dumps(manifest))
    signals, thresholds = web.signals, web.thresholds
    filters = [f"sources.web.steps[{number + 3}]" for number in range(15)]
    own = pl.col("step") == "sources.web.steps[1]"
    for name, table in (("signals", signals), ("thresholds", thresholds)):
        more = [table.filter(own).with_columns(step=pl.lit(path)) for path in filters]
        pl.concat([table, *more]).write_parquet(tmp_path / "large" / "signals" / f"{name}.parquet")
    one = web.rejects.head(1).with_columns(text=pl.lit("<&>" * 1000))
    rejects = [
        one.with_columns(step=pl.lit(path), outcome=pl.lit("dropped"), reason=pl.lit(f"reason_{n}"))
        for path in filters for n in range(40)
    ]  # fmt: skip
    pl.concat(rejects * 5).write_parquet(tmp_path / "large" / "rejects" / "rejects.parquet")
    large = FinishedRun.open(tmp_path / "large")
    for most, left_out in ((MOST_BYTES, False), (450_000, True)):
        monkeypatch.setattr(page_module, "MOST_BYTES", most)
        made = page(large, VOCABULARY)
        assert len(made.encode()) <= most
        assert "reason_39" in made
        assert ("There is too much to tell for one page" in made) == left_out


def test_a_run_that_keeps_nothing_to_look_at_has_a_page_too(
    web: FinishedRun, run_again: Callable[[str], FinishedRun]
) -> None:
    run = run_again("rejects.keep=none")
    assert run.signals.height == run.changes.height == run.rejects.height == 0
    shown = _parsed(run)
    assert not shown.xpath("//section[@id='filters'] | //section[@id='changed']")
    assert "None of them was kept to look at." in shown.text_content()
    assert _number(shown.xpath("//dd[@id='rows-out']")[0]) == web.ledger["output"].rows_out
