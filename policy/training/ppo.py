"""PPO on top of TRL's GRPO: a critic, and an advantage for each decision instead of each recipe.

The clipped policy loss is GRPO's. A recipe is rewarded at its end. Time steps are decisions, not
tokens: most tokens are forced, and over them the critic would mainly learn the grammar.
"""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

from datachef.policy.decoding.local import token_positions

CRITIC = "critic.safetensors"
# The lambda of generalized advantage estimation: at 1, every decision gets the whole reward. Less
# would rely on a critic that has learned little yet.
LAMBDA = 1.0
VALUE_WEIGHT = 0.5
VALUE_CLIP = 0.2


class Critic(torch.nn.Module):
    """Predicts the reward of a recipe from its beginning: a copy of the initial policy's backbone,
    and a linear head with one value for each token."""

    def __init__(self, policy: Any) -> None:
        super().__init__()
        self.backbone = copy.deepcopy(policy.base_model)
        self.head = torch.nn.Linear(policy.config.hidden_size, 1)
        torch.nn.init.zeros_(self.head.weight)
        torch.nn.init.zeros_(self.head.bias)

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        """Values (batch, length), each from the tokens up to its position."""
        hidden = self.backbone(
            input_ids=input_ids,
            attention_mask=attention_mask,
            position_ids=token_positions(attention_mask),
            use_cache=False,
        ).last_hidden_state
        values: torch.Tensor = self.head(hidden.to(self.head.weight.dtype))[..., 0]
        return values


class PPOCriticMixin:
    """Adds a critic to a GRPO trainer under a grammar; to be named before it among the bases."""

    critic_learning_rate = 1e-3
    # Attributes of TRL's trainer.
    accelerator: Any
    model: Any
    optimizer: Any
    reward_weights: torch.Tensor

    def add_critic(self, learning_rate: float) -> None:
        """Makes the critic from a copy of the policy. To be called before training."""
        policy = self.accelerator.unwrap_model(self.model)
        self.critic_learning_rate = learning_rate
        plain = policy.get_base_model() if hasattr(policy, "get_base_model") else policy
        self.critic = self.accelerator.prepare_model(Critic(plain).to(policy.device))
        self.critic.requires_grad_(True)

    def create_optimizer(self, *arguments: Any) -> Any:
        optimizer = super().create_optimizer(*arguments)  # type: ignore[misc]
        optimizer.add_param_group(
            {"params": list(self.critic.parameters()), "lr": self.critic_learning_rate}
        )
        # transformers zeroes only the gradients of the policy.
        optimizer.register_step_post_hook(lambda *_: self.critic.zero_grad())
        return optimizer

    def _calculate_rewards(self, inputs: Any, *others: Any) -> torch.Tensor:
        found: torch.Tensor = super()._calculate_rewards(inputs, *others)  # type: ignore[misc]
        start = self.accelerator.process_index * len(inputs)
        own = found[start : start + len(inputs)]
        self._rewards = (own * self.reward_weights.to(own.device)).nansum(dim=1)
        return found

    def _generate_and_score_completions(self, inputs: Any) -> dict[str, Any]:
        output: dict[str, Any] = super()._generate_and_score_completions(inputs)  # type: ignore[misc]
        with torch.no_grad():
            values = self._values(output)
        decided = output["tool_mask"]
        advantages = generalized_advantages(self._rewards, values, decided, LAMBDA)
        output["old_values"] = values
        output["returns"] = advantages + values
        count = decided.sum().clamp(min=1)
        mean = (advantages * decided).sum() / count
        spread = (((advantages - mean) ** 2 * decided).sum() / count).sqrt()
        output["advantages"] = (advantages - mean) / (spread + 1e-8) * decided
        return output

    def _compute_loss(self, model: Any, inputs: dict[str, Any]) -> torch.Tensor:
        loss: torch.Tensor = super()._compute_loss(model, inputs)  # type: ignore[misc]
        values, decided = self._values(inputs), inputs["tool_mask"]
        old, returns = inputs["old_values"], inputs["returns"]
        near = old + (values - old).clamp(-VALUE_CLIP, VALUE_CLIP)
        worst = torch.max((values - returns) ** 2, (near - returns) ** 2)
        value_loss: torch.Tensor = (worst * decided).sum() / decided.sum().clamp(min=1)
        self._metrics["train"]["value_loss"].append(value_loss.item())  # type: ignore[attr-defined]
        steps: int = self.current_gradient_accumulation_steps  # type: ignore[attr-defined]
        return loss + VALUE_WEIGHT * value_loss / steps

    def _values(self, inputs: dict[str, Any]) -> torch.Tensor:
        """The critic's values before each token of the recipes."""
        ids = torch.cat([inputs["prompt_ids"], inputs["completion_ids"]], dim=1)
        mask = torch.cat([inputs["prompt_mask"], inputs["completion_mask"]], dim=1)
        values: torch.Tensor = self.critic(ids, mask)
        return values[:, inputs["prompt_ids"].shape[1] - 1 : -1]

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        super()._save_checkpoint(model, trial)  # type: ignore[misc]
        if self.accelerator.is_main_process:
            folder = Path(self._get_output_dir(trial=trial))  # type: ignore[attr-defined]
            step = self.state.global_step  # type: ignore[attr-defined]
            critic = self.accelerator.unwrap_model(self.critic)
            save_file(critic.state_dict(), folder / f"checkpoint-{step}" / CRITIC)

    def _load_from_checkpoint(self, checkpoint: str, model: Any = None) -> None:
        super()._load_from_checkpoint(checkpoint, model)  # type: ignore[misc]
        critic = self.accelerator.unwrap_model(self.critic)
        critic.load_state_dict(load_file(Path(checkpoint) / CRITIC))


def generalized_advantages(
    rewards: torch.Tensor, values: torch.Tensor, decided: torch.Tensor, trace: float
) -> torch.Tensor:
    """Generalized advantage estimates (batch, tokens) of the decisions, 0 elsewhere (Schulman et
    al. 2015, arXiv 1506.02438), undiscounted.

    `rewards` (batch) come after the last decision, `values` (batch, tokens) are those before each
    token, `decided` (batch, tokens) marks the decisions, and `trace` is lambda.
    """
    following = rewards.clone()  # the value of the next decision; at the end, the reward
    running = torch.zeros_like(rewards)
    advantages = torch.zeros_like(values)
    for column in range(values.shape[1] - 1, -1, -1):
        here = decided[:, column].bool()
        error = following - values[:, column]
        running = torch.where(here, error + trace * running, running)
        advantages[:, column] = torch.where(here, running, 0.0)
        following = torch.where(here, values[:, column], following)
    return advantages
