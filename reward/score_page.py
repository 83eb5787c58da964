"""The score of a recipe as a page of HTML."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from datachef.core.pages.charts import AxisScale
from datachef.core.pages.rendering import rendered
from datachef.core.recipe.contributions import Contribution
from datachef.reward.proxy.encoding import SHARE
from datachef.reward.score_result import ScoreResult

# Features by the beginning of their names, in the order in which they are shown; the rest is last.
_GROUPS = (
    ("target.", "Similarity to the task"), ("verifier.", "Judges"), (SHARE, "Shares of sources"),
    ("plugin.", "Of plugins"),
)  # fmt: skip
_REST = "Amount and form"
_POINTS = (
    ("chance", "chance"), ("base", "the untrained base model"), ("ceiling", "the ceiling"),
)  # fmt: skip


def score_page(result: ScoreResult, contributions: Sequence[Contribution], recipe: str) -> str:
    """The page of a score; `recipe` is the text of its file."""
    return rendered(
        "datachef.reward",
        "score.html.jinja",
        {
            "title": f"{result.path.name}: score of a recipe",
            "result": result,
            "score": result.score,
            "points": [
                (said, result.reference[name])
                for name, said in _POINTS
                if result.reference.get(name) is not None
            ],
            "scale": AxisScale(0.0, 1.0),
            "contributions": [part.to_data() for part in contributions],
            "groups": _grouped(result),
            "signals": list(result.signals()),
            "recipe": recipe,
        },
    )


def _grouped(result: ScoreResult) -> dict[str, list[tuple[str, float, str]]]:
    found: dict[str, list[tuple[str, Any, str]]] = {title: [] for _, title in _GROUPS}
    found[_REST] = []
    for feature in result.known_features():
        title = next((said for start, said in _GROUPS if feature[0].startswith(start)), _REST)
        found[title].append(feature)
    return {title: features for title, features in found.items() if features}
