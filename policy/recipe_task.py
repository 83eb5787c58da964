"""A task to write recipes for, over a pool: what may be written, and how it is asked for."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any

import orjson

from datachef.core.language_models.checkpoint import byte_level_tokenizer, quiet, training_package
from datachef.core.recipe.resolving import read_task
from datachef.core.registry.host import Host
from datachef.core.system.atomic import replacing
from datachef.policy.grammar import written
from datachef.policy.prompt import TRUNCATION, CountTokens, PromptWriter
from datachef.policy.prompt.writer import Brief
from datachef.policy.scored_recipes import Recipe
from datachef.policy.settings import Limits
from datachef.policy.space import RandomChooser, RecipeSpace, recipe_space

# Enough for a tokenizer to learn how drafts and briefs are written.
_DRAFTS = 1_000
_LEVELS = (0, len(TRUNCATION) - 1, len(TRUNCATION))


@dataclass(frozen=True)
class Assignment:
    """A task, a pool, all that may be written for it, and the writer of its briefs."""

    name: str
    task: Path
    pool: Path
    space: RecipeSpace
    writer: PromptWriter

    @classmethod
    def of(cls, host: Host, task: Path, pool: Path, limits: Limits) -> Assignment:
        """The assignment of a task.yaml and a pool.yaml. Raises `DatachefError` where one of them
        cannot be used."""
        described = read_task(task, host)
        space = recipe_space(host, pool, task, limits)
        return cls(described.name, task, pool, space, PromptWriter(described, space))

    def brief(
        self, count_tokens: CountTokens, most_tokens: int, space: RecipeSpace | None = None
    ) -> Brief:
        """The brief for a part of the space, all of it by default, in at most so many tokens.

        Raises `DatachefError` where the bare names are too many.
        """
        return self.writer.write(space or self.space, count_tokens, most_tokens)

    def bound(self, recipe: Recipe, name: str, folder: Path) -> dict[str, Any]:
        """A recipe of this task and pool for a file in `folder`, as `chef run` takes it there."""
        files = {
            key: os.path.relpath(file.absolute(), folder.absolute())
            for key, file in (("task", self.task), ("pool", self.pool))
        }
        return {"name": name, **files, **{k: v for k, v in recipe.items() if k != "name"}}


def policy_model(
    name: str, assignments: Sequence[Assignment], cache: Path, seed: int = 0
) -> str | Path:
    """A checkpoint's folder or a name of the hub, as it is; for `tiny` the folder of a model whose
    tokenizer knows how briefs and drafts of these assignments are written."""
    if name != TINY:
        return Path(name).absolute() if Path(name).is_dir() else name
    texts: list[str] = []
    for each in assignments:
        for level in _LEVELS:
            texts += [message["content"] for message in each.writer.messages(each.space, level)]
        drafts = [each.space.draw(RandomChooser(f"tiny {number}")) for number in range(_DRAFTS)]
        texts += [written(draft) for draft in drafts]
    return make_tiny_policy(texts, cache, seed=seed)


TINY = "tiny"
_VERSION = 1


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
    """The folder of a Qwen3 of random weights, about a million parameters, with a tokenizer that
    is learned from `texts`: briefs and drafts as they are going to be.

    The same arguments find the same folder in `cache`. Its embeddings are not tied, which vLLM
    needs of models whose weights are replaced while it serves them.
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


CARD_FILE = "policy.json"


@dataclass(frozen=True)
class PolicyCard:
    """The vocabulary's fingerprint, and the names that the policy has learned to write."""

    vocabulary: str
    operators: tuple[str, ...]
    tasks: tuple[str, ...]

    @classmethod
    def of(cls, assignments: Sequence[Assignment]) -> PolicyCard:
        """The card of a training."""
        operators = {name for each in assignments for name in each.space.operators}
        return cls(
            assignments[0].space.vocabulary.fingerprint,
            tuple(sorted(operators)),
            tuple(each.name for each in assignments),
        )

    @classmethod
    def read(cls, checkpoint: Path) -> PolicyCard | None:
        """The card of a checkpoint; None for a model that is no policy of ours."""
        try:
            data: dict[str, Any] = orjson.loads((checkpoint / CARD_FILE).read_bytes())
            return cls(data["vocabulary"], tuple(data["operators"]), tuple(data["tasks"]))
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def write(self, checkpoint: Path) -> None:
        """Makes a checkpoint whole."""
        data = {
            "vocabulary": self.vocabulary,
            "operators": self.operators,
            "tasks": self.tasks,
        }
        (checkpoint / CARD_FILE).write_bytes(orjson.dumps(data, option=orjson.OPT_INDENT_2))

    def differences(self, space: RecipeSpace) -> str:
        """In words how a space differs from what the policy was trained on; empty where it does
        not. It writes valid recipes all the same, since the grammar is the space's."""
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


def is_whole(checkpoint: Path) -> bool:
    """Whether everything of a checkpoint was written."""
    return PolicyCard.read(checkpoint) is not None
