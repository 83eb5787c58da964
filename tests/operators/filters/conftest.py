from __future__ import annotations

from collections.abc import Callable, Sequence

import polars as pl
import pytest

from datachef.core import Filter
from datachef.core.run.signals import decide, measure

Texts = Sequence[str | None]


def _signals(operator: Filter, texts: Texts) -> pl.DataFrame:
    batch = pl.DataFrame({"text": texts}, schema={"text": pl.String})
    return measure(operator, batch)


@pytest.fixture(scope="session")
def signals() -> Callable[[Filter, Texts], pl.DataFrame]:
    """The signals of a filter on some texts, under their own names."""
    return _signals


@pytest.fixture(scope="session")
def reasons() -> Callable[[Filter, Texts], list[str | None]]:
    """The reason for which a filter drops each of some texts, None where it keeps it."""
    return lambda operator, texts: list(decide(operator, _signals(operator, texts)))
