"""A step, or a value of a parameter, that leaves nothing of a source is not offered for it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from datachef.core import Host
from datachef.policy.prompt.sections import Offer, offers
from datachef.policy.settings import GrammarLimits
from datachef.policy.space import recipe_space

# What each step is tried on: pages have 24 or 25 characters, notes 7 or 8, dialogues up to 18.
BAND = ("band_filter", "weighted_mix")


def offer(host: Host, pool: Path, **limits: Any) -> Offer:
    """Where and with which values the third-party `band_filter` is offered."""
    space = recipe_space(host, pool, limits=GrammarLimits(operators=BAND, **limits))
    return offers(space)["band_filter"]


def values(offered: Offer, name: str) -> tuple[Any, ...]:
    return tuple(offered.step.optional[name].values)  # type: ignore[attr-defined]


def test_a_step_is_offered_for_sources_that_it_leaves_something_of(host: Host, pool: Path) -> None:
    assert offer(host, pool).sources == ("pages", "dialogues")
    assert offer(host, pool).corpus, "most sources keep enough"
    assert offer(host, pool, least_kept=0).sources == ("pages", "dialogues", "notes")


def test_values_leave_something_of_most_sources(host: Host, pool: Path) -> None:
    everything = values(offer(host, pool, least_kept=0), "least")
    assert everything == (1, 2, 5, 20, 40)
    assert values(offer(host, pool), "least") == (1, 2, 5, 20)
    named = {"band_filter.least": (30, 35)}
    assert values(offer(host, pool, parameters=named), "least") == (30, 35)


def test_a_source_that_its_pool_changes_first_is_not_tried(host: Host, pool: Path) -> None:
    text = pool.read_text().replace(
        "{path: notes.jsonl}", "{path: notes.jsonl, steps: [{op: fix_unicode}]}"
    )
    pool.write_text(text)
    assert offer(host, pool).sources == ("pages", "dialogues", "notes")


def test_what_is_offered_nowhere_says_why(host: Host, pool: Path) -> None:
    limits = GrammarLimits(operators=("answer_form", "syntax_filter", "weighted_mix"))
    space = recipe_space(host, pool, limits=limits)
    assert "syntax_filter" not in space.operators
    assert "of the first rows of every source" in space.left_out["syntax_filter"]
    assert "fits no source of the pool" in space.left_out["answer_form"]


BREAKS = """
from typing import Literal
import polars as pl
from datachef.core import Filter, hookimpl

class Breaking(Filter):
    \"\"\"Breaks on every row.\"\"\"
    op: Literal["breaking"] = "breaking"

    def signals(self):
        return {"x": self._broken}

    def _broken(self, batch):
        raise RuntimeError("no")

    def rules(self):
        return {"y": pl.col("x") > 0}

@hookimpl
def datachef_operators():
    return [Breaking]
"""


@pytest.mark.filterwarnings("error")
def test_what_breaks_on_the_first_rows_is_for_the_reward_to_tell(
    pool: Path, tmp_path: Path
) -> None:
    plugin = tmp_path / "breaking.py"
    plugin.write_text(BREAKS)
    limits = GrammarLimits(operators=("breaking", "weighted_mix"))
    space = recipe_space(Host((str(plugin),)), pool, limits=limits)
    assert len(offers(space)["breaking"].sources) == 3
