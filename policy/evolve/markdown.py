"""What came of a run, in words and tables."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from datachef.policy.evolve.settings import PLOT


def to_markdown(data: dict[str, Any]) -> str:
    """What `report.json` holds, for people."""
    return "\n".join(_lines(data)) + "\n"


def _lines(data: dict[str, Any]) -> Iterator[str]:
    yield f"# Recipes for {data['task']}"
    yield ""
    yield (
        f"{data['rounds']} rounds, {data['steps']} steps, {data['reward_calls']:,} reward calls, "
        f"{data['evaluations']:,} evaluations, {data['seconds'] / 60:.1f} minutes. "
        f"It ended because {data['ended']}."
    )
    yield ""
    yield f"![progress]({PLOT})"
    yield ""
    yield from _methods(data["methods"])
    yield from _best(data["best"])
    yield from _proxies(data["fidelity"])


def _methods(methods: Sequence[dict[str, Any]]) -> Iterator[str]:
    if not methods:
        return
    yield "## Beside the baselines"
    yield ""
    yield "| method | reward calls | best value | measured | 95% interval | bits per byte | of |"
    yield "|---|--:|--:|--:|:-:|--:|--:|"
    for one in sorted(methods, key=lambda one: -(one["score"] or 0)):
        yield (
            f"| {one['method']} | {one['calls']:,} | {one['value']:.4f} | {_cells(one)} "
            f"| {max(one['chosen_among'], 1)} |"
        )
    yield ""
    yield (
        "Best value: what the last proxy thinks of the best recipe that the method found. "
        "Measured: the best by measurement of so many recipes (the last column) that were measured "
        "to choose it, with seeds that chose none; where it is one, the best by value."
    )
    yield ""


def _best(best: Sequence[dict[str, Any]]) -> Iterator[str]:
    yield "## The best by measurement"
    yield ""
    yield "| recipe | measured | 95% interval | bits per byte | sources |"
    yield "|---|--:|:-:|--:|---|"
    for one in best:
        yield f"| [{one['name']}]({one['file']}) | {_cells(one)} | {one['sources']} |"
    yield ""


def _proxies(fidelity: dict[str, Any]) -> Iterator[str]:
    yield "## The proxy"
    yield ""
    yield "| | recipes | rank correlation | 95% interval |"
    yield "|---|--:|--:|:-:|"
    for name, said in (("before", "before the first round"), ("after", "after the last round")):
        found = fidelity[name]
        cells = "too few | |"
        if found is not None:
            bounds = _range((found["low"], found["high"]))
            cells = f"{found['recipes']} | {found['correlation']:.3f} | {bounds} |"
        yield f"| {said} | {cells}"
    chosen = fidelity["as_chosen"]
    if chosen is not None:
        correlation = f"{chosen['correlation']:.3f}"
        yield f"| as the recipes were chosen | {chosen['recipes']} | {correlation} | |"
    yield ""
    yield (
        "Spearman's, between prediction and measurement: of every recipe by a proxy that was "
        "fitted without it; in the last line, of the rounds' recipes by what chose them."
    )


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.4f}"


def _range(bounds: Sequence[float] | None) -> str:
    return "one seed" if bounds is None else f"{bounds[0]:.4f} to {bounds[1]:.4f}"


def _cells(one: dict[str, Any]) -> str:
    """Score, interval and bits of a recipe; empty where it could not be measured."""
    if one["score"] is None:
        return "none | |"
    return f"{one['score']:.4f} | {_range(one['interval'])} | {_number(one['bits_per_byte'])}"
