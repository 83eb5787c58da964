"""Filters, formatters and extractors of datatrove as operators, where datatrove is installed.

Their classes, parameters and drop reasons are read from datatrove's source, so that listing them
imports nothing; what is imported is what a recipe uses.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from datachef.core import hookimpl

if TYPE_CHECKING:
    from datachef.core import Operator


@hookimpl
def datachef_operators() -> Sequence[type[Operator]]:
    from datachef.plugins.datatrove.operators import operators

    return list(operators().values())


def __getattr__(name: str) -> Any:
    """The operator of a class of datatrove: how a pickled one finds its class."""
    from datachef.plugins.datatrove.operators import operators

    if name in operators():
        return operators()[name]
    raise AttributeError(name)
