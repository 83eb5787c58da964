"""Scores by classifiers and reward models: transformers' models for sequence classification."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import orjson

from datachef.core import (
    DatachefError,
    extra,
    leading_text,
    path_identity,
    quiet_loading,
    single_thread,
)
from datachef.operators.models.language_model import Turns, plain_turns

# What operators that score by such a model need.
REQUIRED: Mapping[str, str] = {name: extra("models") for name in ("torch", "transformers")}


class ClassifierHead:
    """What the configuration of a checkpoint says of its classes. Raises `DatachefError` for one
    that has none."""

    def __init__(self, folder: Path) -> None:
        try:
            config: Any = orjson.loads((folder / "config.json").read_bytes())
            architecture = str((config.get("architectures") or [""])[0])
        except (OSError, ValueError, AttributeError) as error:
            raise DatachefError(f"{folder} is no checkpoint: {error}") from error
        if not architecture.endswith("ForSequenceClassification"):
            raise DatachefError(
                f"{folder} is no classifier, but {architecture or 'of no known architecture'}",
                "name one of AutoModelForSequenceClassification, with its trained head",
            )
        named = config.get("id2label") or {"0": "LABEL_0", "1": "LABEL_1"}
        self.labels = tuple(str(named[key]) for key in sorted(named, key=int))
        self.multi_label = config.get("problem_type") == "multi_label_classification"


class SequenceClassifier:
    """Scores of texts and conversations, each by itself, in 32 bits and one thread, so that they
    are the same in every batch.

    A single logit is the score as it is: of a regression, or a reward. Of several the score of a
    label is its probability, by a sigmoid where `problem_type` of the configuration is
    `multi_label_classification`, else by a softmax, as in the pipelines of transformers.
    """

    def __init__(self, folder: Path) -> None:
        from transformers import AutoModelForSequenceClassification, AutoTokenizer

        self.head = ClassifierHead(folder)
        classifier: Any = AutoModelForSequenceClassification
        with quiet_loading():
            self._tokenizer: Any = AutoTokenizer.from_pretrained(str(folder), local_files_only=True)
            self._model, loading = classifier.from_pretrained(
                str(folder),
                dtype="float32",
                local_files_only=True,
                use_safetensors=True,
                output_loading_info=True,
            )
        if missing := sorted(loading["missing_keys"]):
            raise DatachefError(f"{folder} lacks weights, such as {missing[0]}")
        self._model.eval()
        positions = getattr(self._model.config, "max_position_embeddings", None) or 10**9
        self._most = min(positions, self._tokenizer.model_max_length)

    def of_text(self, text: str, label: str | None, most: int) -> float:
        """The score of the first tokens of a text."""
        return self._score(self._encoded(leading_text(text, most), None, most), label)

    def of_conversation(self, turns: Turns, label: str | None, most: int) -> float:
        """The score of the last turn as the answer to those before it, by the chat template, or, of
        a model without one, as a pair of texts. Of a long conversation the end is read."""
        said = plain_turns(turns)
        if self._tokenizer.chat_template is None:
            question = "\n".join(turn["content"] for turn in said[:-1])
            return self._score(self._encoded(question, said[-1]["content"], most), label)
        text = self._tokenizer.apply_chat_template(said, tokenize=False)
        ids = self._tokenizer.encode(text, add_special_tokens=False)
        return self._score({"input_ids": ids[-min(most, self._most) :]}, label)

    def _encoded(self, text: str, pair: str | None, most: int) -> Mapping[str, list[int]]:
        found: Mapping[str, list[int]] = self._tokenizer(
            text, pair, truncation=True, max_length=min(most, self._most)
        )
        return found

    def _score(self, encoded: Mapping[str, list[int]], label: str | None) -> float:
        import torch

        with single_thread():
            tensors = {name: torch.tensor([ids]) for name, ids in encoded.items()}
            logits = self._model(**tensors).logits[0]
            if len(logits) > 1:
                logits = logits.sigmoid() if self.head.multi_label else logits.softmax(-1)
            place = 0 if label is None else self.head.labels.index(label)
            return float(logits[place])


def sequence_classifier(folder: Path) -> SequenceClassifier:
    """The classifier in a folder, loaded once per process and content of the folder."""
    return _loaded(str(folder), str(path_identity(folder)))


@lru_cache(maxsize=2)
def _loaded(folder: str, content: str) -> SequenceClassifier:
    return SequenceClassifier(Path(folder))
