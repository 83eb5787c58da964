"""The filter keeps the contract of operators, and drops what it says."""

from __future__ import annotations

import polars as pl
import pytest
from datachef_sample import ShoutingFilter

from datachef.core.testing import OperatorContract


class TestShoutingFilter(OperatorContract):
    operator = ShoutingFilter(max_upper_share=0.3)


@pytest.mark.parametrize(
    ("text", "dropped"),
    [("A QUIET LINE", True), ("A quiet line", False), ("12 + 30 = 42", False), ("", False)],
)
def test_text_in_capitals_is_dropped(text: str, dropped: bool) -> None:
    sample = ShoutingFilter()
    rows = pl.DataFrame({"text": [text]}).with_columns(**sample.signals())
    assert rows.select(**sample.rules())["shouting"].to_list() == [dropped]
