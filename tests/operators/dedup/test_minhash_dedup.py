"""Near duplicates are found, and little else."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from decisions import decision_on
from duplicates import dropped, rows
from hypothesis import given, strategies as st

from datachef.core import Context
from datachef.operators.dedup.minhash_dedup import MinHashDedup


def article(words: range) -> str:
    return " ".join(f"word{i * 7919 % 10007}" for i in words)


def test_a_text_with_few_changes_is_a_copy_and_another_text_is_not() -> None:
    changed = article(range(200)).replace("word7919", "other")
    batch = rows(article(range(200)), article(range(500, 700)), changed.upper())
    assert dropped(MinHashDedup(), batch) == ["2"]


def test_texts_shorter_than_an_ngram_are_compared_as_a_whole() -> None:
    batch = rows("one two", "one two three", "One, two!", "two one", "one two three four")
    assert dropped(MinHashDedup(), batch) == ["2"]


def test_a_script_without_spaces_is_compared_by_characters() -> None:
    text = "今天天气很好我们一起去公园散步吧然后在湖边喝一杯热茶看看风景再慢慢走回家里吃晚饭聊天"
    other = "完全不同的一句话没有任何共同之处也不应该被当成副本来处理"
    batch = rows(text, text.replace("热", "凉"), other)
    assert dropped(MinHashDedup(bands=40, rows=3, ngram=3), batch) == ["1"]


def test_rows_without_words_are_nobodys_copies() -> None:
    assert dropped(MinHashDedup(), rows("", "", None, None, "?!", "?!")) == []


@given(st.lists(st.text(alphabet="ab ", max_size=30), max_size=12), st.integers(0, 12))
def test_batch_cuts_do_not_matter(texts: list[str], cut: int) -> None:
    operator, batch = MinHashDedup(ngram=3, bands=4, rows=2), rows(*texts)
    parts = [operator.summarize(batch[:cut]), operator.summarize(batch[cut:])]
    assert pl.concat(parts).equals(operator.summarize(batch))


def test_sketches_are_bounded_and_do_not_depend_on_batches() -> None:
    texts = [article(range(20_000)), "ha ha " * 5_000, article(range(100)), "la " * 300]
    together = MinHashDedup().summarize(rows(*texts))
    alone = [MinHashDedup().summarize(row) for row in rows(*texts).iter_slices(1)]
    assert pl.concat(alone).equals(together)
    sizes = together["sketch"].list.len().to_list()
    assert 128 <= sizes[0] <= 320
    assert sizes[1:] == [1, 96, 1]


def test_long_texts_of_few_words_are_compared() -> None:
    batch = rows("ha " * 5_000, "la " * 5_000, "ha " * 5_000, "ha " * 4_000 + "la " * 4_000)
    assert dropped(MinHashDedup(), batch) == ["2"]


@given(st.lists(st.text(alphabet="ab ", max_size=30), max_size=12))
def test_of_every_text_exactly_one_stays(texts: list[str]) -> None:
    batch = rows(*(text + " end" for text in texts))
    gone = set(dropped(MinHashDedup(), batch))
    kept = (
        batch.filter(~pl.col("id").is_in(gone))["text"]
        .str.split(" ")
        .list.eval(pl.element().filter(pl.element() != ""))
    )
    assert kept.list.join(" ").is_duplicated().sum() == 0


@pytest.fixture(
    scope="module", params=[1, pytest.param(4, marks=pytest.mark.slow)], ids=lambda n: f"{n}-files"
)
def pages(request: pytest.FixtureRequest, shared_data: Path) -> pl.DataFrame:
    files = [shared_data / "web" / f"part-00{part}.jsonl.gz" for part in range(request.param)]
    return pl.concat([pl.read_ndjson(file) for file in files], how="diagonal")


def jaccard(left: np.ndarray, right: np.ndarray) -> float:
    common = len(np.intersect1d(left, right, assume_unique=True))
    return common / (len(left) + len(right) - common)


def similar_pairs(shingles: list[np.ndarray]) -> dict[tuple[int, int], float]:
    """All pairs of a Jaccard similarity of at least .5, by prefix filtering (Chaudhuri 2006).

    Two sets that similar share one of the rarer half of their members.
    """
    members, inverse, frequency = np.unique(
        np.concatenate(shingles), return_inverse=True, return_counts=True
    )
    ends = np.cumsum([len(own) for own in shingles])[:-1]
    holders: list[list[int]] = [[] for _ in members]
    for document, own in enumerate(np.split(inverse, ends)):
        rarest_first = own[np.lexsort((own, frequency[own]))]
        for member in rarest_first[: len(own) // 2 + 1]:
            holders[member].append(document)
    pairs = {pair for documents in holders for pair in combinations(documents, 2)}
    measured = {pair: jaccard(shingles[pair[0]], shingles[pair[1]]) for pair in pairs}
    return {pair: similarity for pair, similarity in measured.items() if similarity >= 0.5}


def shingles_of(texts: pl.Series, n: int) -> list[np.ndarray]:
    words = texts.str.to_lowercase().str.extract_all(r"\w+").to_list()
    return [
        np.unique([hash(tuple(own[i : i + n])) for i in range(max(1, len(own) - n + 1))])
        for own in words
    ]


def test_similar_pairs_are_found_and_what_goes_is_like_what_stays(pages: pl.DataFrame) -> None:
    operator = MinHashDedup()
    shingles = shingles_of(pages["text"], operator.ngram)
    truth = similar_pairs(shingles)
    near = [pair for pair, similarity in truth.items() if similarity > 0.8]
    assert len(near) > 20
    decision = decision_on(operator, operator.summarize(pages))
    number = {row: i for i, row in enumerate(pages["id"])}
    kept = [number[row.removeprefix("a copy of ")] for row in decision["detail"]]
    gone = [number[row] for row in decision["id"]]
    assert not set(gone) & set(kept)
    assert np.mean([a in gone or b in gone for a, b in near]) >= 0.95
    similar = [jaccard(shingles[a], shingles[b]) for a, b in zip(gone, kept, strict=True)]
    # What is contained in a longer row goes too, though it is less similar.
    assert min(similar) >= 0.6
    assert np.mean(np.array(similar) >= 0.7) >= 0.99


# Of each source the share that has to stay: templates whose variants have few n-grams in common.
TEMPLATES = {"noise/toxicity_madlibs": 0.85, "pool/blimp_train": 0.99, "pool/gsm_symbolic_p2": 0.9}


@pytest.mark.parametrize("name", TEMPLATES)
def test_a_chain_of_templates_is_not_emptied(name: str, shared_data: Path) -> None:
    source = pl.read_ndjson(shared_data / f"{name}.jsonl.gz")
    texts = [column for column, kind in source.schema.items() if kind == pl.String]
    text = pl.concat_str([column for column in texts if column != "id"], separator="\n")
    batch = source.select(pl.int_range(pl.len()).cast(pl.String).alias("id"), text.alias("text"))
    operator = MinHashDedup(ngram=3, bands=40, rows=2)
    context = Context(seed=0)
    decision = decision_on(operator, operator.summarize(batch), context)
    assert 1 - decision.height / batch.height >= TEMPLATES[name]
    assert context.counted["unverified_candidates"] > 0


def test_a_chain_is_cut_where_similarity_to_what_stays_ends() -> None:
    """Each text shares most of its words with the next one, and fewer with those behind it."""
    batch = rows(*(article(range(start, start + 100)) for start in range(0, 300, 10)))
    operator = MinHashDedup(bands=64, rows=2, similarity=0.6)
    context = Context(seed=0)
    decision = decision_on(operator, operator.summarize(batch), context)
    assert decision.height == 20
    pairs = zip(decision["id"], decision["detail"], strict=True)
    assert all(abs(int(a) - int(b.removeprefix("a copy of "))) <= 2 for a, b in pairs)


def test_a_part_of_a_text_goes_and_the_whole_stays() -> None:
    whole, part = article(range(150)), article(range(80))
    assert dropped(MinHashDedup(bands=64, rows=1), rows(whole, part)) == ["1"]
    assert dropped(MinHashDedup(bands=64, rows=1), rows(part, whole)) == []
    assert dropped(MinHashDedup(bands=64, rows=1, keep="longest"), rows(part, whole)) == ["0"]
