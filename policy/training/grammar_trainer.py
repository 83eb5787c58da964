"""TRL's trainers under a grammar: GRPO, RLOO and PPO with masked log-probabilities.

TRL scores a token by its probability among the whole vocabulary. Under a grammar the policy samples
from another distribution, and the gradient of the first is not that of the second. Here sampling
and log-probabilities use the same masked distribution, so the gradient is exact. Tokens that the
grammar forces are no decisions: their probability is 1.

Methods with an underscore are private to TRL, which is why its version is pinned.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from trl import GRPOConfig, GRPOTrainer, RLOOConfig, RLOOTrainer
from trl.models import unwrap_model_for_generation

from datachef.core.errors import DatachefError
from datachef.policy.decoding.local import (
    count_tokens,
    prompt_tokens,
    sample_tokens,
    token_positions,
)
from datachef.policy.grammar import CompiledGrammars, Decision, Grammar, Tokens, lark_grammar
from datachef.policy.prompt.writer import Messages, Prompt
from datachef.policy.training.ppo import PPOCriticMixin

# About as many recipes as in one step, whose decisions are looked up several times.
CACHED_RECIPES = 4_096


@dataclass(frozen=True)
class Decisions:
    """The tokens of a batch of recipes where the grammar left a choice: their rows (n), their
    columns (n) counted from the beginning of the recipes, and the allowed tokens of each."""

    rows: torch.Tensor
    columns: torch.Tensor
    allowed: list[Tokens]

    def mask(self, vocabulary: int) -> torch.Tensor:
        """The mask (n, vocabulary) of allowed tokens."""
        masks = np.zeros((len(self.allowed), vocabulary), dtype=bool)
        for number, tokens in enumerate(self.allowed):
            masks[number, tokens] = True
        return torch.from_numpy(masks).to(self.rows.device)


class GrammarCache:
    """The grammar of each prompt of a training, by the tokens of the prompt, and the decisions in
    recent recipes. `fast_forward` is as in `Grammar`."""

    def __init__(self, tokenizer: Any, *, fast_forward: bool = True) -> None:
        self._tokenizer = tokenizer
        self._prompts: dict[tuple[int, ...], Prompt] = {}
        self._grammars = CompiledGrammars(tokenizer, fast_forward=fast_forward)
        self._decisions: OrderedDict[tuple[tuple[int, ...], tuple[int, ...]], list[Decision]] = (
            OrderedDict()
        )

    def add(self, prompt: Prompt) -> bool:
        """Adds a prompt. False if one with the same tokens, but another space, was added before."""
        tokens = tuple(prompt_tokens(prompt, self._tokenizer))
        known = self._prompts.setdefault(tokens, prompt)
        return known is prompt or known.space.fingerprint == prompt.space.fingerprint

    def count_tokens(self, messages: Messages) -> int:
        """How many tokens of the model a prompt has."""
        return count_tokens(messages, self._tokenizer)

    def prompt(self, tokens: Sequence[int]) -> Prompt:
        """The prompt with these tokens. Raises `DatachefError` if it was not added."""
        found = self._prompts.get(tuple(tokens))
        if found is None:
            raise DatachefError(
                "TRL tokenizes a prompt differently than datachef does",
                "install the version of TRL that datachef requires, and check that the model's "
                "chat template is the same in every process",
            )
        return found

    def grammar(self, tokens: Sequence[int]) -> Grammar:
        """The grammar of the space of the prompt with these tokens."""
        return self._grammars.of(self.prompt(tokens).space)

    def decisions(
        self, input_ids: torch.Tensor, attention_mask: torch.Tensor, start: int
    ) -> Decisions:
        """The decisions of a batch (batch, length) whose recipes begin at column `start`.

        Raises `DatachefError` at a token that is not allowed: it was sampled under another grammar.
        """
        rows: list[int] = []
        found: list[Decision] = []
        ids, mask = input_ids.tolist(), attention_mask.bool().tolist()
        for row, (tokens, present) in enumerate(zip(ids, mask, strict=True)):
            pairs = list(zip(tokens, present, strict=True))
            prompt = tuple(token for token, here in pairs[:start] if here)
            text = tuple(token for token, here in pairs[start:] if here)
            decided = self._decisions_in(prompt, text)
            rows += [row] * len(decided)
            found += decided
        device = input_ids.device
        return Decisions(
            torch.tensor(rows, dtype=torch.long, device=device),
            torch.tensor([d.index for d in found], dtype=torch.long, device=device),
            [decision.allowed for decision in found],
        )

    def _decisions_in(self, prompt: tuple[int, ...], text: tuple[int, ...]) -> list[Decision]:
        key = (prompt, text)
        if key not in self._decisions:
            self._decisions[key] = list(self.grammar(prompt).decisions(text))
            if len(self._decisions) > CACHED_RECIPES:
                self._decisions.popitem(last=False)
        return self._decisions[key]


# Type checkers do not see the methods of TRL's trainers that the mixins call by `super()` or
# `self`, hence the ignored types here and in PPO.
class GrammarTrainerMixin:
    """Adds a grammar to `GRPOTrainer` or `RLOOTrainer`; to be named before it among the bases.

    `grammars` has the grammar of every prompt of the data set.
    """

    grammars: GrammarCache
    # The steps of the whole training, if this run does a part of it.
    total_steps: int | None = None
    # Attributes of TRL's trainers.
    accelerator: Any
    args: Any
    model_wrapped: Any
    temperature: float
    use_vllm: bool

    def create_model_card(self, *_: Any, **__: Any) -> None:
        """None of TRL's: a checkpoint gets one of ours."""

    def create_scheduler(self, num_training_steps: int, optimizer: Any = None) -> Any:
        """The learning rate schedule of the whole training, wherever this run stops."""
        steps = self.total_steps or num_training_steps
        return super().create_scheduler(steps, optimizer)  # type: ignore[misc]

    def _generate_single_turn(self, prompt_ids: list[list[int]], *others: Any, **more: Any) -> Any:
        """The tokens of a recipe for each prompt. For GRPO, vLLM also returns the log-probabilities
        that it sampled with."""
        if self.use_vllm:
            grammar = lark_grammar(self.grammars.prompt(prompt_ids[0]).space.schema())
            engine = self.vllm_generation  # type: ignore[attr-defined]
            engine.generation_kwargs |= {"structured_outputs": {"grammar": grammar}}
            return super()._generate_single_turn(prompt_ids, *others, **more)  # type: ignore[misc]
        with (
            unwrap_model_for_generation(
                self.model_wrapped,
                self.accelerator,
                gather_deepspeed3_params=self.args.ds3_gather_for_generation,
                gradient_checkpointing_kwargs=self.args.gradient_checkpointing_kwargs,
            ) as model,
            torch.no_grad(),
        ):
            training = model.training
            model.eval()
            sampled = sample_tokens(
                model,
                prompt_ids,
                [self.grammars.grammar(prompt) for prompt in prompt_ids],
                temperature=self.temperature,
            )
            model.train(training)
        return self._sampled(sampled)

    def _sampled(self, tokens: list[list[int]]) -> Any:
        """The tokens, in the form that TRL expects from `_generate_single_turn`."""
        return tokens, None

    def _get_per_token_logps_and_entropies(
        self,
        model: Any,
        input_ids: torch.Tensor,
        attention_mask: torch.Tensor,
        logits_to_keep: int,
        batch_size: int | None = None,
        compute_entropy: bool = False,
        **others: Any,
    ) -> tuple[torch.Tensor, torch.Tensor | None, None]:
        """Log-probabilities and entropies (batch, completion) over the allowed tokens; both are 0
        where the grammar left no choice."""
        logps, entropies = [], []
        step = batch_size or len(input_ids)
        for start in range(0, len(input_ids), step):
            some = slice(start, start + step)
            found = self._score(model, input_ids[some], attention_mask[some], logits_to_keep)
            logps.append(found[0])
            entropies.append(found[1])
        return torch.cat(logps), torch.cat(entropies) if compute_entropy else None, None

    def _score(
        self, model: Any, input_ids: torch.Tensor, attention_mask: torch.Tensor, width: int
    ) -> tuple[torch.Tensor, torch.Tensor]:
        start = input_ids.shape[1] - width
        decided = self.grammars.decisions(input_ids, attention_mask, start)
        # Logits are computed only at the columns where some row of the batch has a choice.
        columns, where = torch.unique(decided.columns, return_inverse=True)
        with self.accelerator.autocast():
            logits = model(
                input_ids=input_ids,
                attention_mask=attention_mask,
                position_ids=token_positions(attention_mask),
                logits_to_keep=start + columns - 1,
                use_cache=False,
            ).logits
        allowed = decided.mask(logits.shape[-1])
        chosen = input_ids[decided.rows, start + decided.columns]
        masked = logits[decided.rows, where].float() / self.temperature
        distribution = masked.masked_fill(~allowed, -torch.inf).log_softmax(dim=1)
        # 0 log 0 is 0, and so is its gradient.
        surprise = distribution.masked_fill(~allowed, 0.0)
        entropy = -(surprise.exp() * surprise).sum(1)
        logp = surprise.gather(1, chosen[:, None])[:, 0]
        empty = logits.new_zeros(len(input_ids), width, dtype=torch.float32)
        place = (decided.rows, decided.columns)
        return empty.index_put(place, logp), empty.index_put(place, entropy)


class GrammarGRPOMixin(GrammarTrainerMixin):
    """The mixin for GRPO, whose loss is a mean over tokens: forced tokens are left out of it."""

    def _generate_and_score_completions(self, inputs: Any) -> dict[str, Any]:
        output: dict[str, Any] = super()._generate_and_score_completions(inputs)  # type: ignore[misc]
        ids = torch.cat([output["prompt_ids"], output["completion_ids"]], dim=1)
        mask = torch.cat([output["prompt_mask"], output["completion_mask"]], dim=1)
        decided = self.grammars.decisions(ids, mask, output["prompt_ids"].shape[1])
        output["tool_mask"] = torch.zeros_like(output["completion_mask"]).index_put(
            (decided.rows, decided.columns), torch.ones_like(decided.rows)
        )
        output["num_items_in_batch"] = self.accelerator.gather(output["tool_mask"].sum()).sum()
        return output


class GRPO(GrammarGRPOMixin, GRPOTrainer):
    """Group relative policy optimisation (Shao et al. 2024, arXiv 2402.03300)."""


class RLOO(GrammarTrainerMixin, RLOOTrainer):
    """REINFORCE leave-one-out (Ahmadian et al. 2024, arXiv 2402.14740)."""

    def _sampled(self, tokens: list[list[int]]) -> Any:
        return tokens


class PPO(PPOCriticMixin, GrammarGRPOMixin, GRPOTrainer):
    """Proximal policy optimisation (Schulman et al. 2017, arXiv 1707.06347)."""


ALGORITHMS: dict[str, tuple[type[Any], type[Any]]] = {
    "grpo": (GRPO, GRPOConfig),
    "rloo": (RLOO, RLOOConfig),
    "ppo": (PPO, GRPOConfig),
}
