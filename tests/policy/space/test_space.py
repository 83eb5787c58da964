"""What a policy may write: every draft is a valid recipe, over exactly what is registered."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings, strategies as st
from jsonschema import Draft202012Validator

from datachef.core import Budget, DatachefError, Host, Problem, RecipeError, document
from datachef.policy.search.base import SourceBaselines
from datachef.policy.settings import GrammarLimits
from datachef.policy.space import RandomChooser, RecipeSpace, recipe_space

Problems = Callable[[RecipeSpace, dict[str, Any]], list[Problem]]

REGEX = {"regex_filter.patterns": [["^Page"], ["rivers", "[0-9]"]]}
# The pool stays as it is from one example to the next.
KEPT = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=150)


@pytest.fixture
def space(host: Host, pool: Path) -> RecipeSpace:
    limits = GrammarLimits(parameters=REGEX, reason_characters=20)
    return recipe_space(host, pool, pool.parent / "task.yaml", limits)


def steps_of(draft: dict[str, Any]) -> list[dict[str, Any]]:
    of_sources = [step for source in draft["sources"].values() for step in source["steps"]]
    return [*of_sources, *draft["steps"]]


@KEPT
@given(seed=st.integers(0, 2**32))
def test_every_draft_is_a_recipe_without_problems(
    space: RecipeSpace, problems: Problems, seed: int
) -> None:
    draft = space.draw(RandomChooser(seed))
    assert problems(space, draft) == []
    Draft202012Validator(space.schema()).validate(draft)


def test_all_that_can_be_written_is_written_sometime(space: RecipeSpace) -> None:
    drafts = [space.draw(RandomChooser(seed)) for seed in range(1000)]
    written = {step["op"] for draft in drafts for step in steps_of(draft)}
    assert written | {"weighted_mix"} == set(space.operators)
    assert {"band_filter", "quality_filter", "regex_filter"} <= written
    assert {name for draft in drafts for name in draft["sources"]} == {
        "pages",
        "dialogues",
        "notes",
    }
    parameters = {key for draft in drafts for step in steps_of(draft) for key in step}
    assert {"patterns", "style", "min_chars", "share"} <= parameters
    assert "note" not in parameters  # free text
    assert "keep_signals" not in parameters  # of every filter


def test_operators_come_and_go_with_their_package(pool: Path, space: RecipeSpace) -> None:
    ours = recipe_space(Host(), pool, pool.parent / "task.yaml", GrammarLimits(parameters=REGEX))
    assert set(space.operators) - set(ours.operators) == {"band_filter", "quality_filter"}
    assert "band_filter" not in str(ours.schema())
    assert ours.fingerprint != space.fingerprint


def test_a_step_stands_only_where_its_columns_are(space: RecipeSpace) -> None:
    drafts = [space.draw(RandomChooser(seed)) for seed in range(500)]
    places = {
        name
        for draft in drafts
        for name, source in draft["sources"].items()
        if any(step["op"] == "quality_filter" for step in source["steps"])
    }
    assert places == {"notes"}
    assert not any(s["op"] == "quality_filter" for draft in drafts for s in draft["steps"])


def test_values_exclude_none_of_each_other(space: RecipeSpace) -> None:
    drafts = [space.draw(RandomChooser(seed)) for seed in range(1000)]
    bands = [step for draft in drafts for step in steps_of(draft) if step["op"] == "band_filter"]
    assert len({step.get("least", 10) for step in bands}) > 2
    assert len({step.get("most", 40) for step in bands}) > 2
    assert all(step.get("least", 10) <= step.get("most", 40) for step in bands)


def test_the_mix_weighs_the_chosen_sources_and_asks_for_a_share_of_the_budget(
    space: RecipeSpace,
) -> None:
    draft = {
        "sources": {"pages": {"weight": 2, "steps": []}, "notes": {"weight": 8, "steps": []}},
        "mix": {"why": "balance", "op": "weighted_mix", "max_epochs": 2},
        "budget": 1.0,
        "steps": [{"why": "once is enough", "op": "exact_dedup"}],
    }
    recipe = space.recipe(draft, "two")
    assert recipe["sources"] == {"pages": {}, "notes": {}}
    assert recipe["steps"] == [{"op": "exact_dedup"}]
    mix = recipe["mix"]
    assert mix["weights"] == {"pages": 2, "notes": 8}
    assert mix["budget"] == {"tokens": 100_000}
    assert "why" not in document.dump(recipe)


def test_a_trace_tells_a_draft_again_or_with_another_choice(space: RecipeSpace) -> None:
    first = RandomChooser(7)
    draft = space.draw(first)
    assert space.draw(RandomChooser(8, known=first.trace)) == draft
    weight = next(place for place in first.trace if place.endswith(".weight"))
    other = {**first.trace, weight: (first.trace[weight] + 1) % 5}
    changed = space.draw(RandomChooser(8, known=other))
    assert changed != draft
    name = weight.split(".")[2]
    changed["sources"][name]["weight"] = draft["sources"][name]["weight"]
    assert changed == draft


def test_limits_say_what_is_offered(host: Host, pool: Path) -> None:
    limits = GrammarLimits(
        operators=("length_filter", "weighted_mix", "decontaminate"),
        sources=("pages",),
        weights=(1, 3),
        corpus_steps=0,
        parameters={"length_filter.min_chars": (5,)},
    )
    space = recipe_space(host, pool, limits=limits)
    assert space.operators == ("length_filter", "weighted_mix")
    assert "end of every recipe" in space.left_out["decontaminate"]
    assert "limits" in space.left_out["exact_dedup"]
    drafts = [space.draw(RandomChooser(seed)) for seed in range(50)]
    assert all(set(draft["sources"]) == {"pages"} for draft in drafts)
    assert {draft["sources"]["pages"]["weight"] for draft in drafts} == {1, 3}
    steps = [step for draft in drafts for step in draft["sources"]["pages"]["steps"]]
    assert all(step["min_chars"] == 5 for step in steps)
    assert not any("steps" in draft or "budget" in draft for draft in drafts)


def test_what_is_left_out_says_why(host: Host, pool: Path) -> None:
    left_out = recipe_space(host, pool).left_out
    assert "regex_filter.patterns" in left_out["regex_filter"]
    assert "rephrase_text.model" in left_out["rephrase_text"]


@pytest.mark.parametrize(
    ("limits", "said"),
    [
        (GrammarLimits(operators=("length_filtre",)), "length_filter"),
        (GrammarLimits(sources=("page",)), "pages"),
        (GrammarLimits(parameters={"length_filter.min_char": (5,)}), "length_filter.min_chars"),
    ],
)
def test_limits_that_name_nothing_are_refused(
    host: Host, pool: Path, limits: GrammarLimits, said: str
) -> None:
    with pytest.raises(DatachefError) as caught:
        recipe_space(host, pool, limits=limits)
    assert said in caught.value.hint


def test_a_pool_that_cannot_be_used_is_refused_with_all_its_problems(
    host: Host, pool: Path
) -> None:
    (pool.parent / "pages.jsonl").unlink()
    (pool.parent / "notes.jsonl").write_text("")
    with pytest.raises(RecipeError) as caught:
        recipe_space(host, pool)
    assert {problem.code for problem in caught.value.problems} == {"no_file", "no_rows"}
    pool.write_text("sources: {}")
    with pytest.raises(DatachefError, match="no sources"):
        recipe_space(host, pool)


@KEPT
@given(seed=st.integers(0, 2**32))
def test_a_narrower_space_has_what_is_left_and_nothing_else(
    space: RecipeSpace, problems: Problems, seed: int
) -> None:
    narrow = space.narrowed({"length_filter", "exact_dedup"}, {"pages", "notes"})
    draft = narrow.draw(RandomChooser(seed))
    assert set(draft["sources"]) <= {"pages", "notes"}
    assert {step["op"] for step in steps_of(draft)} <= {"length_filter", "exact_dedup"}
    assert problems(narrow, draft) == []
    Draft202012Validator(space.schema()).validate(draft)


def test_a_narrower_space_keeps_a_mix_and_tells_what_is_gone(space: RecipeSpace) -> None:
    narrow = space.narrowed(set(), {"pages"}, Budget(tokens=10))
    assert narrow.operators == ("weighted_mix",)
    assert narrow.left_out["length_filter"] == "not offered here"
    assert narrow.draw(RandomChooser(0)).keys() == {"sources", "mix", "budget"}
    assert narrow.budget == Budget(tokens=10)
    assert narrow.fingerprint != space.fingerprint
    with pytest.raises(DatachefError, match="no source is left"):
        space.narrowed({"length_filter"}, {"pagse"})


@KEPT
@given(seed=st.integers(0, 2**32))
def test_a_recipe_leads_back_to_its_draft(space: RecipeSpace, seed: int) -> None:
    draft = space.draw(RandomChooser(seed))
    again = space.draft(space.recipe(draft, "drafted"), draft["budget"])
    assert space.recipe(again, "drafted") == space.recipe(draft, "drafted")
    assert space.root.contains(again)


def test_weights_of_people_become_the_nearest_ones(space: RecipeSpace) -> None:
    recipe = {
        "sources": {"notes": None, "pages": {"steps": [{"op": "exact_dedup"}]}},
        "mix": {"op": "weighted_mix", "weights": {"pages": 0.7, "notes": 0.3}},
    }
    draft = space.draft(recipe)
    assert list(draft["sources"]) == ["pages", "notes"]
    assert draft["sources"]["pages"]["weight"] == 2 * draft["sources"]["notes"]["weight"]


def test_a_budget_of_people_becomes_the_nearest_share(space: RecipeSpace) -> None:
    assert space.budget is not None and space.budget.tokens is not None
    offered = space.root.required["budget"].draw(RandomChooser(0), "")
    mix = {"op": "weighted_mix", "budget": {"tokens": int(space.budget.tokens * offered * 1.01)}}
    assert space.draft({"sources": {"pages": {}}, "mix": mix})["budget"] == offered
    in_rows = mix | {"budget": {"rows": 3}}  # which tell nothing of tokens
    for said in ({"op": "weighted_mix"}, in_rows):
        draft = space.draft({"sources": {"pages": {}}, "mix": said})
        assert draft == space.draft({"sources": {"pages": {}}})
    with pytest.raises(DatachefError, match="no budget: 7"):
        space.draft({"sources": {"pages": {}}, "mix": mix | {"budget": 7}})


def test_what_goes_without_saying_may_be_said(space: RecipeSpace) -> None:
    recipe = {
        "sources": {"pages": {"steps": [{"op": "exact_dedup", "normalize": "none"}]}},
        "mix": {"op": "weighted_mix", "weights": {"pages": 1}, "max_epochs": 1},
    }
    draft = space.draft(recipe)
    plain = space.draft({**recipe, "sources": {"pages": {"steps": [{"op": "exact_dedup"}]}}})
    assert draft == plain
    assert "normalize" not in draft["sources"]["pages"]["steps"][0]
    assert "max_epochs" not in draft["mix"]


def test_what_the_space_lacks_is_named(space: RecipeSpace) -> None:
    for sources, said in (
        ({"papers": None}, "no source 'papers'"),
        ({"pages": {"steps": [{"op": "length_filter", "min_chars": 41}]}}, "min_chars"),
        ({"pages": {"steps": [{"op": "exact_dedup"}] * 4}}, "more than 3 steps"),
    ):
        with pytest.raises(DatachefError, match=said):
            space.draft({"sources": sources})


MIX = '''
from typing import Literal
from datachef.core import Budget, MixOperator, corpus_size, hookimpl, source_weights

class ByParts(MixOperator):
    """Takes parts of the sources."""

    op: Literal["by_parts"] = "by_parts"
    parts: dict[str, float] = source_weights(description="Parts of each source.")
    size: Budget | None = corpus_size(description="The size of the corpus.")

    def resolve(self, summaries, context):
        raise NotImplementedError

@hookimpl
def datachef_operators():
    return [ByParts]
'''


def test_a_mix_says_where_its_weights_and_its_budget_are(pool: Path) -> None:
    (pool.parent / "mix.py").write_text(MIX)
    host = Host([str(pool.parent / "mix.py")])
    limits = GrammarLimits(operators=("by_parts",))
    space = recipe_space(host, pool, pool.parent / "task.yaml", limits)
    assert space.operators == ("by_parts",)
    assert space.budget is not None
    for seed in range(20):
        draft = space.draw(RandomChooser(seed))
        recipe = space.recipe(draft, "r")
        weights = {name: source["weight"] for name, source in draft["sources"].items()}
        assert recipe["mix"]["parts"] == weights
        assert set(recipe["mix"]) == {"op", "parts", "size"}
        host.vocabulary.recipe_model.model_validate(recipe)
        again = space.recipe(space.draft(recipe), "r")
        assert again["mix"]["size"] == recipe["mix"]["size"]
        assert again["sources"] == recipe["sources"]
    equally = next(recipe for recipe in SourceBaselines(space).ask(10) if "mix" in recipe)
    assert len(set(equally["mix"]["parts"].values())) == 1
