"""What is installed, for code that nobody gives a host."""

from __future__ import annotations

import os
from functools import lru_cache
from typing import TYPE_CHECKING

from datachef.core.errors import DatachefError
from datachef.core.registry.host import Host
from datachef.core.system.containment import RESTRICT

if TYPE_CHECKING:
    from datachef.core.contracts.metric import Metric
    from datachef.core.contracts.task import Task


def metric_of(task: Task) -> type[Metric]:
    """The metric of a task: that which was found when its file was read, or an installed one."""
    return task.metric_type or installed_metric(task.metric)


def installed_metric(name: str) -> type[Metric]:
    """The installed metric of a name; an unknown one is a `DatachefError`."""
    host = installed()
    metrics = host.vocabulary.metrics
    if name not in metrics:
        raise DatachefError(f"there is no metric {name!r}", host.missing(name, metrics))
    return metrics[name]


def installed() -> Host:
    """The host of all that is installed, as far as the environment does not restrict it."""
    return _restricted_to(os.environ.get(RESTRICT))


@lru_cache(maxsize=4)
def _restricted_to(_: str | None) -> Host:
    return Host()
