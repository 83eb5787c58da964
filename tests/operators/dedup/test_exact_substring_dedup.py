"""Long runs of words go where they occur again, and nothing else does."""

from __future__ import annotations

from pathlib import Path

import polars as pl
from duplicates import outcome, rows
from hypothesis import given, strategies as st

from datachef.core import Context
from datachef.operators.dedup.exact_substring_dedup import ExactSubstringDedup


def words(name: str, number: int) -> str:
    return " ".join(f"{name}{i}" for i in range(number))


def test_a_run_of_fifty_words_goes_and_one_of_forty_nine_stays() -> None:
    long, short = words("long", 50), words("short", 49)
    batch = rows(
        f"One {long} two\n{short}", f"A\n{short}  b\n\n{long} c ", long.replace(" ", "\n"), short
    )
    found = outcome(ExactSubstringDedup(), batch)
    assert found.rows["text"].to_list() == [batch["text"][0], f"A\n{short}  b c ", short]
    assert found.dropped is not None
    assert found.dropped.select("id", "reason", "detail").rows() == [
        ("2", "emptied", "a copy of 0")
    ]


def test_a_text_that_repeats_itself_keeps_the_first_run() -> None:
    batch = rows("ha " * 300, words("w", 60) + " and " + words("w", 60))
    found = outcome(ExactSubstringDedup(), batch)
    assert found.rows["text"].to_list() == [("ha " * 50).strip() + " ", words("w", 60) + " and"]


def test_scripts_without_spaces_are_compared_by_characters() -> None:
    text = "今天天气很好我们一起去公园散步吧然后在湖边喝一杯热茶看看风景再慢慢走回家里吃晚饭聊天"
    found = outcome(ExactSubstringDedup(words=20), rows(text, f"他说{text}完了"))
    assert found.rows["text"].to_list() == [text, "他说完了"]


def test_documents_go_whose_repeated_share_is_large() -> None:
    run = words("w", 50)
    batch = rows(run, f"{words('a', 150)} {run}", f"{words('b', 250)} {run}")
    found = outcome(ExactSubstringDedup(action="drop"), batch)
    assert found.rows.equals(batch[[0, 2]])
    assert found.dropped is not None
    assert found.dropped.select("id", "reason", "detail").rows() == [
        ("1", "repeated_text", "a copy of 0")
    ]


@given(st.lists(st.text(alphabet="ab", max_size=40), max_size=6), st.integers(0, 6))
def test_every_run_is_there_once_wherever_batches_are_cut(texts: list[str], cut: int) -> None:
    operator, batch = ExactSubstringDedup(words=10), rows(*(" ".join(text) for text in texts))
    summaries = operator.summarize(batch)
    parts = [operator.summarize(batch[:cut]), operator.summarize(batch[cut:])]
    assert pl.concat(parts).equals(summaries)
    decision = operator.resolve(summaries.lazy(), Context(seed=0))
    gone: dict[str, set[int]] = {str(i): set() for i in range(len(texts))}
    for row, start, stop in decision.select("id", "start", "stop").iter_rows():
        gone[row] |= set(range(start, stop))
    # By search: a word goes if a run that is there before covers it, but for the first itself.
    first: dict[str, tuple[str, int]] = {}
    expected: dict[str, set[int]] = {str(i): set() for i in range(len(texts))}
    for row, text in enumerate(texts):
        for at in range(len(text) - 9):
            owner, place = first.setdefault(text[at : at + 10], (str(row), at))
            if (owner, place) != (str(row), at):
                begin = max(at, place + 10) if owner == str(row) else at
                expected[str(row)] |= set(range(begin, at + 10))
    assert gone == expected


def test_runs_of_real_pages_occur_once_afterwards(shared_data: Path) -> None:
    pages = pl.read_ndjson(shared_data / "web" / "part-000.jsonl.gz").head(2500)
    pages = pages.select("id", pl.lit("web").alias("source"), "text")
    operator = ExactSubstringDedup()
    found = outcome(operator, pages)
    before, after = (
        operator.summarize(some)["hashes"].explode().drop_nulls() for some in (pages, found.rows)
    )
    repeated = len(before) - before.n_unique()
    assert repeated > 10_000
    assert len(after) - after.n_unique() < 0.02 * repeated
