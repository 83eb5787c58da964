from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given, strategies as st
from pydantic import ValidationError

from datachef.operators.transforms.chunk_text import ChunkText

PARTS = st.sampled_from(
    ["One. ", "Is it so? ", "word ", "\n\n", "\n", "今天下雨。", "ไทย", "😀", "x" * 30, "“End.” "]
)
TEXTS = st.lists(PARTS, max_size=40).map("".join)


def chunks(*texts: str, **parameters: Any) -> list[str]:
    batch = pl.DataFrame(
        {"id": [str(i) for i in range(len(texts))], "source": "s", "text": list(texts)}
    )
    return ChunkText(**parameters).process(batch).rows["text"].to_list()


def test_paragraphs_are_put_together_as_long_as_they_fit() -> None:
    text = "First one.\n\nSecond.\n \nThird, which is longer.\n\nFourth."
    assert chunks(text, unit="characters", max_size=24) == [
        "First one.\n\nSecond.", "Third, which is longer.", "Fourth.",
    ]  # fmt: skip


def test_what_is_too_long_is_cut_finer() -> None:
    text = "A first sentence. “A second one?” And\n\n" + "abcdefghij" * 2 + " end"
    assert chunks(text, unit="characters", max_size=18) == [
        "A first sentence.", "“A second one?”", "And", "abcdefghijabcdefgh", "ij end",
    ]  # fmt: skip
    assert chunks("今天下雨。我们不出去。明天呢？", unit="characters", max_size=8) == [
        "今天下雨。", "我们不出去。", "明天呢？",
    ]  # fmt: skip


def test_neighbours_have_in_common_what_is_asked() -> None:
    text = "one two three four five six seven eight nine ten eleven twelve"
    assert chunks(text, unit="words", max_size=8, overlap=3, boundary="word") == [
        "one two three four five six seven eight", "six seven eight nine ten eleven twelve",
    ]  # fmt: skip


def test_rows_are_numbered_counted_and_in_order() -> None:
    texts = ["short", "long one. " * 6, "  "]
    batch = pl.DataFrame({"id": ["a", "b", "c"], "source": "s", "text": texts, "n": 7})
    made = ChunkText(unit="characters", max_size=30).process(batch)
    assert made.rows["id"].to_list() == ["a", "b.0", "b.1", "c"]
    assert made.created == 1
    assert made.rows["n"].to_list() == [7] * 4


@given(
    st.lists(TEXTS, min_size=1, max_size=4),
    st.sampled_from(["tokens", "characters", "words"]),
    st.integers(8, 40),
    st.sampled_from(["paragraph", "sentence", "word"]),
    st.integers(0, 4),
)
def test_nothing_is_lost_nor_too_large(
    texts: list[str], unit: Any, size: int, boundary: Any, overlap: int
) -> None:
    operator = ChunkText(unit=unit, max_size=size, boundary=boundary, overlap=overlap)
    rows = chunks(*texts, unit=unit, max_size=size, boundary=boundary, overlap=overlap)
    assert (operator._sizes(pl.Series(rows, dtype=pl.String)) <= operator._limit(size)).all()
    if not overlap:
        assert "".join("".join(rows).split()) == "".join("".join(texts).split())
    single = [row for text in texts for row in chunks(
        text, unit=unit, max_size=size, boundary=boundary, overlap=overlap
    )]  # fmt: skip
    assert rows == single


def test_tokens_of_a_tokenizer(tmp_path: Path, shared_data: Path) -> None:
    tokenizers = pytest.importorskip("tokenizers")
    model = tokenizers.Tokenizer(tokenizers.models.BPE())
    model.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    with gzip.open(shared_data / "web" / "part-000.jsonl.gz", "rt") as file:
        pages = [json.loads(next(file))["text"] for _ in range(40)]
    trainer = tokenizers.trainers.BpeTrainer(
        vocab_size=1_000, initial_alphabet=tokenizers.pre_tokenizers.ByteLevel.alphabet()
    )
    model.train_from_iterator(pages, trainer)
    path = tmp_path / "tokenizer.json"
    model.save(str(path))
    rows = chunks(*pages, max_size=256, tokenizer=str(path))
    sizes = [len(model.encode(row).ids) for row in rows]
    assert max(sizes) <= 256
    assert sum(sizes) / len(sizes) > 128
    assert "".join("".join(rows).split()) == "".join("".join(pages).split())


def test_an_overlap_is_smaller_than_a_row() -> None:
    with pytest.raises(ValidationError, match="at most half"):
        ChunkText(max_size=10, overlap=6)
