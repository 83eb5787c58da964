"""The report of an evolution: rounds, measurements and the comparison, from its folder."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cached_property
from itertools import pairwise
from typing import Any

import orjson

from datachef.core import document
from datachef.core.cli.display import interval, place
from datachef.core.errors import DatachefError
from datachef.core.pages.charts import AxisScale, Chart, ChartDot, ChartLine, chart
from datachef.core.pages.rendering import rendered
from datachef.core.registry.folder_report import FolderReport
from datachef.policy.evolve.report import report_data
from datachef.policy.evolve.run_state import EvolveResult, RunState
from datachef.policy.reports.curves import learning_chart, step_summaries, thinned, uses
from datachef.policy.settings import POLICY, REPORT, STATE
from datachef.policy.training.log import LoggedRecipe, read_log

# The looks of what was measured first, of rounds, and of the methods of the comparison.
_LOOKS = {"first": 4, "round": 0}
_METHOD = 1


class EvolutionReport(FolderReport):
    """The report of what `chef evolve` wrote; of a run that goes on, of what is done so far."""

    @cached_property
    def _state(self) -> RunState:
        return RunState(self.folder / STATE)

    @cached_property
    def _log(self) -> Sequence[LoggedRecipe]:
        return read_log(self.folder / POLICY)

    @cached_property
    def _report(self) -> dict[str, Any]:
        """What was written at the end, or, where rounds followed or none was written, what the
        state says: rounds without a comparison."""
        rounds = self._state.rounds()
        if not rounds:
            raise DatachefError(
                f"{self.folder} has no finished round yet", "chef evolve writes them, one by one"
            )
        path = self.folder / REPORT
        try:
            found = orjson.loads(path.read_bytes()) if path.exists() else {}
        except ValueError as error:
            raise DatachefError(f"{path} is no JSON: {error}", "run chef evolve again") from error
        if isinstance(found, dict) and found.get("rounds") == rounds[-1].number:
            return found
        task = self._log[0].task if self._log else ""
        result = EvolveResult(tuple(rounds), (), "", self._state.saved_seconds)
        return report_data(result, task) | {"effects": []}

    def data(self) -> dict[str, Any]:
        return self._report

    def printed(self) -> Iterable[Any]:
        from rich.table import Table

        report = self._report
        yield f"{report['rounds']} rounds; " + (
            f"it ended because {report['ended']}" if report["ended"] else "it is not finished"
        )
        if report["methods"]:
            table = Table(header_style="bold")
            table.add_column("method")
            for name in ("reward calls", "best value", "measured", "interval", "bits per byte"):
                table.add_column(name, justify="right")
            for one in sorted(report["methods"], key=lambda one: -(one["score"] or 0)):
                table.add_row(
                    one["method"], f"{one['calls']:,}", f"{one['value']:.4f}",
                    _number(one["score"]), interval(one["interval"]),
                    _number(one["bits_per_byte"]),
                )  # fmt: skip
            yield table
        for name in ("before", "after"):
            if (found := report["fidelity"][name]) is not None:
                yield (
                    f"rank correlation of the proxy {name}: {found['correlation']:.3f} over "
                    f"{found['recipes']} recipes"
                )
        for one in report["fidelity"]["rounds"]:
            if not one["climbed"] and one["before"]:
                yield f"round {one['round']} did not climb the proxy: it ranks nothing held out"
        for best in report["best"]:
            file = place((self.folder / best["file"]).absolute())
            yield f"{best['score']:.4f}  {file} ({best['by']})"

    def page(self) -> str:
        report = self._report
        steps = step_summaries([row for row in self._log if row.step < report["steps"]])
        scored = [
            one for one in (*report["measured"], *report["methods"]) if one["score"] is not None
        ]
        ends = [value for one in scored for value in (one["score"], *(one["interval"] or ()))]
        best = report["best"]
        return rendered(
            "datachef.policy.reports",
            "evolution.html.jinja",
            report
            | {
                "title": f"{report['task'] or self.folder.absolute().name}: report of an evolution",
                "folder": str(self.folder),
                "curve": learning_chart(steps, rules=self._refitted) if steps else None,
                "table": thinned(steps),
                "curve_steps": len(steps),
                "progress": _progress(report) if scored else None,
                "against": _against(report["measured"]),
                "scale": AxisScale.of(ends, 0.05),
                "uses": uses(self._log),
                "recipe": document.dump(best[0]["recipe"]) if best else "",
                "methods": sorted(report["methods"], key=lambda one: -(one["score"] or 0)),
            },
        )

    @property
    def _refitted(self) -> list[float]:
        """Between which steps the reward became another."""
        rounds = self._report["by_round"]
        return [
            one["step"] + 0.5
            for one, following in pairwise(rounds)
            if one["step"] and one["climbed"] != following["climbed"]
        ]


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.4f}"


def _look(by: str) -> int:
    return _LOOKS.get(by.partition(" ")[0], _METHOD)


def _group(by: str) -> str:
    return {"first": "measured first", "round": "of a round"}.get(
        by.partition(" ")[0], "of the comparison, fresh seeds"
    )


def _round(one: dict[str, Any], last: int) -> int:
    """The round of a measurement; those of the comparison come after the last one."""
    kind, _, number = one["by"].partition(" ")
    return 0 if kind == "first" else int(number) if kind == "round" else last + 1


def _progress(report: dict[str, Any]) -> Chart:
    """The measured scores by round, the best so far, and the points of reference."""
    last = report["rounds"]
    shown = sorted(report["measured"], key=lambda one: _round(one, last))
    best: list[tuple[float, float]] = []
    for one in shown:
        if (number := _round(one, last)) <= last:
            before = best[-1][1] if best else one["score"]
            best += [(number, before), (number, max(one["score"], before))]
    score = report["score"] or {}
    levels = [
        ChartLine(said, [(0, score[name]), (last + 1, score[name])], look)
        for name, said, look in (("chance", "chance", 4), ("base", "untrained base model", 3))
        if score.get(name) is not None
    ]
    dots = [
        ChartDot(
            _group(one["by"]), _round(one, last), one["score"], _look(one["by"]),
            y_interval=one["interval"],
        )
        for one in shown
    ]  # fmt: skip
    said = (
        f"{len(shown)} measurements; the best of the rounds is {best[-1][1]:.4f}." if best else ""
    )
    lines = [ChartLine("best so far", best, 2), *levels] if best else levels
    axes = ("round; the comparison comes after the last", "measured score")
    return chart("Measured scores by round", said, axes, lines, dots)


def _against(measured: Sequence[dict[str, Any]]) -> Chart | None:
    """What was measured against what the reward predicted when the recipe was chosen."""
    known = [one for one in measured if one["predicted"] is not None]
    if not known:
        return None
    dots = [
        ChartDot(
            _group(one["by"]), one["predicted"], one["score"], _look(one["by"]),
            one["predicted_interval"], one["interval"],
        )
        for one in known
    ]  # fmt: skip
    inside = sum(
        one["predicted_interval"][0] <= one["score"] <= one["predicted_interval"][1]
        for one in known
        if one["predicted_interval"] is not None
    )
    values = [value for dot in dots for value in (dot.x, dot.y)]
    ends = [(min(values), min(values)), (max(values), max(values))]
    return chart(
        "Measured against predicted",
        f"{len(known)} measurements, of which {inside} lie in the interval that was predicted.",
        ("predicted score, with its interval", "measured score"),
        [ChartLine("measured as predicted", ends, 4)],
        dots,
    )
