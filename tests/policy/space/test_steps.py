"""Values to choose from, for parameters of every kind."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import polars as pl
import pytest
from hypothesis import given, strategies as st
from pydantic import BaseModel, Field, create_model

from datachef.core import TextTransform
from datachef.policy.settings import GrammarLimits
from datachef.policy.space.nodes import Choice
from datachef.policy.space.steps import candidate_values, step_node


def values(kind: Any, most: int = 7, **field: Any) -> tuple[Any, ...]:
    model: type[BaseModel] = create_model("Model", parameter=(kind, Field(**field)))
    schema = model.model_json_schema()
    return candidate_values(schema["properties"]["parameter"], schema.get("$defs", {}), most)


@pytest.mark.parametrize(
    ("kind", "field", "expected"),
    [
        (bool, {"default": True}, (False, True)),
        (Literal["a", "b"], {"default": "a"}, ("a", "b")),
        (str, {"default": ""}, ()),
        (str, {"default": "", "examples": ["x", "y"]}, ("x", "y")),
        (int, {"default": 3, "ge": 1, "le": 4}, (1, 2, 3, 4)),
        (int, {"default": 50, "ge": 0, "le": 10_000}, (6, 12, 25, 50, 100, 200, 400)),
        (int, {"default": 0, "ge": 0, "le": 5_000}, (0, 1, 10, 100, 1_000)),
        (float, {"default": 0.0, "ge": 0, "le": 1}, (0.0, 0.17, 0.33, 0.5, 0.67, 0.83, 1.0)),
        (float, {"default": 1.0, "ge": 0.001, "le": 1}, (0.12, 0.25, 0.5, 1.0)),
        (int | None, {"default": None, "ge": 1, "le": 1_000}, (1, 10, 100, 1_000)),
        (int, {"default": 3}, ()),
        (list[int], {"default": []}, ()),
    ],
)
def test_values(kind: Any, field: dict[str, Any], expected: tuple[Any, ...]) -> None:
    assert values(kind, **field) == expected


@given(
    bounds=st.lists(st.integers(-1000, 10**6), min_size=3, max_size=3, unique=True).map(sorted),
    most=st.integers(2, 20),
    kind=st.sampled_from([int, float]),
)
def test_numbers_are_few_within_bounds_and_have_the_default(
    bounds: list[int], most: int, kind: type
) -> None:
    low, default, high = bounds
    found = values(kind, most, default=kind(default), ge=low, le=high)
    assert default in found
    assert len(found) <= most + 1
    assert all(low <= value <= high for value in found)
    assert list(found) == sorted(set(found))


class Engines(TextTransform):
    """Rewrites text with one of three engines, of which one is not installed."""

    op: Literal["engines"] = "engines"
    engine: Literal["fast", "exact", "absent"] = Field("fast", description="What rewrites.")

    def rewrite(self, text: pl.Series) -> pl.Series:
        return text

    def requires(self) -> Mapping[str, str]:
        return {"no_such_module": "none"} if self.engine == "absent" else {}


def test_values_that_need_what_is_missing_are_not_offered_unless_they_are_named() -> None:
    def offered(limits: GrammarLimits) -> tuple[Any, ...]:
        node = step_node(Engines, limits).optional["engine"]
        assert isinstance(node, Choice)
        return node.values

    assert offered(GrammarLimits()) == ("exact",)
    named = GrammarLimits(parameters={"engines.engine": ("fast", "absent")})
    assert offered(named) == ("absent",)
