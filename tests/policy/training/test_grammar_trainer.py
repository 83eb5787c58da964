"""Log-probabilities, entropies and gradients of TRL's trainers under a grammar, on a space so small
that all of its texts are counted."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from transformers import TrainerCallback

from datachef.core import DatachefError
from datachef.core.language_models.checkpoint import quiet
from datachef.policy.decoding.local import token_positions
from datachef.policy.training.grammar_trainer import RLOO

Make = Callable[..., Any]
Prefix = tuple[int, ...]


class Unmasked(RLOO):
    """Scores tokens among the whole vocabulary, as TRL does."""

    def _score(
        self, model: Any, input_ids: torch.Tensor, attention_mask: torch.Tensor, width: int
    ) -> tuple[torch.Tensor, torch.Tensor]:
        start = input_ids.shape[1] - width
        place = token_positions(attention_mask)
        output = model(input_ids=input_ids, attention_mask=attention_mask, position_ids=place)
        distribution = (output.logits[:, start - 1 : -1] / self.temperature).log_softmax(dim=2)
        logps = distribution.gather(2, input_ids[:, start:, None])[..., 0]
        return logps * attention_mask[:, start:], torch.zeros_like(logps)


class Gradients(TrainerCallback):
    """Adds up what training would change weights by."""

    total: Any = 0

    def on_pre_optimizer_step(
        self, args: Any, state: Any, control: Any, model: Any = None, **_: Any
    ) -> None:
        self.total -= torch.cat([weights.grad.flatten() for weights in model.parameters()])


@pytest.mark.parametrize("fast_forward", [True, False])
@pytest.mark.parametrize("temperature", [1.0, 0.6])
def test_the_probabilities_of_all_texts_sum_to_one(
    enumerated: Make, fast_forward: bool, temperature: float
) -> None:
    every = enumerated(fast_forward=fast_forward, temperature=temperature)
    with torch.no_grad():
        logps, _ = every.scored()
    probabilities = logps.sum(1).exp()
    assert probabilities.sum().item() == pytest.approx(1, abs=1e-5)
    # No even distribution, for which any mask would do.
    assert probabilities.max() > 5 * probabilities.median()


@pytest.mark.parametrize("fast_forward", [True, False])
def test_entropies_are_those_of_the_tokens_that_may_follow(
    enumerated: Make, fast_forward: bool
) -> None:
    every = enumerated(fast_forward=fast_forward)
    with torch.no_grad():
        logps, entropies = every.scored()
    following: dict[Prefix, dict[int, float]] = {}
    for text, logp in zip(every.texts, logps.double().sum(1).exp().tolist(), strict=True):
        for index, token in enumerate(text):
            here = following.setdefault(text[:index], {})
            here[token] = here.get(token, 0.0) + logp
    for row, text in enumerate(every.texts):
        for index in range(len(text)):
            shares = torch.tensor(list(following[text[:index]].values()), dtype=torch.float64)
            shares /= shares.sum()
            expected = -(shares * shares.log()).sum().item()
            assert entropies[row, index].item() == pytest.approx(expected, abs=1e-5)
        assert not entropies[row, len(text) :].any()


def test_batches_do_not_change_what_is_scored(enumerated: Make) -> None:
    every = enumerated()
    with torch.no_grad():
        whole, parts = every.scored(), every.scored(batch_size=7)
    for one, other in zip(whole, parts, strict=True):
        torch.testing.assert_close(one, other, atol=1e-5, rtol=0)


def test_the_loss_of_rloo_over_all_texts_has_the_gradient_of_the_expected_reward(
    enumerated: Make,
) -> None:
    every = enumerated("rloo")
    exact, inputs = expected_reward(every)
    loss = every.trainer.compute_loss(every.trainer.model, inputs)
    torch.testing.assert_close(every.gradient(-loss), exact, atol=1e-6, rtol=1e-3)


def test_so_has_that_of_grpo_but_for_its_length(enumerated: Make) -> None:
    every = enumerated("grpo")
    exact, inputs = expected_reward(every)
    loss = every.trainer.compute_loss(every.trainer.model, inputs)
    assert cosine(every.gradient(-loss), exact) > 0.9999


def test_without_the_mask_the_gradient_is_that_of_another_policy(enumerated: Make) -> None:
    every, other = enumerated("rloo"), enumerated("rloo", kind=Unmasked)
    exact, inputs = expected_reward(every)
    # Less what is expected anyway, which changes nothing in a gradient that is exact.
    shares = inputs["old_logps"].exp()
    inputs["advantages"] -= (shares * every.worth).sum() * shares * len(every.texts)
    cosines = []
    for each in (every, other):
        inputs["old_logps"] = each.scored()[0].detach().sum(1)
        loss = each.trainer.compute_loss(each.trainer.model, inputs)
        cosines.append(cosine(each.gradient(-loss), exact))
    assert cosines[0] > 0.9999
    assert cosines[1] < 0.5


@pytest.mark.parametrize("algorithm", ["grpo", "rloo", "ppo"])
def test_what_training_follows_is_the_gradient_of_the_expected_reward(
    enumerated: Make, algorithm: str
) -> None:
    every = enumerated(algorithm, learning_rate=0.0, max_grad_norm=0.0)
    exact, _ = expected_reward(every)
    followed = Gradients()
    every.trainer.add_callback(followed)
    if algorithm == "ppo":
        every.trainer.add_critic(1e-3)
    torch.manual_seed(0)
    with quiet(offline=True):
        every.trainer.train()
    # 0.99 with this seed; what is missing is the noise of 3,072 recipes.
    assert cosine(followed.total, exact) > 0.98


def test_an_entropy_bonus_has_the_gradient_of_the_entropy(enumerated: Make) -> None:
    plain, rewarded = enumerated(), enumerated(entropy=0.3)
    gradients = []
    for every in (plain, rewarded):
        _, inputs = expected_reward(every)
        loss = every.trainer.compute_loss(every.trainer.model, inputs)
        gradients.append(every.gradient(loss))
    _, entropies = plain.scored()
    bonus = plain.gradient(0.3 * entropies.sum() / plain.batch()["completion_mask"].sum())
    assert bonus.norm() > 1e-3
    torch.testing.assert_close(gradients[0] - gradients[1], bonus, atol=1e-6, rtol=1e-3)


def expected_reward(every: Any) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    """The gradient of the expected reward by enumeration, and all texts as the loss takes them,
    each weighted by its probability."""
    logps, _ = every.scored()
    probabilities = logps.sum(1).exp()
    exact = every.gradient((probabilities * every.worth).sum())
    weights = (probabilities * every.worth).detach() * len(every.texts)
    return exact, {
        **every.batch(),
        "advantages": weights,
        "old_logps": logps.sum(1).detach(),
        "num_items_in_batch": torch.tensor(float(len(every.texts))),
    }


def cosine(one: torch.Tensor, other: torch.Tensor) -> float:
    return torch.nn.functional.cosine_similarity(one.double(), other.double(), dim=0).item()


def test_a_token_outside_its_mask_is_refused(enumerated: Make) -> None:
    every = enumerated()
    text = every.texts[0]
    decision = next(every.trainer.grammars.grammar(every.prompt).decisions(text))
    allowed = set(decision.allowed.tolist())
    other = next(token for token in range(len(every.tokenizer)) if token not in allowed)
    every.texts[0] = (*text[: decision.index], other, *text[decision.index + 1 :])
    with pytest.raises(DatachefError, match=f"token {decision.index} of the text"):
        every.scored()


def test_a_prompt_that_was_never_added_is_rejected(enumerated: Make) -> None:
    every = enumerated()
    every.prompt.append(every.prompt[-1])
    with pytest.raises(DatachefError, match="tokenizes a prompt differently"):
        every.scored()
