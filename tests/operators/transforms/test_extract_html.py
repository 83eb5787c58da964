"""Text of real web pages, by both extractors."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from datachef.core import run_recipe
from datachef.operators.transforms.extract_html import ExtractHTML

pytest.importorskip("trafilatura")
pytest.importorskip("resiliparse")
EXTRACTORS = ["trafilatura", "resiliparse"]
ARTICLE = (
    "<html><head><title>T</title><script>track()</script></head><body>"
    "<nav><a href=/>Home</a> <a href=/shop>Our shop</a></nav><article>"
    + "".join(
        f"<p>The whale surfaced near the boat at {hour} o'clock and then it dived.</p>"
        for hour in range(1, 6)
    )
    + "</article><footer>All rights reserved by us</footer></body></html>"
)


def rows(*texts: str) -> pl.DataFrame:
    return pl.DataFrame(
        {"id": [f"page-{i}" for i in range(len(texts))], "source": "web", "text": texts}
    )


@pytest.fixture(scope="module")
def pages(shared_data: Path) -> pl.DataFrame:
    with gzip.open(shared_data / "noise" / "raw_html_pages.jsonl.gz", "rt") as file:
        return rows(*(json.loads(next(file))["html"] for _ in range(80)))


@pytest.mark.parametrize("extractor", EXTRACTORS)
def test_an_article_without_what_surrounds_it(extractor: Any) -> None:
    made = ExtractHTML(extractor=extractor).process(rows(ARTICLE))
    text = made.rows["text"][0]
    assert text.count("The whale surfaced near the boat") == 5
    assert not any(word in text for word in ("<", "track", "shop", "rights"))


@pytest.mark.parametrize("extractor", EXTRACTORS)
def test_every_page_is_text_or_dropped_with_a_reason(extractor: Any, pages: pl.DataFrame) -> None:
    made = ExtractHTML(extractor=extractor, max_bytes=40_000).process(pages)
    assert made.dropped is not None
    reasons = dict(made.dropped.select("id", "reason").iter_rows())
    long = pages.filter(pl.col("text").str.len_bytes() > 40_000)["id"]
    assert {row for row, reason in reasons.items() if reason == "page_too_long"} == set(long)
    assert set(reasons.values()) <= {"page_too_long", "nothing_extracted"}
    assert len(long) > 0
    assert made.rows.height + len(reasons) == pages.height
    assert made.rows["text"].str.len_chars().median() > 1_000
    assert not made.rows["text"].str.contains(r"(?i)</?(?:div|span|script|p)[ >]").any()


def test_recall_takes_more_than_precision(pages: pl.DataFrame) -> None:
    some = pages.head(15)
    for extractor in EXTRACTORS:
        made = {
            favor: ExtractHTML.model_validate(
                {"op": "extract_html", "extractor": extractor, "favor": favor}
            ).process(some)
            for favor in ("precision", "recall")
        }
        sizes = {k: v.rows["text"].str.len_chars().sum() for k, v in made.items()}
        assert sizes["precision"] < sizes["recall"]


def test_a_page_does_not_depend_on_those_before_it(pages: pl.DataFrame) -> None:
    """trafilatura remembers what it has seen where it is told to leave out what repeats."""
    some = pages.head(12)
    forth = ExtractHTML().process(pl.concat([some, some.with_columns(pl.col("id") + "b")]))
    back = ExtractHTML().process(some.reverse())
    expected = dict(back.rows.select("id", "text").iter_rows())
    for row, text in forth.rows.select("id", "text").iter_rows():
        assert text == expected[row.removesuffix("b")]


def test_text_without_a_tag_is_text_already() -> None:
    plain = rows("1 < 2 and a<b, R&amp;D", "")
    made = ExtractHTML().process(plain)
    assert made.rows["text"].to_list() == ["1 < 2 and a<b, R&amp;D"]


@pytest.mark.parametrize("extractor", EXTRACTORS)
@pytest.mark.parametrize(
    "page",
    [
        "<" * 100_000,
        "<html><p>" + "&amp;" * 50_000,
        "<html>" + "<div>" * 3_000 + "text" + "</div>" * 3_000,
        "<html><body>" + "<table><tr><td>" * 2_000,
        "<p " + " ".join(f"a{i}=1" for i in range(3_000)) + ">text</p>",
        '<?xml version="1.0" encoding="utf-16"?><html><p>text</p>',
        "<p>nul \x00 and \ufffe</p>",
        "<!DOCTYPE x [<!ENTITY a SYSTEM 'file:///etc/passwd'>]><p>Read &a; in this text.</p>",
    ],
    ids=["brackets", "entities", "deep", "tables", "attributes", "encoding", "nul", "external"],
)
def test_hostile_pages_are_text_or_dropped(extractor: Any, page: str) -> None:
    made = ExtractHTML(extractor=extractor).process(rows(page, ARTICLE))
    assert "whale" in made.rows["text"][-1]
    assert not made.rows["text"].str.contains("root:").any()


def test_a_recipe_tells_what_became_of_its_pages(tmp_path: Path) -> None:
    pages = (ARTICLE, "<html><script>x</script>")
    (tmp_path / "pages.jsonl").write_text("".join(json.dumps({"text": t}) + "\n" for t in pages))
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(
        "name: pages\nsources:\n  web: {path: pages.jsonl}\n"
        "steps:\n  - {op: extract_html, extractor: resiliparse}\n"
    )
    report = run_recipe(
        recipe, tmp_path / "corpus", engine="inline", workers=1, cache=tmp_path / "cache"
    )
    ledger = json.loads((report.folder / "ledger.json").read_bytes())
    (entry,) = (step for step in ledger if step["op"] == "extract_html")
    assert (entry["rows_in"], entry["rows_out"]) == (2, 1)
    assert entry["dropped"] == {"nothing_extracted": 1}
