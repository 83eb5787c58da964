"""The report of a run: JSON, Markdown, a plot, and the best recipes as files."""

from __future__ import annotations

import io
import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from itertools import cycle, pairwise
from pathlib import Path
from statistics import fmean, variance
from typing import Any

import orjson

from datachef.core import document
from datachef.core.contracts.reward import ProxyFidelity, mean_interval
from datachef.core.distribution import extra
from datachef.core.errors import MissingPackageError
from datachef.core.system.atomic import write_atomically
from datachef.core.system.outputs import OutputFolder
from datachef.policy.evolve.loop import EvolveResult
from datachef.policy.evolve.run_state import CandidateMeasurement, MethodResult, evaluations
from datachef.policy.scored_recipes import RecipeTask
from datachef.policy.settings import EVOLUTION, PLOT, POLICY
from datachef.policy.training.environment import LoggedRecipe

BEST = 5
# How columns of the tables are aligned, and those of every table of measured recipes.
TEXT, NUMBER, INTERVAL = "---", "--:", ":-:"
MEASURED = {"measured": NUMBER, "95% interval": INTERVAL, "bits per byte": NUMBER}


def write_report(result: EvolveResult, recipe_task: RecipeTask, output: Path) -> dict[str, Any]:
    """Writes `report.md`, `report.json` and the best recipes into a folder, and returns what
    `report.json` contains."""
    folder = OutputFolder.open(output, EVOLUTION)
    folder.remove("best", edited=True)
    best = best_measured(result)
    data: dict[str, Any] = {
        "task": recipe_task.name,
        "ended": result.ended,
        "rounds": result.rounds[-1].number,
        "steps": result.rounds[-1].step,
        "reward_calls": result.rounds[-1].calls,
        "evaluations": _evaluations(result),
        "seconds": result.seconds,
        "score": _score(best),
        "methods": [_method(each) for each in result.method_results],
        "first": [_first(each) for each in result.rounds[0].measurements],
        "best": [
            _measured(measurement)
            | {"by": _found_by(result, measurement)}
            | {"file": _kept(rank, measurement, recipe_task, folder)}
            for rank, measurement in enumerate(best[:BEST], start=1)
        ],
        "fidelity": {
            "before": _fidelity(result.rounds[0].fidelity),
            "after": _fidelity(result.rounds[-1].fidelity),
            "as_chosen": _as_chosen(result),
            "rounds": [
                {"round": one.number, "climbed": one.proxy, "before": _fidelity(before.fidelity)}
                for before, one in pairwise(result.rounds)
            ],
        },
    }
    raw = orjson.dumps(data, option=orjson.OPT_INDENT_2)
    folder.write("report.json", raw + b"\n")
    folder.write("report.md", to_markdown(data).encode(), edited=True)
    return data


def best_measured(result: EvolveResult) -> list[CandidateMeasurement]:
    """All recipes that were measured, those of the comparison too, the best first; measurements of
    the same corpus are one.

    Best is the highest lower bound: the mean less its standard error, where the deviation between
    seeds is that of all recipes together. Of equal ones the cheaper to measure is first.
    """
    found: dict[str, CandidateMeasurement] = {}
    for _, measurement in _measurements(result):
        known = found.get(measurement.key, measurement)
        seeds = {one.seed: one for one in (*measurement.measured, *known.measured)}
        measured = tuple(seeds[seed] for seed in sorted(seeds))
        found[measurement.key] = known.model_copy(update={"measured": measured})
    repeated = [[s.score for s in one.measured] for one in found.values() if len(one.measured) > 1]
    noise = fmean(map(variance, repeated)) if repeated else 0.0

    def rank(one: CandidateMeasurement) -> tuple[float, float]:
        lower_bound = one.score - math.sqrt(noise / len(one.measured))
        return -lower_bound, fmean(seed.seconds for seed in one.measured)

    return sorted(found.values(), key=rank)


def _measurements(result: EvolveResult) -> list[tuple[str, CandidateMeasurement]]:
    """What was measured, with what found it: the first recipes, a round, or a method."""
    rounds = [
        (f"round {one.number}" if one.number else "first", measurement)
        for one in result.rounds
        for measurement in one.measurements
        if measurement.measured
    ]
    finals = [(one.method, one.final) for one in result.method_results if one.final is not None]
    return rounds + finals


def _found_by(result: EvolveResult, measurement: CandidateMeasurement) -> str:
    return next(by for by, each in _measurements(result) if each.key == measurement.key)


def _score(measurements: Sequence[CandidateMeasurement]) -> dict[str, Any] | None:
    """What the scores are, and their points of reference; None where nothing was measured."""
    if not measurements:
        return None
    first = measurements[0].measured[0]
    return first.model_dump(include={"score_name", "chance", "base", "ceiling"})


def _method(method_result: MethodResult) -> dict[str, Any]:
    found: dict[str, Any] = {"name": None, "score": None, "interval": None, "bits_per_byte": None}
    if method_result.final is not None:
        found |= _measured(method_result.final)
    return method_result.model_dump(exclude={"final"}) | found


def _measured(measurement: CandidateMeasurement) -> dict[str, Any]:
    scores = [one.score for one in measurement.measured]
    return {
        "name": measurement.name,
        "value": measurement.value,
        "score": measurement.score,
        "interval": mean_interval(scores),
        "seeds": [one.seed for one in measurement.measured],
        "bits_per_byte": measurement.bits,
        "sources": ", ".join(measurement.recipe["sources"]),
        "recipe": measurement.recipe,
    }


def _first(measurement: CandidateMeasurement) -> dict[str, Any]:
    """One of the recipes that were measured before the first round, or why it was not."""
    if not measurement.measured:
        return {"name": measurement.name, "score": None, "failure": measurement.failure}
    return _measured(measurement)


def _kept(
    rank: int, measurement: CandidateMeasurement, recipe_task: RecipeTask, output: OutputFolder
) -> str:
    """Writes a recipe so that `chef run` can run it, and returns its path in the output."""
    file = f"best/{rank}-{measurement.name}.yaml"
    data = recipe_task.runnable(measurement.recipe, measurement.name, output.path / "best")
    output.write(file, document.dump(data).encode(), edited=True)
    return file


def _evaluations(result: EvolveResult) -> int:
    return evaluations(result.rounds) + sum(one.evaluations for one in result.method_results)


def _fidelity(found: ProxyFidelity | None) -> dict[str, Any] | None:
    return None if found is None else asdict(found)


def _as_chosen(result: EvolveResult) -> dict[str, Any] | None:
    """The rank correlation between the values that chose the recipes and their measurements."""
    measurements = [
        measurement
        for one in result.rounds[1:]
        for measurement in one.measurements
        if measurement.measured
    ]
    if len(measurements) < 3:
        return None
    values, scores = [t.value for t in measurements], [t.score for t in measurements]
    return {"recipes": len(measurements), "correlation": spearman(values, scores)}


def spearman(left: Sequence[float], right: Sequence[float]) -> float:
    """Spearman's rank correlation; 0 if one side is constant."""
    from scipy.stats import spearmanr

    if len(set(left)) < 2 or len(set(right)) < 2:
        return 0.0
    return float(spearmanr(left, right).statistic)


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
    yield f"![progress]({PLOT})"
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


INK = ("#1f4e79", "#c55a11", "#7f7f7f")
STYLES = ("--", ":", "-.", (0, (1, 1)), (0, (5, 1)))


def draw_progress(result: EvolveResult, log: Sequence[LoggedRecipe], file: Path) -> None:
    """Draws values by step and measured scores by round into a PNG file.

    Raises `MissingPackageError` without matplotlib.
    """
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingPackageError("matplotlib", extra("policy"), "the plot of a run") from error
    figure = Figure(figsize=(8, 7), layout="constrained")
    FigureCanvasAgg(figure)
    above, below = figure.subplots(2, 1)
    _draw_values(above, result, log)
    _draw_scores(below, result)
    raw = io.BytesIO()
    figure.savefig(raw, format="png", dpi=120)
    write_atomically(file, raw.getvalue())


def _draw_values(axes: Any, result: EvolveResult, log: Sequence[LoggedRecipe]) -> None:
    """Mean and best value of every step, with a line where the proxy was refitted."""
    steps: defaultdict[int, list[float]] = defaultdict(list)
    for row in log:
        if row.step < result.rounds[-1].step:
            steps[row.step + 1].append(row.value)
    axes.plot(list(steps), [fmean(v) for v in steps.values()], color=INK[0], label="mean")
    axes.plot(list(steps), [max(v) for v in steps.values()], color=INK[1], label="best")
    for one in result.rounds[:-1]:
        if one.fitted != one.proxy:
            axes.axvline(one.step + 0.5, color=INK[2], linewidth=0.8, linestyle=":")
    axes.set(xlabel="step", ylabel="value", title="What the reward says; dotted: another proxy")
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.legend(frameon=False)


def _draw_scores(axes: Any, result: EvolveResult) -> None:
    """The measured recipes of every round, the best so far, and those of the comparison."""
    best: list[tuple[int, float]] = []
    for one in result.rounds:
        scores = [measurement.score for measurement in one.measurements if measurement.measured]
        axes.scatter([one.number] * len(scores), scores, color=INK[0], s=18, zorder=3)
        if scores:
            best.append((one.number, max([*scores, *(score for _, score in best[-1:])])))
    if best:
        axes.step(*zip(*best, strict=True), where="post", color=INK[1], label="best so far")
    finals = [
        (one.method, one.final.score) for one in result.method_results if one.final is not None
    ]
    for (method, score), style in zip(finals, cycle(STYLES), strict=False):
        ink, label = INK[0] if method == POLICY else INK[2], f"{method}, fresh seeds"
        axes.axhline(score, color=ink, linestyle=style, linewidth=1, label=label)
    axes.set(xlabel="round", ylabel="measured score", title="What was measured")
    axes.xaxis.get_major_locator().set_params(integer=True)
    if best or finals:
        axes.legend(frameon=False, fontsize="small")
