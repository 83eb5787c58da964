"""Reasons beside the steps of a recipe, as comments that change nothing."""

from __future__ import annotations

from typing import Any

from hypothesis import given, strategies as st

from datachef.core import document
from datachef.policy.scored_recipes import reasons_in, with_comments

RECIPE: dict[str, Any] = {
    "name": "r",
    "sources": {"web": {"steps": [{"op": "exact_dedup"}, {"op": "length_filter", "min_chars": 9}]}},
    "steps": [{"op": "fix_unicode"}],
}


def test_comments_stand_behind_their_places() -> None:
    comments = {
        "sources.web": "adds +0.1",
        "sources.web.steps[1]": "too short",
        "steps[0]": "broken text",
        "steps[7]": "of nothing",
    }
    text = with_comments(RECIPE, comments, "value 0.5\nby nobody")
    assert text.startswith("# value 0.5\n# by nobody\n")
    lines = [line.strip() for line in text.splitlines()]
    assert "web:  # adds +0.1" in lines
    assert "- op: length_filter  # too short" in lines
    assert "- op: fix_unicode  # broken text" in lines
    assert "of nothing" not in text


@given(comment=st.text(), head=st.text())
def test_no_comment_changes_the_recipe(comment: str, head: str) -> None:
    places = ("sources", "sources.web", "sources.web.steps[0]", "steps[0]", "name")
    text = with_comments(RECIPE, dict.fromkeys(places, comment), head)
    found = document.parse(text)
    assert not found.problems
    assert found.data == RECIPE


def test_reasons_are_found_by_place() -> None:
    draft = {
        "sources": {"web": {"weight": 1, "steps": [{"why": "clean", "op": "fix_unicode"}]}},
        "steps": [{"why": "", "op": "exact_dedup"}, {"why": "short", "op": "length_filter"}],
    }
    assert reasons_in(draft) == {"sources.web.steps[0]": "clean", "steps[1]": "short"}
