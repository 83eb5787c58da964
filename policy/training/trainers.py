"""The three algorithms: GRPO and RLOO as TRL has them, and PPO, each under the grammar."""

from __future__ import annotations

from typing import Any

from trl import GRPOConfig, GRPOTrainer, RLOOConfig, RLOOTrainer

from datachef.policy.training.masked import GroupPolicy, MaskedPolicy
from datachef.policy.training.ppo import ProximalPolicy


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
