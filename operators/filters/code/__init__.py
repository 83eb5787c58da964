"""Filters for source code."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from datachef.core import hookimpl

if TYPE_CHECKING:
    from datachef.core import Operator


@hookimpl
def datachef_operators() -> Sequence[type[Operator]]:
    from datachef.operators.filters.code.code_quality_filter import CodeQualityFilter
    from datachef.operators.filters.code.syntax_filter import SyntaxFilter

    return [CodeQualityFilter, SyntaxFilter]
