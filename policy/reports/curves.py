"""What the log of a training says step by step: rewards, distinct recipes, what recipes use."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from statistics import fmean
from typing import TypeVar

from datachef.core.pages.charts import AxisScale, Chart, ChartLine, chart, sparkline
from datachef.policy.scored_recipes import Recipe, recipe_key
from datachef.policy.training.log import LoggedRecipe

T = TypeVar("T")
# Operators and sources that are listed, the most used first.
_LISTED = 20
# Rows of a table of steps, so that a page stays small.
_ROWS = 1_000
# The share of the steps that "first" and "last" mean.
_ENDS = 0.1
_SHARES = AxisScale(0.0, 1.0)


@dataclass(frozen=True)
class StepSummary:
    """A step, counted from 1: its recipes, how many of them are distinct, `new` and stopped by a
    gate, the mean and the best of their values, and the best of all `calls` so far."""

    step: int
    recipes: int
    distinct: int
    new: int
    stopped: int
    mean: float
    best: float
    calls: int
    best_so_far: float


def step_summaries(log: Sequence[LoggedRecipe]) -> list[StepSummary]:
    """The steps of one task in their order."""
    found: list[StepSummary] = []
    seen: set[bytes] = set()
    for step, rows in ((step, list(rows)) for step, rows in groupby(log, lambda row: row.step)):
        keys = {recipe_key(row.recipe) for row in rows}
        values = [row.value for row in rows]
        before = found[-1] if found else None
        best = max(values)
        found.append(
            StepSummary(
                step + 1, len(rows), len(keys), len(keys - seen),
                sum(bool(row.gate) for row in rows), fmean(values), best,
                len(rows) + (before.calls if before else 0),
                max(best, before.best_so_far) if before else best,
            )
        )  # fmt: skip
        seen |= keys
    return found


def best_at_calls(values: Sequence[float], steps: Sequence[StepSummary]) -> list[float | None]:
    """The best of the first of `values`, at as many reward calls as each step has made; None for
    the steps that have made more calls than there are values."""
    return [max(values[: s.calls]) if s.calls <= len(values) else None for s in steps]


def thinned(rows: Sequence[T]) -> Sequence[T]:
    """Rows for a table: all of them, or some that are evenly spread, the last among them."""
    every = -(-len(rows) // _ROWS) or 1
    return rows[::-every][::-1]


@dataclass(frozen=True)
class Use:
    """How many of the recipes of a step have an operator or a source: the mean share over all
    steps, the first tenth of them and the last, and all shares as a path."""

    kind: str
    name: str
    share: float
    first: float
    last: float
    path: str


def uses(log: Sequence[LoggedRecipe]) -> list[Use]:
    """The sources and operators of recipes: those that the last steps use most come first."""
    counted: list[tuple[Counter[tuple[str, str]], int]] = []
    for _, rows in groupby(log, lambda row: row.step):
        parts = [set(_parts(row.recipe)) for row in rows]
        counted.append((Counter(part for some in parts for part in some), len(parts)))
    ends = max(round(_ENDS * len(counted)), 1)
    found = []
    for part in {part for count, _ in counted for part in count}:
        shares = [count[part] / recipes for count, recipes in counted]
        first, last = fmean(shares[:ends]), fmean(shares[-ends:])
        found.append(Use(*part, fmean(shares), first, last, sparkline(shares, _SHARES)))
    found.sort(key=lambda use: (use.kind, -max(use.last, use.first), use.name))
    return [use for kind in ("source", "operator") for use in _first(found, kind)]


def _first(found: Sequence[Use], kind: str) -> list[Use]:
    return [use for use in found if use.kind == kind][:_LISTED]


def _parts(recipe: Recipe) -> Iterator[tuple[str, str]]:
    sources = recipe["sources"]
    yield from (("source", name) for name in sources)
    steps = [*(recipe.get("steps") or ()), *([recipe["mix"]] if recipe.get("mix") else ())]
    for source in sources.values():
        steps += (source or {}).get("steps") or ()
    yield from (("operator", step["op"]) for step in steps)


def learning_chart(
    steps: Sequence[StepSummary],
    baseline: Sequence[float | None] = (),
    rules: Sequence[float] = (),
) -> Chart:
    """Mean and best value of each step; the best of random recipes at as many reward calls as a
    line, where it is known; `rules` are steps after which the reward was another."""
    lines = [
        ChartLine("mean of the step", [(s.step, s.mean) for s in steps], 0),
        ChartLine("best of the step", [(s.step, s.best) for s in steps], 1),
    ]
    known = [(s.step, best) for s, best in zip(steps, baseline, strict=False) if best is not None]
    if known:
        lines.append(ChartLine("best random recipe, as many reward calls", known, 2))
    first, last = steps[0], steps[-1]
    said = (
        f"The mean goes from {first.mean:.4f} in step {first.step} to {last.mean:.4f} in step "
        f"{last.step}; the best value is {last.best_so_far:.4f}."
    )
    if known:
        said += f" The best random recipe has {known[-1][1]:.4f} after {steps[-1].calls:,} calls."
    return chart("Reward by step", said, ("step", "reward"), lines, rules=rules, whole=True)


def distinct_chart(steps: Sequence[StepSummary]) -> Chart:
    """How many different recipes a step has, and how many of them no step had before."""
    first, last = steps[0], steps[-1]
    return chart(
        "Distinct recipes by step",
        f"{first.distinct} of {first.recipes} recipes are distinct in step {first.step}, "
        f"{last.distinct} of {last.recipes} in step {last.step}.",
        ("step", "recipes"),
        [
            ChartLine("distinct in the step", [(s.step, s.distinct) for s in steps], 0),
            ChartLine("new", [(s.step, s.new) for s in steps], 2),
        ],
        whole=True,
        counts=True,
    )


def entropy_chart(entropies: Sequence[tuple[int, float]]) -> Chart:
    """How undecided the policy is: nats for each token where the grammar left a choice."""
    (first, before), (last, after) = entropies[0], entropies[-1]
    return chart(
        "Entropy by step",
        f"The entropy goes from {before:.3f} in step {first} to {after:.3f} in step {last}.",
        ("step", "entropy, nats per decision"),
        [ChartLine("entropy", entropies, 0)],
        whole=True,
    )
