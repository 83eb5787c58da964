"""The contract of what is told of a folder that a command wrote: a corpus, a training ..."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from datachef.core.registry.host import Host


class FolderReport(ABC):
    """What a folder that a command wrote tells: printed, as JSON, and as a page of HTML.

    A plugin whose command writes folders of its own marks them with a kind, and registers a report
    for that kind:

        @hookimpl
        def datachef_reports():
            return {"catalog": CatalogReport}

    It is read from files of the folder alone, of which none is changed. Each part raises
    `DatachefError` where they are not there, or not what the command writes.
    """

    def __init__(self, folder: Path, host: Host) -> None:
        """`host` has the plugins that are loaded."""
        self.folder = folder
        self.host = host

    @abstractmethod
    def data(self) -> Any:
        """What `chef report --json` prints, as plain data."""

    @abstractmethod
    def printed(self) -> Iterable[Any]:
        """What `chef report` prints: strings, and tables of rich."""

    @abstractmethod
    def page(self) -> str:
        """What `chef report --html` writes, and a notebook shows of a corpus: a page that needs
        nothing else."""
