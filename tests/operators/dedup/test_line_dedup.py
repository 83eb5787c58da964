"""Lines and paragraphs stay where they are first, and go where they occur again."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest
from duplicates import outcome, rows
from hypothesis import given, strategies as st

from datachef.core import Context
from datachef.core.text.conversations import turns_column, with_text
from datachef.operators.dedup.line_dedup import LineDedup, ParagraphDedup


def test_a_line_stays_where_it_is_first() -> None:
    batch = rows(
        "Home\nA story.\nAll rights reserved, 2021.",
        "HOME!\nAnother story.\nall rights reserved 1999\n---",
        "home\n\nAll rights reserved, 2005",
        "---\nA last story.\nA last story.",
    )
    found = outcome(LineDedup(), batch)
    assert found.rows["text"].to_list() == [
        batch["text"][0],
        "Another story.\n---",
        "---\nA last story.",
    ]
    assert found.dropped is not None
    assert found.dropped.select("id", "reason", "detail", "text").rows() == [
        ("2", "emptied", "a copy of 0", batch["text"][2])
    ]


def test_digits_and_short_lines_can_count() -> None:
    batch = rows("Page 1 of 2\n}", "Page 2 of 2\n}", "Page 1 of 2\nend", "end")
    apart = outcome(LineDedup(digits="different"), batch)
    assert apart.rows["text"].to_list() == ["Page 1 of 2\n}", "Page 2 of 2\n}", "end"]
    assert outcome(LineDedup(min_chars=20), batch).rows.equals(batch)


def test_a_paragraph_goes_as_a_whole_only() -> None:
    batch = rows("one\ntwo\n\nthree", "one\ntwo\n\nfour", "one\n\nthree", "Three.")
    found = outcome(ParagraphDedup(), batch)
    assert found.rows["text"].to_list() == ["one\ntwo\n\nthree", "four", "one"]
    assert found.dropped is not None
    assert found.dropped["detail"].to_list() == ["a copy of 0"]


def test_conversations_stay_as_they_are() -> None:
    turns = [{"role": "user", "content": "the question"}, {"role": "assistant", "content": "yes"}]
    batch = rows("the question", None, None, "the question\nyes").with_columns(
        turns_column([None, turns, turns, None])
    )
    found = outcome(LineDedup(), with_text(batch))
    assert found.rows["id"].to_list() == ["0", "1", "2", "3"]
    assert found.rows["text"].to_list()[-1] == "yes"


@given(st.lists(st.lists(st.sampled_from("abcde-"), max_size=6), max_size=8), st.integers(0, 8))
def test_every_line_is_there_once(texts: list[list[str]], cut: int) -> None:
    operator, batch = LineDedup(), rows(*("\n".join(lines) for lines in texts))
    parts = [operator.summarize(batch[:cut]), operator.summarize(batch[cut:])]
    summaries = operator.summarize(batch)
    assert pl.concat(parts).equals(summaries)
    decision = operator.resolve(summaries.lazy(), Context(seed=0))
    found = [operator.apply(part, decision) for part in (batch[:cut], batch[cut:])]
    left = [line for part in found for text in part.rows["text"] for line in text.split("\n")]
    letters = [line for line in left if line not in {"-", ""}]
    assert letters == list(dict.fromkeys(c for lines in texts for c in lines if c != "-"))
    gone = sum(part.dropped.height for part in found if part.dropped is not None)
    assert gone + sum(part.rows.height for part in found) == batch.height


@pytest.mark.parametrize("operator", [LineDedup(), ParagraphDedup()], ids=lambda one: one.op)
def test_of_real_pages_nothing_but_repeated_pieces_goes(
    operator: LineDedup | ParagraphDedup, shared_data: Path
) -> None:
    pages = pl.read_ndjson(shared_data / "web" / "part-000.jsonl.gz").head(1500)
    pages = pages.select("id", pl.lit("web").alias("source"), "text")
    found = outcome(operator, pages)
    again = outcome(operator, found.rows)
    assert again.dropped is None
    assert again.rows.equals(found.rows)
    before, after = (
        set(operator.summarize(some)["hashes"].explode().drop_nulls())
        for some in (pages, found.rows)
    )
    assert before == after
    assert found.rows["text"].str.len_bytes().sum() < 0.97 * pages["text"].str.len_bytes().sum()
