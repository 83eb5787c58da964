"""What a task says of itself."""

from __future__ import annotations

from typing import get_args

from datachef.core import Task
from datachef.core.contracts.task import SCORED_BY


def test_every_metric_has_words() -> None:
    assert set(SCORED_BY) == set(get_args(Task.model_fields["metric"].annotation))
