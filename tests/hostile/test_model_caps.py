"""Recipes and drafts that would ask language models for more than pool or environment allow."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from bound_recipes import Bound, told, write_pool

from datachef.core import DatachefError, Host
from datachef.core.contracts.recipe import VARIABLES
from datachef.policy.settings import GrammarLimits
from datachef.policy.space import RandomChooser, RecipeSpace, recipe_space

CAPS = {"models": ["small", "tiny"], "max_tokens": 500, "budget_tokens": 10_000}


def rephrase(**parameters: Any) -> dict[str, Any]:
    return {"op": "rephrase_text", "model": "small", "budget_tokens": 1_000, **parameters}


def asking(*steps: dict[str, Any]) -> dict[str, Any]:
    return {"sources": {"web": {"steps": list(steps)}}}


def sized(**parameters: Any) -> dict[str, Any]:
    return rephrase(**{"max_tokens": 500, **parameters})


OVER = [
    (sized(model="large"), "model"),
    (sized(model="Small"), "model"),
    (sized(model="small "), "model"),
    (sized(backend="other"), "backend"),
    (sized(max_tokens=501), "max_tokens"),
    (rephrase(), "max_tokens"),
    (sized(max_concurrency=9), "max_concurrency"),
    (sized(budget_tokens=None), "budget_tokens"),
    (sized(budget_tokens=10_001), "budget_tokens"),
]


class TestLanguageModels:
    @pytest.mark.parametrize(("step", "parameter"), OVER)
    def test_a_pool_caps_what_is_asked_of_them(
        self, bound: Bound, place: Path, step: dict[str, Any], parameter: str
    ) -> None:
        write_pool(place, language_models=CAPS)
        expected = [("over_cap", f"sources.web.steps[0].{parameter}")]
        assert told(bound(asking(step))) == expected
        named = {"pool": "../pool/pool.yaml", **asking(step)}
        assert told(bound(named, pool=None)) == expected  # also who is not bound uses the pool so

    @pytest.mark.parametrize(("step", "parameter"), OVER)
    def test_the_environment_caps_recipes_without_a_pool(
        self,
        bound: Bound,
        step: dict[str, Any],
        parameter: str,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        caps = {**CAPS, "models": "small, tiny", "backends": "openai", "max_concurrency": 8}
        for name, value in caps.items():
            monkeypatch.setenv(VARIABLES[name], str(value))
        data = {"sources": {"web": {"path": "../pool/web.jsonl", "steps": [step]}}}
        assert told(bound(data, pool=None)) == [("over_cap", f"sources.web.steps[0].{parameter}")]
        assert told(bound(asking(step))) == [("over_cap", f"sources.web.steps[0].{parameter}")]
        assert told(bound(asking(sized()))) == []

    def test_budgets_add_up(self, bound: Bound, place: Path) -> None:
        write_pool(place, language_models=CAPS)
        half = sized(budget_tokens=5_000)
        data = {"sources": {"web": {"steps": [half]}, "chat": {"steps": [half]}}}
        assert told(bound(data)) == []
        more = {**data, "steps": [sized(budget_tokens=1)]}
        assert told(bound(more)) == [("over_cap", "steps[0].budget_tokens")]

    @pytest.mark.parametrize("variables", [(), ("models",), ("budget_tokens",), ("max_tokens",)])
    def test_who_is_bound_asks_nothing_that_no_cap_bounds(
        self, bound: Bound, variables: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for name in variables:
            monkeypatch.setenv(VARIABLES[name], {"models": "small"}.get(name, "1000"))
        data = asking(sized(budget_tokens=None))
        assert told(bound(data)) == [("not_in_pool", "sources.web.steps[0]")]
        data["sources"]["web"]["path"] = "../pool/web.jsonl"
        if "budget_tokens" not in variables:
            assert told(bound(data, pool=None)) == []

    def test_the_tighter_of_both_counts(
        self, bound: Bound, place: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        write_pool(place, language_models=CAPS)
        monkeypatch.setenv(VARIABLES["models"], "tiny,large")
        monkeypatch.setenv(VARIABLES["budget_tokens"], "500")
        assert told(bound(asking(sized(model="tiny", budget_tokens=500)))) == []
        found = told(bound(asking(sized())))
        assert found == [
            ("over_cap", f"sources.web.steps[0].{p}") for p in ("model", "budget_tokens")
        ]

    def test_steps_of_the_pool_are_its_own_but_for_the_environment(
        self, bound: Bound, place: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        sources = {"web": {"path": "web.jsonl", "steps": [rephrase(model="large")]}}
        write_pool(place, sources=sources)
        assert told(bound({"sources": {"web": {}}})) == []
        monkeypatch.setenv(VARIABLES["models"], "small")
        assert told(bound({"sources": {"web": {}}})) == [("over_cap", "sources.web.pool[0].model")]

    def test_who_asks_in_a_way_of_their_own_cannot_be_capped(
        self, bound: Bound, place: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        own = {"op": "own_way"}
        assert told(bound(asking(own))) == [("not_in_pool", "sources.web.steps[0]")]
        write_pool(place, language_models=CAPS)
        assert told(bound(asking(own))) == [("over_cap", "sources.web.steps[0]")]

    @pytest.mark.parametrize(
        ("name", "value"),
        [("budget_tokens", "much"), ("budget_tokens", "0"), ("max_tokens", "-1"), ("models", ",")],
    )
    def test_a_cap_that_is_none_is_an_error(
        self, bound: Bound, name: str, value: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv(VARIABLES[name], value)
        with pytest.raises(DatachefError, match=VARIABLES[name]):
            bound(asking(sized()))

    @pytest.mark.parametrize(
        "caps",
        [
            {"models": ["a"]},
            {"budget_tokens": 5},
            {"models": [], "budget_tokens": 5},
            {"models": ["a"], "budget_tokens": None},
            {"models": None, "budget_tokens": 5},
            {"models": ["a"], "budget_tokens": 5, "price": 1},
        ],
    )
    def test_a_pool_allows_models_by_name_within_a_budget(
        self, bound: Bound, place: Path, caps: dict[str, Any]
    ) -> None:
        write_pool(place, language_models=caps)
        assert bound({"sources": {"web": {}}}).problems[0].path.startswith("language_models")


GIVEN: dict[str, tuple[Any, ...]] = {
    "rephrase_text.model": ("large", "small"),
    "rephrase_text.max_tokens": (100, 400, 100_000),
    "rephrase_text.budget_tokens": (100, 10**9),
    "generate_question_answer_pairs.max_concurrency": (1, 2, 64),
}


class TestDrafts:
    @pytest.mark.parametrize("parameters", [{}, GIVEN])
    def test_every_draft_asks_within_the_caps(
        self, bound: Bound, place: Path, host: Host, parameters: dict[str, Any]
    ) -> None:
        write_pool(place, language_models=CAPS)
        asked = {"rephrase_text", "generate_question_answer_pairs"}
        limits = GrammarLimits(
            operators=(*asked, "weighted_mix"), parameters=parameters, corpus_steps=1
        )
        space = recipe_space(host, place / "pool" / "pool.yaml", limits=limits)
        assert set(space.operators) == asked | {"weighted_mix"}
        written = set()
        for seed in range(60):
            recipe = self._drawn(space, seed)
            assert told(bound(recipe)) == []
            written |= {
                s["op"] for source in recipe["sources"].values() for s in source.get("steps", ())
            }
        assert written == asked

    @staticmethod
    def _drawn(space: RecipeSpace, seed: int) -> dict[str, Any]:
        recipe = space.recipe(space.draw(RandomChooser(seed)), "drawn")
        return {key: value for key, value in recipe.items() if key != "name"}

    def test_without_caps_no_draft_asks(self, place: Path, host: Host) -> None:
        space = recipe_space(
            host, place / "pool" / "pool.yaml", limits=GrammarLimits(parameters=GIVEN)
        )
        assert "language_models of the pool" in space.left_out["rephrase_text"]
        write_pool(place, language_models={**CAPS, "budget_tokens": 3})
        space = recipe_space(host, place / "pool" / "pool.yaml")
        assert "rephrase_text.budget_tokens" in space.left_out["rephrase_text"]
