"""Charts as SVG: where lines, dots and labels are; `parts.html.jinja` draws them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain
from math import ceil, floor, isfinite, log10
from typing import TypeAlias

from datachef.core.pages.rendering import number

WIDTH, HEIGHT = 640, 250
_LEFT, _RIGHT, _TOP, _BOTTOM = 56, 12, 10, 40
_TICKS = 6

Interval: TypeAlias = tuple[float, float]


@dataclass(frozen=True)
class AxisScale:
    """From values to places between 0 and a length."""

    low: float
    high: float

    @classmethod
    def of(cls, values: Iterable[float], margin: float = 0.0) -> AxisScale:
        """From the least to the greatest value, with a share of that on both sides."""
        known = [value for value in values if isfinite(value)]
        low, high = min(known, default=0.0), max(known, default=1.0)
        if low == high:
            low, high = low - 0.5, high + 0.5
        room = margin * (high - low)
        return cls(low - room, high + room)

    def place(self, value: float, length: float = 100.0) -> float:
        """Where a value is; one that is beyond the scale is at its end."""
        share = (value - self.low) / (self.high - self.low)
        return round(min(max(share, 0.0), 1.0) * length, 2)

    def ticks(self, *, whole: bool = False) -> list[float]:
        """A few round values within the scale."""
        rough = (self.high - self.low) / _TICKS
        unit = 10.0 ** floor(log10(rough))
        step = next(unit * times for times in (1, 2, 5, 10) if unit * times >= rough)
        step = max(step, 1.0) if whole else step
        first, last = ceil(self.low / step), floor(self.high / step)
        return [round(index * step, 12) for index in range(first, last + 1)]


@dataclass(frozen=True)
class ChartLine:
    """A line of a chart; `look` is the number of its colour and dashes."""

    name: str
    points: Sequence[tuple[float, float]]
    look: int = 0


@dataclass(frozen=True)
class ChartDot:
    """A dot of a chart, with intervals where they are known; dots of one name have one `look`."""

    name: str
    x: float
    y: float
    look: int = 0
    x_interval: Interval | None = None
    y_interval: Interval | None = None


@dataclass(frozen=True)
class Chart:
    """A chart as it is drawn. `title` and `description` say what there is to see, for whoever does
    not see it; the numbers themselves belong into a table beside it."""

    title: str
    description: str
    x_label: str
    y_label: str
    x_ticks: Sequence[tuple[float, str]]
    y_ticks: Sequence[tuple[float, str]]
    lines: Sequence[tuple[int, str]]
    dots: Sequence[tuple[int, float, float]]
    whiskers: Sequence[tuple[int, str]]
    rules: Sequence[float]
    legend: Sequence[tuple[str, int, str]]

    width, height = WIDTH, HEIGHT
    left, right, bottom = _LEFT, WIDTH - _RIGHT, HEIGHT - _BOTTOM
    top = _TOP


def chart(
    title: str,
    description: str,
    axes: tuple[str, str],
    lines: Sequence[ChartLine] = (),
    dots: Sequence[ChartDot] = (),
    *,
    rules: Sequence[float] = (),
    whole: bool = False,
    counts: bool = False,
) -> Chart:
    """A chart with what its `axes` are; `rules` are vertical lines, `whole` is for steps on the x
    axis, `counts` for numbers of things on the y axis. Without lines and dots the axes are empty.
    """
    points = [point for line in lines for point in line.points]
    across = [x for x, _ in points] + [
        value for dot in dots for value in _reach(dot.x, dot.x_interval)
    ]
    up = [y for _, y in points] + [value for dot in dots for value in _reach(dot.y, dot.y_interval)]
    x_scale = AxisScale.of(across, 0 if whole else 0.03)
    y_scale = AxisScale(0, max([*up, 1])) if counts else AxisScale.of(up, 0.05)
    width, height = Chart.right - Chart.left, Chart.bottom - Chart.top

    def place(x: float, y: float) -> tuple[float, float]:
        left = Chart.left + x_scale.place(x, width)
        return round(left, 1), round(Chart.bottom - y_scale.place(y, height), 1)

    return Chart(
        title, description, *axes,
        x_ticks=[(place(x, 0)[0], number(x)) for x in x_scale.ticks(whole=whole)],
        y_ticks=[(place(0, y)[1], number(y)) for y in y_scale.ticks(whole=counts)],
        lines=[(line.look, _path([place(*point) for point in line.points])) for line in lines],
        dots=[(dot.look, *place(dot.x, dot.y)) for dot in dots],
        whiskers=[
            (dot.look, _path([place(*end) for end in ends]))
            for dot in dots
            for ends in _whiskers(dot)
        ],
        rules=[place(x, 0)[0] for x in rules],
        legend=list(
            dict.fromkeys(
                chain(
                    (("line", line.look, line.name) for line in lines),
                    (("dot", dot.look, dot.name) for dot in dots),
                )
            )
        ),
    )  # fmt: skip


def sparkline(values: Sequence[float], scale: AxisScale) -> str:
    """A path through values in a box of 100 by 20."""
    across = AxisScale(0, max(len(values) - 1, 1))
    return _path([(across.place(at), 20 - scale.place(v, 20)) for at, v in enumerate(values)])


def _reach(value: float, interval: Interval | None) -> tuple[float, ...]:
    return (value, *(interval or ()))


def _whiskers(dot: ChartDot) -> Iterable[tuple[tuple[float, float], tuple[float, float]]]:
    if dot.x_interval is not None:
        yield (dot.x_interval[0], dot.y), (dot.x_interval[1], dot.y)
    if dot.y_interval is not None:
        yield (dot.x, dot.y_interval[0]), (dot.x, dot.y_interval[1])


def _path(points: Sequence[tuple[float, float]]) -> str:
    """Lines from point to point; a single one is drawn as a short line, so that it is seen."""
    if len(points) == 1:
        points = [points[0], (points[0][0] + 0.1, points[0][1])]
    return "".join(f"{'L' if at else 'M'}{x:g} {y:g}" for at, (x, y) in enumerate(points))
