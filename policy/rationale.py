"""A recipe with its reasons, as YAML with comments: what the model said of a step, what it adds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from datachef.core import document
from datachef.core.problems import dotted
from datachef.policy.objective import Recipe
from datachef.policy.space.steps import REASON


def reasons_in(draft: Mapping[str, Any]) -> dict[str, str]:
    """What the model wrote of its steps, by their places in the recipe."""
    found: dict[str, str] = {}
    for name, source in draft["sources"].items():
        found |= _reasons(source.get("steps", ()), ("sources", name))
    return found | _reasons(draft.get("steps", ()), ())


def with_comments(recipe: Recipe, comments: Mapping[str, str], head: str = "") -> str:
    """The YAML of a recipe. Comments stand behind the lines of their places; `head` stands above
    all, line by line."""
    lines = document.dump(dict(recipe)).splitlines()
    places = document.parse("\n".join(lines)).places
    lines_of = {dotted(location): line for location, (line, _) in places.items()}
    for place, comment in comments.items():
        if place in lines_of:
            lines[lines_of[place] - 1] += f"  # {_one_line(comment)}"
    above = [f"# {_one_line(line)}" for line in head.splitlines()]
    return "\n".join([*above, *lines]) + "\n"


def _reasons(steps: Any, above: tuple[str, ...]) -> dict[str, str]:
    return {
        dotted((*above, "steps", index)): str(step[REASON])
        for index, step in enumerate(steps)
        if step.get(REASON)
    }


def _one_line(text: str) -> str:
    """Text of a model without anything that could end a comment."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())
