"""Builds registered rewards and evaluation backends by name, and checks what was built."""

from __future__ import annotations

from typing import Any

from pydantic import ValidationError

from datachef.core.contracts.reward import EvaluationBackend, EvaluationConfig, Reward, RewardConfig
from datachef.core.errors import DatachefError, PluginError
from datachef.core.registry.host import Host


def build_reward(host: Host, name: str, config: RewardConfig) -> Reward:
    """The registered reward of this name.

    Raises `DatachefError` for an unknown name and for options that the reward does not accept, and
    `PluginError` where its plugin returns something else than a `Reward`.
    """
    reward: Reward = _build(host, "datachef_rewards", "reward", Reward, name, config)
    return reward


def build_evaluation_backend(host: Host, name: str, config: EvaluationConfig) -> EvaluationBackend:
    """The registered evaluation backend of this name; raises like `build_reward`."""
    hook, what = "datachef_evaluation_backends", "evaluation backend"
    backend: EvaluationBackend = _build(host, hook, what, EvaluationBackend, name, config)
    return backend


def _build(host: Host, hook: str, what: str, contract: type[Any], name: str, config: Any) -> Any:
    factories = host.named(hook)
    if name not in factories:
        hint = host.missing(name, factories) or f"install a plugin that has {hook}"
        raise DatachefError(f"there is no {what} {name!r}", hint)
    try:
        built = factories[name](config)
    except ValidationError as error:
        raise DatachefError(f"options of the {what} {name}: {error}") from error
    if not isinstance(built, contract):
        kind = "None" if built is None else f"a {type(built).__name__}"
        article = "an" if contract.__name__[0] in "AEIOU" else "a"
        raise PluginError(f"the {what} {name} built {kind}, not {article} {contract.__name__}")
    return built
