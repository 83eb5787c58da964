"""The policy that really acts: TRL's trainers under a grammar.

TRL's own trainers score a token by its probability among the whole vocabulary. A policy whose
grammar forbids most of it has another distribution, and the gradient of the first is not that of
the second. Here sampling and log-probabilities use the same masked distribution, so that the
gradient is exact, and tokens that the grammar forces are no decisions: their probability is 1.

The methods with an underscore are private to TRL, hence its pinned version.
"""

from __future__ import annotations

from typing import Any

import torch
from trl.models import unwrap_model_for_generation

from datachef.policy.decoding.tokens import sample_tokens
from datachef.policy.grammar import lark
from datachef.policy.training.book import Book


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
                position_ids=positions(attention_mask),
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


def positions(attention_mask: torch.Tensor) -> torch.Tensor:
    """The place of every token in its text, whatever padding stands before it."""
    return (attention_mask.cumsum(1) - 1).clamp(min=0)


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
