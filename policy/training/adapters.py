"""Low-rank adapters, where the settings ask for them."""

from __future__ import annotations

from typing import Any

from peft import LoraConfig

from datachef.policy.training.settings import TrainSettings


def adapters(settings: TrainSettings) -> Any:
    """What TRL's trainers take as `peft_config`; None to train all weights."""
    if settings.lora is None:
        return None
    return LoraConfig(
        r=settings.lora.rank,
        lora_alpha=settings.lora.alpha,
        target_modules="all-linear",
        task_type="CAUSAL_LM",
    )
