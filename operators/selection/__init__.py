"""Selection: which rows of the whole corpus stay."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from datachef.core import hookimpl

if TYPE_CHECKING:
    from datachef.core import Operator


@hookimpl
def datachef_operators() -> Sequence[type[Operator]]:
    from datachef.operators.selection.sample import Sample
    from datachef.operators.selection.top_selection import TopSelection

    return [Sample, TopSelection]
