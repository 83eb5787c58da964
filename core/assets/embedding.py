"""Embeddings of texts by a small sentence encoder among the assets (MiniLM)."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import Any

import numpy as np

from datachef.core.assets.store import asset_checksum, asset_folder
from datachef.core.language_models.inference import (
    ResultMemory,
    leading_text,
    quiet_loading,
    single_thread,
)

MAX_TOKENS = 256
_REMEMBERED = 16_384


class Embedder:
    """Embeds texts by a BERT-like encoder with the mean of its last hidden states, normalised to
    length 1, as sentence-transformers does for all-MiniLM-L6-v2 (Wang et al. 2020,
    arXiv 2002.10957; Reimers and Gurevych 2019, arXiv 1908.10084).

    Of a text the first `MAX_TOKENS` tokens are read, as that model was trained. Each text goes
    through the model by itself, in one thread: what a batch holds besides, and how it is padded,
    would change the last bits, and with them what a threshold decides. The latest embeddings are
    remembered, since steps ask for those of the same rows again.
    """

    def __init__(self, asset: str) -> None:
        from tokenizers import Tokenizer
        from transformers import AutoModel

        folder = asset_folder(asset)
        self._tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self._tokenizer.no_padding()
        self._tokenizer.enable_truncation(MAX_TOKENS)
        with quiet_loading():
            self._model: Any = AutoModel.from_pretrained(
                str(folder), local_files_only=True, use_safetensors=True, add_pooling_layer=False
            ).eval()
        self.dimensions = int(self._model.config.hidden_size)
        self._memory: ResultMemory[np.ndarray] = ResultMemory(_REMEMBERED)

    def embed(self, texts: Iterable[str | None]) -> np.ndarray:
        """One row of 32-bit floats for each text, of length 1; no text is the empty one."""
        with single_thread():
            found = [self._one(text or "") for text in texts]
        return np.stack(found) if found else np.empty((0, self.dimensions), np.float32)

    def _one(self, text: str) -> np.ndarray:
        return self._memory.get(text.encode(errors="replace"), lambda: self._computed(text))

    def _computed(self, text: str) -> np.ndarray:
        import torch

        ids = torch.tensor([self._tokenizer.encode(leading_text(text, MAX_TOKENS)).ids])
        states = self._model(input_ids=ids, attention_mask=torch.ones_like(ids)).last_hidden_state
        mean = states[0].mean(dim=0)
        vector: np.ndarray = torch.nn.functional.normalize(mean, dim=0).numpy()
        return vector


def embedder(asset: str) -> Embedder:
    """The embedder of an asset, loaded once per process and content of the asset."""
    return _loaded(asset, asset_checksum(asset))


@lru_cache(maxsize=2)
def _loaded(asset: str, checksum: str) -> Embedder:
    return Embedder(asset)
