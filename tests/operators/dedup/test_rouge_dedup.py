"""Near repeats by ROUGE-L: every one that comparing all pairs finds, and no other."""

from __future__ import annotations

import polars as pl
from hypothesis import given, strategies as st

from datachef.core import Context, turns_column, with_text
from datachef.operators.dedup.rouge_dedup import RougeDedup
from datachef.operators.text.rouge import rouge_l


def batch(*texts: str) -> pl.DataFrame:
    return pl.DataFrame({"id": [f"r{i}" for i in range(len(texts))], "source": "s", "text": texts})


def decided(operator: RougeDedup, *batches: pl.DataFrame) -> dict[str, str]:
    summaries = pl.concat([operator.summarize(part) for part in batches])
    decision = operator.resolve(summaries.lazy(), Context(seed=0))
    return dict(decision.select("id", "detail").iter_rows())


def test_a_row_goes_for_the_kept_row_that_it_is_like() -> None:
    rows = batch(
        "Write a short poem about the sea.",
        "Write a short poem about the moon.",  # like the first
        "Write a funny short story about the moon.",  # less like the first, and more the second
        "",
        "WRITE, a short poem about the sea!",
        "写一首关于大海的短诗。",
        "写一首关于大山的短诗。",
        "",
    )
    expected = {"r1": "like r0", "r4": "like r0", "r6": "like r5"}
    assert decided(RougeDedup(), rows) == expected
    assert decided(RougeDedup(), rows[:3], rows[3:]) == expected


def test_questions_are_compared_or_whole_rows() -> None:
    talks = [
        [{"role": "user", "content": "How tall is it?"}, {"role": "assistant", "content": answer}]
        for answer in ("I cannot say.", "More than three hundred metres, with its mast.")
    ]
    rows = with_text(batch("", "").with_columns(turns_column(talks)))
    assert decided(RougeDedup(), rows) == {"r1": "like r0"}
    assert decided(RougeDedup(part="text"), rows) == {}


@given(
    st.lists(st.lists(st.sampled_from("abcdefg"), min_size=1, max_size=9), max_size=12),
    st.sampled_from([0.3, 0.5, 0.7, 0.85, 1.0]),
)
def test_no_pair_is_missed(rows: list[list[str]], similarity: float) -> None:
    kept: list[int] = []
    expected = {}
    for place, words in enumerate(rows):
        like = next((k for k in kept if rouge_l(words, rows[k]) >= similarity), None)
        if like is None:
            kept.append(place)
        else:
            expected[f"r{place}"] = f"like r{like}"
    texts = [" ".join(words) for words in rows]
    if texts:
        assert decided(RougeDedup(similarity=similarity), batch(*texts)) == expected
