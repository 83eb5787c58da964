"""The report of an evolution as Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from datachef.policy.settings import PAGE

# How columns of the tables are aligned, and those of every table of measured recipes.
TEXT, NUMBER, INTERVAL = "---", "--:", ":-:"
MEASURED = {"measured": NUMBER, "95% interval": INTERVAL, "bits per byte": NUMBER}


def to_markdown(data: dict[str, Any]) -> str:
    """The contents of `report.json` as Markdown."""
    return "\n".join(_lines(data)).rstrip("\n") + "\n"


def _lines(data: dict[str, Any]) -> Iterator[str]:
    yield f"# Recipes for {data['task']}"
    yield ""
    yield (
        f"{data['rounds']} rounds, {data['steps']} steps, {data['reward_calls']:,} reward calls, "
        f"{data['evaluations']:,} evaluations, {data['seconds'] / 60:.1f} minutes. "
        f"It ended because {data['ended']}."
    )
    yield ""
    yield f"[Curves, and what was measured against what was predicted]({PAGE})"
    yield ""
    yield from _reference(data["score"])
    yield from _methods(data["methods"])
    yield from _best(data["best"])
    yield from _measured_first(data["first"])
    yield from _proxies(data["fidelity"])


def _reference(score: dict[str, Any] | None) -> Iterator[str]:
    if score is None or not score["score_name"]:
        return
    points = (
        f"{said} {score[name]:.4f}"
        for name, said in (
            ("chance", "chance"), ("base", "the untrained base model"), ("ceiling", "the ceiling"),
        )
        if score[name] is not None
    )  # fmt: skip
    yield f"What is measured is `{score['score_name']}`: " + (", ".join(points) or "alone") + "."
    yield ""


def _methods(methods: Sequence[dict[str, Any]]) -> Iterator[str]:
    if not methods:
        return
    rows = [
        (
            one["method"],
            f"{one['calls']:,}",
            _number(one["value"]),
            *_cells(one),
            str(max(one["chosen_among"], 1)),
        )
        for one in sorted(methods, key=lambda one: -(one["score"] or 0))
    ]
    yield from _table(
        "Beside the baselines",
        {"method": TEXT, "reward calls": NUMBER, "best value": NUMBER, **MEASURED, "of": NUMBER},
        rows,
        "Best value: what the last proxy thinks of the best recipe that the method found. "
        "Measured: the best by measurement among the candidates (their number: the last column), "
        "measured again with seeds that chose none; with one candidate, the best by value.",
    )


def _best(best: Sequence[dict[str, Any]]) -> Iterator[str]:
    rows = [
        (f"[{one['name']}]({one['file']})", one["by"], *_cells(one), one["sources"]) for one in best
    ]
    yield from _table(
        "The best by measurement",
        {"recipe": TEXT, "found by": TEXT, **MEASURED, "sources": TEXT},
        rows,
        "Of all that was measured, the recipes of baselines too, with all seeds of a recipe. The "
        "first has the highest lower bound: the mean less its standard error, in which the "
        "deviation between seeds is that of all recipes; of equal ones, the cheaper to measure.",
    )


def _measured_first(first: Sequence[dict[str, Any]]) -> Iterator[str]:
    if not first:
        return
    rows = [
        (one["name"], *(_cells(one) if one["score"] is not None else (one["failure"], "", "")))
        for one in first
    ]
    yield from _table("Measured first", {"recipe": TEXT, **MEASURED}, rows)


def _proxies(fidelity: dict[str, Any]) -> Iterator[str]:
    rows = []
    for one in fidelity["rounds"]:
        why = "no: it does not rank what was held out" if one["before"] else "no: there is none"
        climbed = f"`{one['climbed']}`" if one["climbed"] else why
        rows.append((f"in round {one['round']}", climbed, *_ranks(one["before"])))
    rows.append(("after the last round", "", *_ranks(fidelity["after"])))
    chosen = fidelity["as_chosen"]
    if chosen is not None:
        correlation = f"{chosen['correlation']:.3f}"
        rows.append(("as the recipes were chosen", "", str(chosen["recipes"]), correlation, ""))
    columns = {"": TEXT, "climbed": TEXT, "recipes": NUMBER, "rank correlation": NUMBER}
    yield from _table(
        "The proxy",
        {**columns, "95% interval": INTERVAL},
        rows,
        "Spearman's, between prediction and measurement: of every recipe by a proxy that was "
        "fitted without it; in the last line, of the rounds' recipes by what chose them. A round "
        "that did not climb the proxy climbed what other tasks in the history say, or the bare "
        "reward.",
    )


def _table(
    title: str, columns: Mapping[str, str], rows: Iterable[Sequence[str]], note: str = ""
) -> Iterator[str]:
    """A section with a table, whose columns are aligned as told, and a note below it."""
    yield from (f"## {title}", "", _line(columns), f"|{'|'.join(columns.values())}|")
    yield from map(_line, rows)
    yield ""
    if note:
        yield from (note, "")


def _line(cells: Iterable[str]) -> str:
    return "|" + "|".join(f" {cell} " if cell else " " for cell in cells) + "|"


def _ranks(found: dict[str, Any] | None) -> tuple[str, str, str]:
    if found is None:
        return "too few", "", ""
    bounds = _range((found["low"], found["high"]))
    return str(found["recipes"]), f"{found['correlation']:.3f}", bounds


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.4f}"


def _range(bounds: Sequence[float] | None) -> str:
    return "one seed" if bounds is None else f"{bounds[0]:.4f} to {bounds[1]:.4f}"


def _cells(one: dict[str, Any]) -> tuple[str, str, str]:
    """The cells of `MEASURED`; `none` if nothing could be measured."""
    if one["score"] is None:
        return "none", "", ""
    return _number(one["score"]), _range(one["interval"]), _number(one["bits_per_byte"])
