"""A picture of a run: what the reward said step by step, and what was measured round by round."""

from __future__ import annotations

import io
from collections import defaultdict
from collections.abc import Sequence
from itertools import cycle
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Any

from datachef.core.atomic import write_atomically
from datachef.core.distribution import extra
from datachef.core.errors import MissingPackageError
from datachef.policy.evolve.settings import POLICY
from datachef.policy.training.log import Logged

if TYPE_CHECKING:
    from datachef.policy.evolve.loop import Result

INK = ("#1f4e79", "#c55a11", "#7f7f7f")
STYLES = ("--", ":", "-.", (0, (1, 1)), (0, (5, 1)))


def draw(result: Result, log: Sequence[Logged], file: Path) -> None:
    """Draws into a PNG file. Raises `MissingPackageError` without matplotlib."""
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


def _draw_values(axes: Any, result: Result, log: Sequence[Logged]) -> None:
    """Mean and best value of every step; a line where another proxy took over."""
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


def _draw_scores(axes: Any, result: Result) -> None:
    """Measured recipes of every round, the best so far, and what the comparison measured."""
    best: list[tuple[int, float]] = []
    for one in result.rounds:
        scores = [trial.score for trial in one.trials if trial.measured]
        axes.scatter([one.number] * len(scores), scores, color=INK[0], s=18, zorder=3)
        if scores:
            best.append((one.number, max([*scores, *(score for _, score in best[-1:])])))
    if best:
        axes.step(*zip(*best, strict=True), where="post", color=INK[1], label="best so far")
    finals = [(one.method, one.final.score) for one in result.contenders if one.final is not None]
    for (method, score), style in zip(finals, cycle(STYLES), strict=False):
        ink, label = INK[0] if method == POLICY else INK[2], f"{method}, fresh seeds"
        axes.axhline(score, color=ink, linestyle=style, linewidth=1, label=label)
    axes.set(xlabel="round", ylabel="measured score", title="What was measured")
    axes.xaxis.get_major_locator().set_params(integer=True)
    if best or finals:
        axes.legend(frameon=False, fontsize="small")
