"""MiniLM says what is alike, and the same of a text whatever else is in the batch."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch

from datachef.core.assets.embedding import Embedder
from datachef.operators.models.embedding import embeddings

CAT = "A cat sat on the mat."
KITTEN = "A kitten rested on the rug."
MARKETS = "Stock markets fell sharply after the announcement."
LONG = "The weather is nice today, said the old man at the harbour. " * 60
TEXTS = [CAT, KITTEN, MARKETS, "", "日本語の文章です。", LONG]


@pytest.fixture(scope="module")
def model(minilm: Path) -> Embedder:
    return Embedder("minilm")


def test_like_texts_are_near_and_others_are_not(model: Embedder) -> None:
    vectors = model.embed([CAT, KITTEN, MARKETS])
    assert vectors.shape == (3, 384)
    assert vectors.dtype == np.float32
    near = vectors @ vectors.T
    assert near[0, 1] == pytest.approx(0.619, abs=0.005)
    assert abs(near[0, 2]) < 0.1
    assert np.diag(near) == pytest.approx(1, abs=1e-5)


def test_a_text_has_the_same_bytes_in_every_batch_and_process(model: Embedder) -> None:
    together = model.embed(TEXTS)
    other = Embedder("minilm")
    threads = torch.get_num_threads()
    torch.set_num_threads(threads + 1)
    try:
        alone = [other.embed([text])[0] for text in reversed(TEXTS)]
        assert torch.get_num_threads() == threads + 1
    finally:
        torch.set_num_threads(threads)
    assert together.tobytes() == np.stack(alone[::-1]).tobytes()


def test_it_is_what_the_model_makes_of_a_padded_batch(model: Embedder, minilm: Path) -> None:
    from transformers import AutoModel, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(str(minilm))
    plain = AutoModel.from_pretrained(str(minilm))
    batch = tokenizer(TEXTS, padding=True, truncation=True, max_length=256, return_tensors="pt")
    with torch.no_grad():
        states = plain(**batch).last_hidden_state
    mask = batch["attention_mask"].unsqueeze(-1)
    mean = torch.nn.functional.normalize((states * mask).sum(1) / mask.sum(1), dim=1)
    assert model.embed(TEXTS) == pytest.approx(mean.numpy(), abs=1e-5)


def test_no_text_is_the_empty_one_and_none_are_no_rows(model: Embedder) -> None:
    none, empty = model.embed([None, ""])
    assert np.array_equal(none, empty)
    assert model.embed([]).shape == (0, 384)


def test_an_expression_that_steps_share(minilm: Path) -> None:
    assert embeddings("minilm") is embeddings("minilm")
    found = pl.DataFrame({"text": [CAT, None]}).select(embeddings("minilm").alias("e"))["e"]
    assert found.dtype == pl.Array(pl.Float32, 384)
    assert found.null_count() == 0
