"""What is told of a corpus: the ledger of its run, shares and warnings, and all else as a page."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property
from pathlib import Path
from typing import Any

from datachef.core import FinishedRun, FolderReport, Host


class CorpusReport(FolderReport):
    """The report of a finished run, by the folder or the URL of its corpus."""

    def __init__(self, place: Path | str, host: Host) -> None:
        super().__init__(Path(place), host)
        self._place = place

    @cached_property
    def run(self) -> FinishedRun:
        return FinishedRun.open(self._place)

    def data(self) -> Any:
        return self.run.ledger_data

    def printed(self) -> Iterable[Any]:
        from datachef.core.cli.display import accounts

        shares = [share.to_data() for share in self.run.shares]
        return accounts(self.run.ledger_data, shares, self.run.warnings)

    def page(self) -> str:
        from datachef.plugins.report.page import page

        return page(self.run, self.host.vocabulary)
