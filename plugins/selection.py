"""The selection operators we register."""

from __future__ import annotations

from collections.abc import Sequence

from datachef.core import Operator, hookimpl


@hookimpl
def datachef_operators() -> Sequence[type[Operator]]:
    from datachef.operators.selection.sample import Sample
    from datachef.operators.selection.top_selection import TopSelection

    return [Sample, TopSelection]
