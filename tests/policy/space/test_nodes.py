"""What is held by a space: exactly what its schema allows."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, strategies as st
from jsonschema import Draft202012Validator

from datachef.core import Host
from datachef.policy.settings import GrammarLimits
from datachef.policy.space import RandomChooser, recipe_space
from datachef.policy.space.nodes import (
    Choice,
    ListOf,
    Node,
    OneOf,
    Record,
    Selection,
    SharedNode,
    Text,
)

VALUES = (0, 1, 1.0, 0.5, True, False, None, "", "a", "ab", "abc", [1], [True], {"a": 1}, {})
JSON = st.recursive(
    st.sampled_from(VALUES),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner),
    max_leaves=6,
)
CHOICES = st.lists(st.sampled_from(VALUES), min_size=1, max_size=3).map(lambda v: Choice(tuple(v)))


def fields(node: st.SearchStrategy[Node]) -> st.SearchStrategy[dict[str, Node]]:
    return st.dictionaries(st.sampled_from("abc"), node, min_size=1, max_size=3)


NODES: st.SearchStrategy[Node] = st.recursive(
    CHOICES | st.builds(Text, st.integers(0, 2)),
    lambda node: st.one_of(
        st.tuples(fields(node), st.integers(0, 3)).map(
            lambda drawn: Record(
                dict(list(drawn[0].items())[: drawn[1]]), dict(list(drawn[0].items())[drawn[1] :])
            )
        ),
        fields(node).map(Selection),
        st.builds(ListOf, node, st.integers(0, 2)),
        st.lists(node, min_size=1, max_size=3).map(lambda nodes: OneOf(tuple(nodes))),
    ),
    max_leaves=6,
)


def valid(node: Node, value: Any) -> bool:
    definitions: dict[str, Any] = {}
    schema = {**node.schema(definitions), "$defs": definitions}
    return bool(Draft202012Validator(schema).is_valid(value))


@given(node=NODES, value=JSON, seed=st.integers(0, 100))
def test_what_is_held_is_what_the_schema_allows(node: Node, value: Any, seed: int) -> None:
    assert node.contains(value) == valid(node, value)
    assert node.contains(node.draw(RandomChooser(seed), ""))


@pytest.mark.parametrize(
    ("node", "held", "other"),
    [
        (Choice((1, "a")), [1, 1.0, "a"], [True, "1", 2, None, ["a"]]),
        (Choice((True, None)), [True, None], [1, False, "null"]),
        (Choice((("x", 1), {"k": 0})), [["x", 1], {"k": 0.0}], [["x"], ["x", True], {"k": False}]),
        (Text(2), ["", "ab", "é€"], ["abc", None, ["a"]]),
        (
            Record({"a": Choice((1,))}, {"b": Choice((2,))}),
            [{"a": 1}, {"b": 2, "a": 1}],
            [{}, {"b": 2}, {"a": 1, "c": 3}, {"a": 2}, [["a", 1]]],
        ),
        (
            Selection({"a": Choice((1,)), "b": Choice((2,))}),
            [{"b": 2}, {"a": 1, "b": 2}],
            [{}, {"a": 2}, {"c": 1}, []],
        ),
        (ListOf(Choice((1, 2)), 2), [[], [2, 2]], [[1, 1, 1], [3], "12", {}]),
        (
            SharedNode("s", OneOf((Choice((1,)), Text(1)))),
            [1, "x"],
            ["xy", 2],
        ),
    ],
)
def test_each_kind_of_node(node: Node, held: list[Any], other: list[Any]) -> None:
    assert [value for value in held if not (node.contains(value) and valid(node, value))] == []
    assert [value for value in other if node.contains(value) or valid(node, value)] == []


def test_every_draft_is_held_and_none_with_something_else(pool: Path, host: Host) -> None:
    limits = GrammarLimits(reason_characters=5)
    space = recipe_space(host, pool, pool.parent / "task.yaml", limits)
    for seed in range(50):
        draft = json.loads(json.dumps(space.draw(RandomChooser(seed))))
        assert space.root.contains(draft)
        source = next(iter(draft["sources"].values()))
        source["weight"] = 3
        assert not space.root.contains(draft)
