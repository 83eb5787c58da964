"""Those who are told how a run goes."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datachef.core.run.plan import Plan
    from datachef.core.run.report import Report


class RunObserver:
    """Override what you care about; every method is called in the process that started the run."""

    def run_started(self, plan: Plan) -> None:
        """Before the first partition."""

    def phase_started(self, title: str, total_bytes: int) -> None:
        """Before partitions that are worked on together; `total_bytes` is what they read."""

    def progressed(self, label: str, done_bytes: int, rows: int) -> None:
        """While a partition is worked on: bytes read and rows passed since the last call."""

    def partition_stalled(self, label: str, seconds: float, where: str) -> None:
        """While a partition makes no progress for so long, at ever longer intervals; `where` says
        in which step, and what its process does, or how the step goes on."""

    def partition_finished(self, label: str, size: int) -> None:
        """After a partition, or at once where its result was in the cache."""

    def run_finished(self, report: Report) -> None:
        """After the corpus is in place."""

    def run_failed(self, error: BaseException) -> None:
        """When the run ends otherwise; what is done stays done."""
