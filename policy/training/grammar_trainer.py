"""Which grammar belongs to which brief, and where finished recipes decided."""

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
from datachef.policy.grammar import Decision, Grammar, Grammars, Tokens, lark
from datachef.policy.prompt.writer import Brief, Messages
from datachef.policy.training.ppo import ProximalPolicy

# Recipes of about one step, whose decisions are asked for several times.
REMEMBERED = 4_096


@dataclass(frozen=True)
class Decisions:
    """Where the recipes of a batch decided: rows (n), columns (n) counted from where the recipes
    begin, and the tokens that were allowed there."""

    rows: torch.Tensor
    columns: torch.Tensor
    allowed: list[Tokens]

    def mask(self, vocabulary: int) -> torch.Tensor:
        """What was allowed (n, vocabulary)."""
        masks = np.zeros((len(self.allowed), vocabulary), dtype=bool)
        for number, tokens in enumerate(self.allowed):
            masks[number, tokens] = True
        return torch.from_numpy(masks).to(self.rows.device)


class Book:
    """The briefs of a training by their tokens. `jumps` as for `Grammar`."""

    def __init__(self, tokenizer: Any, *, jumps: bool = True) -> None:
        self._tokenizer = tokenizer
        self._briefs: dict[tuple[int, ...], Brief] = {}
        self._grammars = Grammars(tokenizer, jumps=jumps)
        self._decisions: OrderedDict[tuple[tuple[int, ...], tuple[int, ...]], list[Decision]] = (
            OrderedDict()
        )

    def add(self, brief: Brief) -> bool:
        """Enters a brief. False where another one reads the same and allows something else."""
        tokens = tuple(prompt_tokens(brief, self._tokenizer))
        known = self._briefs.setdefault(tokens, brief)
        return known is brief or known.space.fingerprint == brief.space.fingerprint

    def count_tokens(self, messages: Messages) -> int:
        """How many tokens of the model a brief has."""
        return count_tokens(messages, self._tokenizer)

    def brief(self, prompt: Sequence[int]) -> Brief:
        """The brief that reads so. Raises `DatachefError` for one that was never entered."""
        found = self._briefs.get(tuple(prompt))
        if found is None:
            raise DatachefError("the trainer reads a brief otherwise than we do")
        return found

    def grammar(self, prompt: Sequence[int]) -> Grammar:
        """The grammar of what may be written for a brief, compiled once."""
        return self._grammars.of(self.brief(prompt).space)

    def decisions(
        self, input_ids: torch.Tensor, attention_mask: torch.Tensor, start: int
    ) -> Decisions:
        """The decisions of a batch (batch, length) whose recipes begin at column `start`.

        Raises `DatachefError` at a token that was not allowed: whoever sampled it has another
        grammar.
        """
        rows: list[int] = []
        found: list[Decision] = []
        ids, mask = input_ids.tolist(), attention_mask.bool().tolist()
        for row, (tokens, present) in enumerate(zip(ids, mask, strict=True)):
            pairs = list(zip(tokens, present, strict=True))
            prompt = tuple(token for token, here in pairs[:start] if here)
            text = tuple(token for token, here in pairs[start:] if here)
            decided = self._replayed(prompt, text)
            rows += [row] * len(decided)
            found += decided
        device = input_ids.device
        return Decisions(
            torch.tensor(rows, dtype=torch.long, device=device),
            torch.tensor([d.index for d in found], dtype=torch.long, device=device),
            [decision.allowed for decision in found],
        )

    def _replayed(self, prompt: tuple[int, ...], text: tuple[int, ...]) -> list[Decision]:
        key = (prompt, text)
        if key not in self._decisions:
            self._decisions[key] = list(self.grammar(prompt).decisions(text))
            if len(self._decisions) > REMEMBERED:
                self._decisions.popitem(last=False)
        return self._decisions[key]


# What the mixins call of TRL's trainers, by `super()` or `self`, no type checker can see: hence the
# types that are ignored here and in PPO.
class MaskedPolicy:
    """Mixed into `GRPOTrainer` or `RLOOTrainer`, before it. `book` knows the grammar of every
    brief of the data set."""

    book: Book
    # Of the whole training, where one run does a part of it.
    total_steps: int | None = None
    # Attributes of TRL's trainers.
    accelerator: Any
    args: Any
    model_wrapped: Any
    temperature: float
    use_vllm: bool

    def create_scheduler(self, num_training_steps: int, optimizer: Any = None) -> Any:
        """The schedule of the whole training, wherever this run stops."""
        steps = self.total_steps or num_training_steps
        return super().create_scheduler(steps, optimizer)  # type: ignore[misc]

    def _generate_single_turn(self, prompt_ids: list[list[int]], *others: Any, **more: Any) -> Any:
        """The tokens of one recipe for each brief. GRPO also takes the log-probabilities that vLLM
        says it sampled with."""
        if self.use_vllm:
            grammar = lark(self.book.brief(prompt_ids[0]).space.schema())
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
                [self.book.grammar(prompt) for prompt in prompt_ids],
                temperature=self.temperature,
            )
            model.train(training)
        return self._sampled(sampled)

    def _sampled(self, tokens: list[list[int]]) -> Any:
        """What TRL expects of its own method."""
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
        """Log-probabilities and entropies (batch, completion) among what the grammar allowed, both
        0 where it left no choice."""
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
        decided = self.book.decisions(input_ids, attention_mask, start)
        # Logits are computed only where some row of the batch decides.
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


class GroupPolicy(MaskedPolicy):
    """For trainers whose loss is over tokens: forced ones are left out of its means."""

    def _generate_and_score_completions(self, inputs: Any) -> dict[str, Any]:
        output: dict[str, Any] = super()._generate_and_score_completions(inputs)  # type: ignore[misc]
        ids = torch.cat([output["prompt_ids"], output["completion_ids"]], dim=1)
        mask = torch.cat([output["prompt_mask"], output["completion_mask"]], dim=1)
        decided = self.book.decisions(ids, mask, output["prompt_ids"].shape[1])
        output["tool_mask"] = torch.zeros_like(output["completion_mask"]).index_put(
            (decided.rows, decided.columns), torch.ones_like(decided.rows)
        )
        output["num_items_in_batch"] = self.accelerator.gather(output["tool_mask"].sum()).sum()
        return output


class GRPO(GroupPolicy, GRPOTrainer):
    """Group relative policy optimisation (Shao et al. 2024, arXiv 2402.03300)."""


class RLOO(MaskedPolicy, RLOOTrainer):
    """REINFORCE leave-one-out (Ahmadian et al. 2024, arXiv 2402.14740)."""

    def _sampled(self, tokens: list[list[int]]) -> Any:
        return tokens


class PPO(ProximalPolicy, GroupPolicy, GRPOTrainer):
    """Proximal policy optimisation (Schulman et al. 2017, arXiv 1707.06347)."""


ALGORITHMS: dict[str, tuple[type[Any], type[Any]]] = {
    "grpo": (GRPO, GRPOConfig),
    "rloo": (RLOO, RLOOConfig),
    "ppo": (PPO, GRPOConfig),
}
