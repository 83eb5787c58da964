from __future__ import annotations

import pickle
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings, strategies as st
from pydantic import ValidationError

from datachef.core import Host, MixOperator, Operator, Recipe, document

slow_to_draw = settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)


def operators(recipe: Recipe) -> list[Operator]:
    steps = [step for source in recipe.sources.values() for step in source.steps]
    return [*steps, *([recipe.mix] if recipe.mix else []), *recipe.steps]


@given(data=st.data())
@slow_to_draw
def test_yaml_and_recipe_are_the_same_thing(
    recipes: st.SearchStrategy[dict[str, Any]], installed: Host, data: st.DataObject
) -> None:
    model = installed.vocabulary.recipe_model
    first = document.parse(document.dump(data.draw(recipes)))
    assert first.problems == ()
    recipe = model.model_validate(first.data)
    text = recipe.to_yaml()
    again = document.parse(text)
    assert again.problems == ()
    assert model.model_validate(again.data) == recipe
    assert model.model_validate(again.data).to_yaml() == text
    assert recipe.to_data() == again.data


@given(data=st.data())
@slow_to_draw
def test_operators_travel(
    recipes: st.SearchStrategy[dict[str, Any]], installed: Host, data: st.DataObject
) -> None:
    vocabulary = installed.vocabulary
    for operator in operators(vocabulary.recipe_model.model_validate(data.draw(recipes))):
        assert pickle.loads(pickle.dumps(operator)) == operator  # noqa: S301 - our own bytes
        assert vocabulary.operator(operator.model_dump(mode="json")) == operator
        if not operator.assets():  # an identity holds their checksums
            assert operator.identity()["op"] == operator.op


def test_a_recipe_says_nothing_of_what_is_at_its_default(installed: Host) -> None:
    data = {
        "name": "small",
        "seed": 0,
        "sources": {"web": {"path": "a.jsonl", "max_failed": 0.1}},
        "steps": [{"op": "length_filter", "keep_signals": False}],
        "output": {"format": "parquet", "schema": "text"},
    }
    recipe = installed.vocabulary.recipe_model.model_validate(data)
    assert recipe.to_yaml() == (
        "name: small\nsources:\n  web:\n    path: a.jsonl\nsteps:\n- op: length_filter\n"
        "output:\n  schema: text\n"
    )


def test_a_recipe_cannot_be_changed(installed: Host) -> None:
    data = {"name": "x", "sources": {"web": {}}, "steps": [{"op": "length_filter"}]}
    recipe = installed.vocabulary.recipe_model.model_validate(data)
    for part, name in ((recipe, "seed"), (recipe.steps[0], "min_chars"), (recipe.output, "format")):
        with pytest.raises(ValidationError, match="frozen"):
            setattr(part, name, 1)


def test_every_operator_knows_where_it_stands(installed: Host) -> None:
    vocabulary = installed.vocabulary
    for name in vocabulary:
        place = "mix" if issubclass(vocabulary[name], MixOperator) else "steps"
        assert (vocabulary[name].shape == "mix") == (place == "mix")
        assert vocabulary.package(name)


def test_the_fingerprint_is_of_what_is_registered(installed: Host, sample_host: Host) -> None:
    assert installed.vocabulary.fingerprint == Host().vocabulary.fingerprint
    assert installed.vocabulary.fingerprint != sample_host.vocabulary.fingerprint
