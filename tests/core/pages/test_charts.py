"""Charts: everything lies within the picture, and ticks are round values within the axis."""

from __future__ import annotations

import re

from hypothesis import given, strategies as st

from datachef.core.pages.charts import AxisScale, Chart, ChartDot, ChartLine, chart, sparkline

VALUES = st.floats(-1e6, 1e6, allow_nan=False)


@given(st.lists(st.tuples(VALUES, VALUES), min_size=1, max_size=20))
def test_all_points_lie_within_the_axes(points: list[tuple[float, float]]) -> None:
    dots = [ChartDot("dots", x, y, 1, (x - 1, x + 1), (y - 1, y + 1)) for x, y in points]
    made = chart("title", "description", ("x", "y"), [ChartLine("line", points)], dots)
    paths = [path for _, path in (*made.lines, *made.whiskers)]
    places = [
        tuple(map(float, pair)) for p in paths for pair in re.findall(r"([\d.]+) ([\d.]+)", p)
    ]
    places += [(x, y) for _, x, y in made.dots]
    assert all(Chart.left <= x <= Chart.right + 0.1 for x, _ in places)
    assert all(Chart.top <= y <= Chart.bottom for _, y in places)
    assert [name for _, _, name in made.legend] == ["line", "dots"]


@given(VALUES, st.floats(1e-6, 1e6))
def test_ticks_are_few_and_within_the_scale(low: float, span: float) -> None:
    scale = AxisScale.of([low, low + span])
    ticks = scale.ticks()
    assert len(ticks) <= 7
    slack = 1e-9 * max(abs(low), span)
    assert all(scale.low - slack <= tick <= scale.high + slack for tick in ticks)


def test_steps_have_whole_ticks_and_a_single_value_is_seen() -> None:
    assert AxisScale.of([1, 3]).ticks(whole=True) == [1, 2, 3]
    assert AxisScale.of([5]).ticks() == [4.6, 4.8, 5.0, 5.2, 5.4]
    assert sparkline([0.5], AxisScale(0, 1)) == "M0 10L0.1 10"
    assert sparkline([0, 1], AxisScale(0, 1)) == "M0 20L100 0"
