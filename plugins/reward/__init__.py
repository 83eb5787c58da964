"""The reward: `chef score`, `evaluate`, `fit`, `history`, and the reward `proxy` for policies."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from datachef.core import hookimpl

if TYPE_CHECKING:
    import typer

    from datachef.core import Reward
    from datachef.core.contracts.reward import RewardConfig


@hookimpl
def datachef_rewards() -> Mapping[str, Callable[[RewardConfig], Reward]]:
    from datachef.plugins.reward.factory import proxy_reward

    return {"proxy": proxy_reward}


@hookimpl
def datachef_commands(app: typer.Typer) -> None:
    from datachef.plugins.reward import evaluating, fitting, remembering, scoring

    for module in (scoring, evaluating, fitting, remembering):
        module.register(app)
