"""Moved to `datachef.reward`; goes once every installation names that."""

from datachef.reward import (
    datachef_commands,
    datachef_evaluation_backends,
    datachef_metrics,
    datachef_rewards,
)

__all__ = [
    "datachef_commands",
    "datachef_evaluation_backends",
    "datachef_metrics",
    "datachef_rewards",
]
