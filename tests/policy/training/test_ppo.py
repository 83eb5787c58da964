"""PPO's critic, and the advantages of decisions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import given, strategies as st

from datachef.core.language_models.checkpoint import quiet
from datachef.policy.training.ppo import generalized_advantages

# Two recipes of five tokens; of the first the second and fourth decide, of the second the first.
REWARDS = torch.tensor([1.0, -0.5])
VALUES = torch.tensor([[9.0, 0.2, 9.0, 0.6, 9.0], [0.25, 9.0, 9.0, 9.0, 9.0]])
DECIDED = torch.tensor([[0, 1, 0, 1, 0], [1, 0, 0, 0, 0]])


@pytest.mark.parametrize(
    ("trace", "expected"),
    [
        # What came in the end, less what was expected.
        (1.0, [[0, 0.8, 0, 0.4, 0], [-0.75, 0, 0, 0, 0]]),
        # What the next decision expects, less what was expected.
        (0.0, [[0, 0.4, 0, 0.4, 0], [-0.75, 0, 0, 0, 0]]),
        (0.5, [[0, 0.4 + 0.5 * 0.4, 0, 0.4, 0], [-0.75, 0, 0, 0, 0]]),
    ],
)
def test_advantages_by_hand(trace: float, expected: list[list[float]]) -> None:
    found = generalized_advantages(REWARDS, VALUES, DECIDED, trace)
    torch.testing.assert_close(found, torch.tensor(expected))


@st.composite
def batches(draw: st.DrawFn) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    rows, columns = draw(st.integers(1, 4)), draw(st.integers(1, 6))
    number = st.floats(-2, 2, width=32)
    values = [[draw(number) for _ in range(columns)] for _ in range(rows)]
    decided = [[draw(st.integers(0, 1)) for _ in range(columns)] for _ in range(rows)]
    return (
        torch.tensor([draw(number) for _ in range(rows)]),
        torch.tensor(values),
        torch.tensor(decided),
    )


@given(batches())
def test_the_whole_reward_reaches_every_decision(
    batch: tuple[torch.Tensor, torch.Tensor, torch.Tensor],
) -> None:
    rewards, values, decided = batch
    found = generalized_advantages(rewards, values, decided, 1.0)
    torch.testing.assert_close(found, (rewards[:, None] - values) * decided, atol=1e-5, rtol=0)


@given(batches(), st.floats(0, 1))
def test_what_is_forced_makes_no_difference(
    batch: tuple[torch.Tensor, torch.Tensor, torch.Tensor], trace: float
) -> None:
    rewards, values, decided = batch
    other = torch.where(decided.bool(), values, 7.0)
    found = [generalized_advantages(rewards, each, decided, trace) for each in (values, other)]
    torch.testing.assert_close(*found, atol=0, rtol=0)
    assert not found[0][decided == 0].any()


def test_the_critic_comes_to_expect_the_mean_reward(enumerated: Callable[..., Any]) -> None:
    every = enumerated(
        "ppo",
        learning_rate=0.0,
        max_steps=40,
        per_device_train_batch_size=32,
        num_generations=32,
    )
    with torch.no_grad():
        probabilities = every.scored()[0].sum(1).exp()
    every.trainer.add_critic(1e-2)
    torch.manual_seed(0)
    with quiet(offline=True):
        every.trainer.train()
    begin = torch.tensor([every.prompt])
    with torch.no_grad():
        value = every.trainer.critic(begin, torch.ones_like(begin))[0, -1].item()
    mean = (probabilities * every.worth).sum().item()
    assert value == pytest.approx(mean, abs=0.15)
    # Gradients of one step are none of the next one's.
    assert all(part.grad is None for part in every.trainer.critic.parameters())
