from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings, strategies as st
from jsonschema import Draft202012Validator

from datachef.core import Host, document
from datachef.core.registry.vocabulary import SCHEMAS

EXAMPLES = Path(__file__).parents[3] / "examples"
FILES = [path for path in sorted(EXAMPLES.rglob("*.yaml")) if path.stem in SCHEMAS]


@pytest.fixture(scope="module")
def validators(installed: Host) -> dict[str, Draft202012Validator]:
    return {
        name: Draft202012Validator(schema(installed.vocabulary)) for name, schema in SCHEMAS.items()
    }


def nodes(schema: Any) -> Iterator[dict[str, Any]]:
    if isinstance(schema, dict):
        yield schema
    children = schema.values() if isinstance(schema, dict) else schema
    for child in children if isinstance(schema, dict | list) else ():
        yield from nodes(child)


@pytest.mark.parametrize("name", SCHEMAS)
def test_it_is_a_schema_that_every_decoder_knows(
    validators: dict[str, Draft202012Validator], name: str
) -> None:
    schema = validators[name].schema
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    Draft202012Validator.check_schema(schema)
    for node in nodes(schema):
        assert not {"oneOf", "discriminator"} & set(node)
        if isinstance(node.get("$ref"), str):
            assert node["$ref"].removeprefix("#/$defs/") in schema["$defs"]


@pytest.mark.parametrize("name", ["recipe", "pool"])
def test_every_step_must_name_its_operator(
    validators: dict[str, Draft202012Validator], installed: Host, name: str
) -> None:
    named = {
        node["properties"]["op"]["const"]: node["required"]
        for node in nodes(validators[name].schema)
        if "const" in node.get("properties", {}).get("op", {})
    }
    kinds = installed.vocabulary
    assert set(named) == {op for op in kinds if name == "recipe" or kinds[op].shape != "mix"}
    assert all("op" in required for required in named.values())
    step = {"name": "x", "sources": {"web": {"path": "a", "steps": [{"min_chars": 3}]}}}
    assert not validators["recipe"].is_valid(step)
    step["sources"]["web"]["steps"][0]["op"] = "length_filter"
    validators["recipe"].validate(step)


def test_every_parameter_says_what_it_means(validators: dict[str, Draft202012Validator]) -> None:
    for name, model in validators["recipe"].schema["$defs"].items():
        if "op" in model["properties"]:
            assert model["description"], name
            for parameter, schema in model["properties"].items():
                assert parameter == "op" or schema["description"], f"{name}.{parameter}"


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(EXAMPLES)))
def test_the_examples_are_valid(validators: dict[str, Draft202012Validator], path: Path) -> None:
    validators[path.stem].validate(document.read(path).data)


@given(data=st.data())
@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_what_the_checker_takes_the_schema_takes(
    recipes: st.SearchStrategy[dict[str, Any]],
    installed: Host,
    validators: dict[str, Draft202012Validator],
    data: st.DataObject,
) -> None:
    recipe = data.draw(recipes)
    validators["recipe"].validate(recipe)
    written = installed.vocabulary.recipe_model.model_validate(recipe).to_data()
    validators["recipe"].validate(written)
    pool = {"sources": {n: s for n, s in recipe["sources"].items() if "path" in s or "hf" in s}}
    if pool["sources"]:
        validators["pool"].validate(pool)


@pytest.mark.parametrize(
    "wrong",
    [
        {},
        {"name": "x"},
        {"name": "x", "sources": {}},
        {"name": "x", "sources": {"web": {"path": 5}}},
        {"name": "x", "sources": {"web": {"path": "a", "hf": "b"}}},
        {"name": "x", "sources": {"web": {}}, "steps": [{"op": "no_such_operator"}]},
        {"name": "x", "sources": {"web": {}}, "steps": [{"op": "weighted_mix"}]},
        {"name": "x", "sources": {"web": {}}, "mix": {"op": "length_filter"}},
        {"name": "x", "sources": {"web": {}}, "steps": [{"op": "length_filter", "min_chars": -1}]},
        {"name": "x", "sources": {"web": {}}, "more": 1},
        {"name": "x", "sources": {"web": {"format": "xml"}}},
    ],
)
def test_what_the_checker_refuses_the_schema_refuses(
    validators: dict[str, Draft202012Validator], wrong: dict[str, Any]
) -> None:
    assert not validators["recipe"].is_valid(wrong)
