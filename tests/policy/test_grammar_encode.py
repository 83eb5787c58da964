"""A draft as text, and a text as tokens: what the grammar writes, and what it takes."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from datachef.core import DatachefError, Host
from datachef.policy.grammar import Grammar, draft_text
from datachef.policy.settings import GrammarLimits
from datachef.policy.space import RandomChooser, RecipeSpace, recipe_space
from datachef.policy.space.nodes import Choice, ListOf, Node, OneOf, Record, Text

NUMBER = Record({"a": Choice((1, 10, 0.5))}, {"b": Choice(("x", "xy"))})


def grammar_of(node: Node, tokenizer: Any, *, fast_forward: bool = True) -> Grammar:
    definitions: dict[str, Any] = {}
    schema = {**node.schema(definitions), "$defs": definitions}
    return Grammar(schema, tokenizer, fast_forward=fast_forward)


@pytest.fixture
def space(small_pool: Path) -> RecipeSpace:
    """All that is registered, over two sources."""
    return recipe_space(Host(), small_pool, limits=GrammarLimits())


@pytest.mark.parametrize("fast_forward", [True, False])
def test_every_draft_of_a_real_space_is_spelled(
    space: RecipeSpace, tokenizer: Any, fast_forward: bool
) -> None:
    grammar = Grammar(space.schema(), tokenizer, fast_forward=fast_forward)
    for number in range(40):
        text = draft_text(space.draw(RandomChooser(number)))
        tokens = grammar.encode(text)
        assert tokens[-1] == grammar.end
        assert tokenizer.decode(tokens[:-1]) == text
        decisions = list(grammar.decisions(tokens))
        assert 1 < len(decisions) < len(tokens) / 2
        assert all(tokens[d.index] in d.allowed for d in decisions)


def test_the_longest_token_that_fits_is_taken(
    tokenizer: Any, every_text: Callable[[Grammar], Iterator[tuple[int, ...]]]
) -> None:
    step = Record({"op": Choice(("pass", "the quick brown fox"))}, {})
    grammar = grammar_of(Record({"class": ListOf(OneOf((step,)), 1)}, {}), tokenizer)
    spellings: dict[str, list[tuple[int, ...]]] = {}
    for tokens in every_text(grammar):
        spellings.setdefault(tokenizer.decode(tokens[:-1]), []).append(tokens)
    assert len(spellings) == 3
    assert max(map(len, spellings.values())) > 3
    for text, ways in spellings.items():
        tokens = tuple(grammar.encode(text))
        assert tokens in ways
        assert len(tokens) == min(map(len, ways))


@pytest.mark.parametrize("fast_forward", [True, False])
@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("", "before b''"),
        ('{"a":1', "before b''"),
        ("1}", "before b'1}'"),
        ('{"a":2}', "before b'2}'"),
        ('{"a": 1}', "before b' 1}'"),
        ('{"b":"x","a":1}', """before b'{"b"""),
        ('{"a":1,"b":"xyz"}', """before b'z"}'"""),
        ('{"a":1}}', "after its end: b'}'"),
        ('{"a":1}{"a":1}', "after its end"),
    ],
)
def test_a_text_of_no_grammar_is_refused(
    tokenizer: Any, text: str, place: str, fast_forward: bool
) -> None:
    with pytest.raises(DatachefError) as caught:
        grammar_of(NUMBER, tokenizer, fast_forward=fast_forward).encode(text)
    assert place in str(caught.value)


@given(seed=st.integers(0, 2**32))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=30)
def test_whatever_a_walk_wrote_is_spelled_and_replayed_without_jumps(
    tokenizer: Any, seed: int
) -> None:
    both = [
        grammar_of(NUMBER, tokenizer, fast_forward=fast_forward) for fast_forward in (True, False)
    ]
    rng, state = random.Random(seed), both[1].start()
    tokens = state.forced()
    while not state.finished:
        token = int(rng.choice(state.allowed()))
        state.advance(token)
        tokens += [token, *state.forced()]
    text = tokenizer.decode(tokens[:-1])
    assert list(both[1].decisions(tokens))
    for grammar in both:
        assert tokenizer.decode(grammar.encode(text)[:-1]) == text


# As people write them; the engine reads longer ones a trifle off.
NUMBERS = st.one_of(
    st.integers(-(2**53), 2**53),
    st.builds(
        lambda digits, exponent: float(f"{digits}e{exponent}"),
        st.integers(-(10**12), 10**12),
        st.integers(-20, 12),
    ),
    st.sampled_from([1e-7, 1.5e-9, 1e16, 1e22, -0.0, 2.0]),
)


@given(value=st.one_of(NUMBERS, st.booleans(), st.none()))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=100)
def test_numbers_are_written_as_the_grammar_writes_them(tokenizer: Any, value: Any) -> None:
    grammar = grammar_of(Record({"a": Choice((value,))}, {}), tokenizer)
    assert tokenizer.decode(grammar.start().forced()[:-1]) == draft_text({"a": value})
    read = json.loads(draft_text({"a": value}))["a"]
    assert isinstance(read, bool) == isinstance(value, bool)
    assert read == value or float(read) == value


@given(text=st.text(st.characters(exclude_characters="\x7f", exclude_categories=["Cs"])))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=100)
def test_any_reason_can_be_spelled(tokenizer: Any, text: str) -> None:
    grammar = grammar_of(Record({"why": Text(1_000)}, {}), tokenizer)
    spelled = tokenizer.decode(grammar.encode(draft_text({"why": text})), skip_special_tokens=True)
    assert json.loads(spelled) == {"why": text}


def test_a_draft_is_written_without_white_space_in_its_own_order() -> None:
    draft = {"b": [1.0, 0.25, {"a": True}], "a": "x y"}
    assert draft_text(draft) == '{"b":[1,0.25,{"a":true}],"a":"x y"}'
