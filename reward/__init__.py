"""The reward: it predicts what a recipe will score, and measures what it really scores.

Registers the metrics, the reward `proxy`, the evaluation backend `fine_tuning`, and the commands
`chef score`, `evaluate`, `fit` and `history`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from datachef.core.registry.hookspecs import hookimpl

if TYPE_CHECKING:
    import typer

    from datachef.core.contracts.metric import Metric
    from datachef.core.contracts.reward import (
        EvaluationBackend,
        EvaluationConfig,
        Reward,
        RewardConfig,
    )


@hookimpl
def datachef_rewards() -> Mapping[str, Callable[[RewardConfig], Reward]]:
    from datachef.reward.config import proxy_reward

    return {"proxy": proxy_reward}


@hookimpl
def datachef_metrics() -> Sequence[type[Metric]]:
    from datachef.reward.metrics import our_metrics

    return our_metrics()


@hookimpl
def datachef_evaluation_backends() -> Mapping[str, Callable[[EvaluationConfig], EvaluationBackend]]:
    from datachef.reward.evaluation_backend import FineTuningBackend

    return {"fine_tuning": FineTuningBackend}


@hookimpl
def datachef_commands(app: typer.Typer) -> None:
    from datachef.reward import commands

    commands.register(app)
