"""The model behind a policy: a checkpoint with its card, or a tiny model made on the spot."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any

import orjson

from datachef.core.escaping import indented_json
from datachef.core.language_models.checkpoint import (
    byte_level_tokenizer,
    is_local,
    quiet,
    training_package,
)
from datachef.core.language_models.hub_files import MODEL_ID, hub_snapshot, model_folder
from datachef.core.system.atomic import replacing
from datachef.policy.grammar import draft_text
from datachef.policy.prompt import TRUNCATION
from datachef.policy.scored_recipes import RecipeTask
from datachef.policy.space import RandomChooser, RecipeSpace

TINY = "tiny"
CARD_FILE = "policy.json"
# What people read of a checkpoint, here and on the Hub.
MODEL_CARD = "README.md"
# The version of the tiny model: raise it to make cached ones anew.
_VERSION = 1
# Random drafts and prompts from which the tokenizer of the tiny model is trained.
_DRAFTS = 1_000
_LEVELS = (0, len(TRUNCATION) - 1, len(TRUNCATION))


def require_model(name: str) -> None:
    """Raises `DatachefError` for a model that is not there, before torch is imported to load it."""
    if name == TINY or is_local(name):
        return
    if MODEL_ID.fullmatch(name):
        hub_snapshot(name, ["config.json"], "model")
    elif "/" in name:  # some ids of the Hub have none
        model_folder(name)


def policy_model(
    name: str, recipe_tasks: Sequence[RecipeTask], cache: Path, seed: int = 0
) -> str | Path:
    """Where the model of a policy is: a checkpoint's folder or a model id on the Hugging Face Hub.

    For the name `tiny` it is the folder of a small model, made in `cache`, whose tokenizer is
    trained on prompts and drafts of these tasks.
    """
    if name != TINY:
        return Path(name).absolute() if Path(name).is_dir() else name
    texts: list[str] = []
    for each in recipe_tasks:
        for level in _LEVELS:
            texts += [message["content"] for message in each.writer.messages(each.space, level)]
        drafts = [each.space.draw(RandomChooser(f"tiny {number}")) for number in range(_DRAFTS)]
        texts += [draft_text(draft) for draft in drafts]
    return make_tiny_policy(texts, cache, seed=seed)


def make_tiny_policy(
    texts: Sequence[str],
    cache: Path,
    *,
    seed: int = 0,
    vocabulary: int = 1_024,
    hidden: int = 128,
    layers: int = 3,
    positions: int = 4_096,
) -> Path:
    """The folder of a randomly initialized Qwen3 of about a million parameters, with a tokenizer
    trained on `texts`.

    The same arguments give the same folder in `cache`. The embeddings are not tied: vLLM needs that
    of models whose weights are replaced while it serves them.
    """
    digest = blake2b(f"{_VERSION} {seed} {vocabulary} {hidden} {layers} {positions}".encode())
    for text in texts:
        digest.update(text.encode() + b"\0")
    folder = cache / "policies" / digest.hexdigest()[:32]
    if folder.is_dir():
        return folder
    transformers = training_package("transformers")
    with quiet(offline=True), replacing(folder) as staging:
        tokenizer = byte_level_tokenizer(texts, vocabulary)
        transformers.set_seed(seed)
        model = transformers.Qwen3ForCausalLM(_config(tokenizer, hidden, layers, positions))
        model.save_pretrained(staging)
        tokenizer.save_pretrained(staging)
    return folder


def _config(tokenizer: Any, hidden: int, layers: int, positions: int) -> Any:
    return training_package("transformers").Qwen3Config(
        vocab_size=len(tokenizer),
        hidden_size=hidden,
        intermediate_size=3 * hidden,
        num_hidden_layers=layers,
        num_attention_heads=max(1, hidden // 32),
        num_key_value_heads=max(1, hidden // 32),
        head_dim=32,
        max_position_embeddings=positions,
        tie_word_embeddings=False,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )


@dataclass(frozen=True)
class PolicyCard:
    """What a checkpoint says of its training: the fingerprint of the vocabulary, the operators that
    the policy has seen, and the tasks.

    It is written last, so a checkpoint that has a card is complete.
    """

    vocabulary: str
    operators: tuple[str, ...]
    tasks: tuple[str, ...]

    @classmethod
    def of(cls, recipe_tasks: Sequence[RecipeTask]) -> PolicyCard:
        """The card of a training on these tasks."""
        operators = {name for each in recipe_tasks for name in each.space.operators}
        return cls(
            recipe_tasks[0].space.vocabulary.fingerprint,
            tuple(sorted(operators)),
            tuple(each.name for each in recipe_tasks),
        )

    @classmethod
    def read(cls, checkpoint: Path) -> PolicyCard | None:
        """The card of a checkpoint; None for a model that `chef train` did not save."""
        try:
            data: dict[str, Any] = orjson.loads((checkpoint / CARD_FILE).read_bytes())
            return cls(data["vocabulary"], tuple(data["operators"]), tuple(data["tasks"]))
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def write(self, checkpoint: Path) -> None:
        """Writes the card into the folder of a checkpoint, which completes it."""
        data = {
            "vocabulary": self.vocabulary,
            "operators": self.operators,
            "tasks": self.tasks,
        }
        (checkpoint / CARD_FILE).write_bytes(indented_json(data))

    def differences(self, space: RecipeSpace) -> str:
        """How the vocabulary of a space differs from that of the training, in words; empty if it
        does not. The policy still writes valid recipes, since the grammar is that of the space."""
        if self.vocabulary == space.vocabulary.fingerprint:
            return ""
        new = sorted(set(space.operators) - set(self.operators))
        gone = sorted(set(self.operators) - set(space.vocabulary))
        said = "the policy was trained on another vocabulary"
        if new:
            said += f"; it has never seen {', '.join(new)}"
        if gone:
            said += f"; it may not write {', '.join(gone)}"
        return said


def is_complete(checkpoint: Path) -> bool:
    """Whether a checkpoint was written to its end."""
    return PolicyCard.read(checkpoint) is not None
