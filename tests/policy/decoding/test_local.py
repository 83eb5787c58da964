"""Sampling under a grammar: from the distribution of the model over what is allowed, whatever the
batch, its padding and its strides."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from scipy.stats import chisquare

from datachef.core import Problem
from datachef.core.language_models.checkpoint import load_model, load_tokenizer
from datachef.policy.decoding import local
from datachef.policy.decoding.local import LocalDecoder, _cache_parameter, sample_tokens
from datachef.policy.grammar import Grammar, draft_text
from datachef.policy.model import make_tiny_policy
from datachef.policy.prompt.writer import Prompt
from datachef.policy.space import RandomChooser, RecipeSpace
from datachef.policy.space.nodes import Choice, ListOf, Node, OneOf, Record, Selection

Text = tuple[int, ...]

JUMP = Record({"op": Choice(("jump",))}, {"far": Choice((0.5, 10))})
SMALL = Record(
    {
        "sources": Selection({"a": Choice((1, 10)), "b": Choice((1,))}),
        "steps": ListOf(OneOf((JUMP, Record({"op": Choice(("just",))}, {}))), 1),
    },
    {},
)
SHORT = Record({"a": Choice((1, 2, 10))}, {})
LONG = Record({"steps": ListOf(OneOf((JUMP,)), 1), "why": Choice(("it is so far", "so"))}, {})


@dataclass(frozen=True)
class Asked:
    """A prompt, the grammar of what may follow it, and all texts of that."""

    prompt: list[int]
    grammar: Grammar
    texts: list[Text]


@dataclass(frozen=True)
class Sampling:
    """A model that is far from even, and prompts of different lengths for it."""

    model: Any
    tokenizer: Any
    asked: list[Asked]

    def sample(self, asked: Sequence[Asked], temperature: float, seed: int = 0) -> list[Text]:
        texts = sample_tokens(
            self.model,
            [each.prompt for each in asked],
            [each.grammar for each in asked],
            temperature=temperature,
            generator=torch.Generator().manual_seed(seed),
        )
        return [tuple(text) for text in texts]

    def probabilities(self, asked: Asked, temperature: float) -> torch.Tensor:
        """Of all texts, from the logits of each alone."""
        found = []
        for text in asked.texts:
            with torch.no_grad():
                logits = self.model(torch.tensor([[*asked.prompt, *text]])).logits[0].double()
            logp = 0.0
            for decision in asked.grammar.decisions(text):
                allowed = torch.from_numpy(decision.allowed)
                here = logits[len(asked.prompt) + decision.index - 1, allowed] / temperature
                chosen = (allowed == text[decision.index]).nonzero().item()
                logp += here.log_softmax(0)[int(chosen)].item()
            found.append(logp)
        return torch.tensor(found, dtype=torch.float64).exp()


def grammar_of(root: Node, tokenizer: Any) -> Grammar:
    definitions: dict[str, Any] = {}
    return Grammar({**root.schema(definitions), "$defs": definitions}, tokenizer)


@pytest.fixture(scope="module")
def sampling(
    tmp_path_factory: pytest.TempPathFactory,
    every_text: Callable[[Grammar], Iterator[Text]],
) -> Iterator[Sampling]:
    roots: list[Node] = [SMALL, SHORT, LONG]
    drafts = [root.draw(RandomChooser(number), "") for root in roots for number in range(50)]
    cache = tmp_path_factory.mktemp("models")
    folder = make_tiny_policy(
        [*map(draft_text, drafts)], cache, vocabulary=280, hidden=32, layers=2, positions=512
    )
    tokenizer, model = load_tokenizer(folder), load_model(folder)
    with torch.no_grad():
        model.lm_head.weight *= 10
    asked: list[Asked] = []
    for root, prompt in zip(roots, ("Write.", "a", "Write a long one, " * 3), strict=True):
        grammar = grammar_of(root, tokenizer)
        asked.append(Asked(tokenizer.encode(prompt), grammar, list(every_text(grammar))))
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield Sampling(model.eval(), tokenizer, asked)
    torch.set_num_threads(threads)


@pytest.mark.parametrize("temperature", [1.0, 0.5])
def test_rows_of_any_batch_are_drawn_from_their_own_distribution(
    sampling: Sampling, temperature: float
) -> None:
    assert len({len(each.prompt) for each in sampling.asked}) == 3
    drawn = sampling.sample(sampling.asked * 400, temperature)
    for row, asked in enumerate(sampling.asked):
        exact = sampling.probabilities(asked, temperature)
        assert exact.sum().item() == pytest.approx(1, abs=1e-6)
        counted = Counter(drawn[row :: len(sampling.asked)])
        assert set(counted) <= set(asked.texts)
        assert fits(counted, dict(zip(asked.texts, exact.tolist(), strict=True)))
        even = dict.fromkeys(asked.texts, 1 / len(asked.texts))
        assert not fits(counted, even)


def fits(counted: Counter[Text], expected: dict[Text, float]) -> bool:
    """Whether chi-square has no doubt that these were drawn from those; rare ones are one."""
    total = counted.total()
    common = [text for text, share in expected.items() if share * total >= 5]
    found = [counted[text] for text in common]
    shares = [expected[text] for text in common]
    if sum(shares) < 1 - 1e-9:
        found.append(total - sum(found))
        shares.append(1 - sum(shares))
    return bool(chisquare(found, [share * total for share in shares]).pvalue > 0.001)


@pytest.mark.parametrize("stride", [1, 3, 8])
def test_a_row_decides_in_a_batch_as_alone(
    sampling: Sampling, stride: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    alone = [sampling.sample([each], 0)[0] for each in sampling.asked]
    likeliest = [step_by_step(sampling.model, each) for each in sampling.asked]
    assert alone == likeliest
    monkeypatch.setattr(local, "STRIDE", stride)
    for order in ((0, 1, 2), (2, 0, 1), (1, 1, 2)):
        asked = [sampling.asked[number] for number in order]
        assert sampling.sample(asked, 0) == [alone[number] for number in order]


def step_by_step(model: Any, asked: Asked) -> Text:
    """The likeliest token wherever there is a choice, all read anew for each."""
    state = asked.grammar.start()
    text = state.forced()
    while not state.finished:
        with torch.no_grad():
            logits = model(torch.tensor([[*asked.prompt, *text]])).logits[0, -1]
        allowed = state.allowed()
        token = int(allowed[int(logits[torch.from_numpy(allowed)].argmax())])
        state.advance(token)
        text += [token, *state.forced()]
    return tuple(text)


def test_a_cold_model_takes_the_likeliest_and_a_hot_one_anything(sampling: Sampling) -> None:
    asked = sampling.asked[0]
    likeliest = sampling.sample([asked], 0)
    assert set(sampling.sample([asked] * 50, 1e-3)) == set(likeliest)
    assert len(set(sampling.sample([asked] * 50, 10.0))) > 20


class Renamed(torch.nn.Module):
    """The same model, whose cache has the name that it had before transformers 5.24."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model, self.device = model, model.device
        self.cache = _cache_parameter(model)

    def forward(self, input_ids: Any, past_key_values: Any, **rest: Any) -> Any:
        return self.model(input_ids=input_ids, **{self.cache: past_key_values}, **rest)


class Adapted(torch.nn.Module):
    """The same model as PEFT wraps it: no name of a parameter is left."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model, self.device = model, model.device

    def get_base_model(self) -> Any:
        return self.model

    def forward(self, **arguments: Any) -> Any:
        return self.model(**arguments)


@pytest.mark.parametrize("wrapper", [Renamed, Adapted])
def test_the_cache_is_passed_by_the_name_that_the_model_knows(
    sampling: Sampling, wrapper: Callable[[Any], Any]
) -> None:
    expected = sampling.sample(sampling.asked, 1.0)
    wrapped = replace(sampling, model=wrapper(sampling.model))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert sampling.sample(sampling.asked, 1.0) == expected
        assert wrapped.sample(sampling.asked, 1.0) == expected


def test_a_seed_tells_all_texts(sampling: Sampling) -> None:
    asked = sampling.asked * 10
    state = torch.get_rng_state()
    first = sampling.sample(asked, 1.0, seed=1)
    assert first == sampling.sample(asked, 1.0, seed=1)
    assert first != sampling.sample(asked, 1.0, seed=2)
    assert torch.equal(torch.get_rng_state(), state)
    # Without a generator torch's own is used, as trainers restore it.
    own = []
    for _ in range(2):
        torch.manual_seed(3)
        prompts, grammars = [a.prompt for a in asked], [a.grammar for a in asked]
        own.append(sample_tokens(sampling.model, prompts, grammars, temperature=1.0))
    assert own[0] == own[1]


def test_texts_without_a_choice_are_written_beside_others(sampling: Sampling) -> None:
    only = grammar_of(Record({"a": Choice((7,))}, {}), sampling.tokenizer)
    forced = replace(sampling.asked[1], grammar=only)
    alone = sampling.sample([forced, forced], 1.0)
    assert alone[0] == alone[1] == tuple(forced.grammar.start().forced())
    drawn = sampling.sample([forced, sampling.asked[2], forced], 1.0)
    assert drawn[0] == drawn[2] == alone[0]
    assert drawn[1] in sampling.asked[2].texts


def test_a_local_model_writes_nothing_but_recipes(
    prompts: list[Prompt],
    problems: Callable[[RecipeSpace, dict[str, Any]], list[Problem]],
    tmp_path: Path,
) -> None:
    drafts = [draft_text(prompts[0].space.draw(RandomChooser(number))) for number in range(20)]
    folder = make_tiny_policy(drafts, tmp_path, vocabulary=300, hidden=32, layers=1)
    decoder = LocalDecoder(load_model(folder), load_tokenizer(folder), batch=6)
    first = decoder.sample(prompts, seed=5)
    assert [problems(prompts[0].space, draft) for draft in first] == [[]] * len(prompts)
    assert decoder.sample(prompts, seed=5) == first
    assert decoder.sample(prompts, seed=6) != first
