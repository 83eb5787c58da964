"""Tokens under a grammar: everything that is allowed, nothing else, and all of it counted."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from datachef.core import DatachefError, Host
from datachef.policy.grammar import Grammar
from datachef.policy.space import recipe_space
from datachef.policy.space.nodes import Choice, ListOf, Node, OneOf, Record, Selection, Text

JUMP = Record({"op": Choice(("jump",))}, {"far": Choice((0.5, 1.0))})
SMALL = Record(
    {
        "sources": Selection({"a": Choice((1, 10)), "b": Choice((1,)), "c": Choice((True,))}),
        "steps": ListOf(OneOf((JUMP, Record({"op": Choice(("just",))}, {}))), 2),
    },
    {},
)
# Sources: 3 ways to have a or not, 2 each for b and c, but for nothing at all; steps: 4 kinds.
SMALL_SIZE = (3 * 2 * 2 - 1) * (1 + 4 + 4**2)


def schema_of(node: Node) -> dict[str, Any]:
    definitions: dict[str, Any] = {}
    return {**node.schema(definitions), "$defs": definitions}


def random_text(grammar: Grammar, rng: random.Random) -> list[int]:
    state = grammar.start()
    written = state.forced()
    while not state.finished:
        token = int(rng.choice(state.allowed()))
        state.advance(token)
        written += [token, *state.forced()]
    return written


def test_the_probabilities_of_all_texts_sum_to_one(
    tokenizer: Any, every_text: Callable[[Grammar], Iterator[tuple[int, ...]]]
) -> None:
    grammar = Grammar(schema_of(SMALL), tokenizer)
    texts = list(every_text(grammar))
    assert len(set(texts)) == len(texts)
    assert len({tokenizer.decode(text) for text in texts}) == SMALL_SIZE
    total = 0.0
    for text in texts:
        # Of the tokens allowed, one of an even number is three times as likely as another.
        probability = 1.0
        for decision in grammar.decisions(text):
            weights = {int(token): 3 - 2 * (token % 2) for token in decision.allowed}
            probability *= weights[text[decision.index]] / sum(weights.values())
        total += probability
    assert total == pytest.approx(1, abs=1e-9)


def test_what_is_forced_is_no_decision(tokenizer: Any) -> None:
    grammar = Grammar(schema_of(SMALL), tokenizer)
    text = random_text(grammar, random.Random(0))
    decisions = list(grammar.decisions(text))
    assert all(len(decision.allowed) > 1 for decision in decisions)
    assert len(decisions) < len(text) / 2
    assert text[-1] == tokenizer.eos_token_id
    only = Grammar(schema_of(Record({"a": Choice((1,))}, {})), tokenizer)
    forced = only.start().forced()
    assert tokenizer.decode(forced, skip_special_tokens=True) == '{"a":1}'
    assert list(only.decisions(forced)) == []


def test_every_text_of_a_real_space_is_a_draft(tokenizer: Any, small_pool: Path) -> None:
    space = recipe_space(Host(), small_pool)
    grammar, schema = Grammar(space.schema(), tokenizer), Draft202012Validator(space.schema())
    rng = random.Random(1)
    for _ in range(30):
        text = random_text(grammar, rng)
        schema.validate(json.loads(tokenizer.decode(text, skip_special_tokens=True)))
        assert all(text[d.index] in d.allowed for d in grammar.decisions(text))


def test_reasons_are_no_longer_than_they_may(tokenizer: Any) -> None:
    grammar = Grammar(schema_of(Record({"why": Text(8)}, {})), tokenizer)
    rng = random.Random(2)
    reasons = [
        json.loads(tokenizer.decode(random_text(grammar, rng), skip_special_tokens=True))["why"]
        for _ in range(50)
    ]
    assert max(map(len, reasons)) == 8


def test_a_text_of_another_grammar_is_refused(tokenizer: Any) -> None:
    grammar = Grammar(schema_of(SMALL), tokenizer)
    text = random_text(grammar, random.Random(3))
    other = Grammar(schema_of(Record({"a": Choice((1, 2))}, {})), tokenizer)
    with pytest.raises(DatachefError, match="token 0"):
        list(other.decisions(text))
    with pytest.raises(DatachefError, match="after its end"):
        list(grammar.decisions([*text, text[0]]))
    place = next(grammar.decisions(text)).index
    with pytest.raises(DatachefError, match=f"token {place} of the text is not in the grammar"):
        list(grammar.decisions([*text[:place], tokenizer.eos_token_id, *text[place + 1 :]]))


def test_a_schema_that_is_not_known_exactly_is_refused(tokenizer: Any) -> None:
    with pytest.raises(DatachefError, match="no grammar"):
        Grammar({"type": "array", "uniqueItems": True}, tokenizer)
