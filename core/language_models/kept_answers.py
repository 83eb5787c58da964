"""The answers of language models that were paid for, by what was asked."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from datachef.core.system.atomic import make_room, read_record, sealed, unsealed, write_record

if TYPE_CHECKING:
    from datachef.core.system.folder import Folder

_SHARED = "llm"


@dataclass(frozen=True)
class KeptAnswers:
    """Answers in a folder of this machine, each in a file by the hash of what was asked.

    Where results lie elsewhere (`shared`), so do the answers: another machine need not ask again.
    """

    folder: Path
    shared: Folder | None = None

    def path(self, key: str) -> Path:
        return self.folder / _name(key)

    def read(self, key: str) -> Any:
        """What was kept; None where that is nothing, or not as it was written."""
        path = self.path(key)
        known = read_record(path, path.name)
        if known is not None or self.shared is None:
            return known
        known = unsealed(path.name, self.shared.content(f"{_SHARED}/{_name(key)}"))
        if known is not None:
            write_record(path, self.folder, path.name, known)
        return known

    def make_room(self, key: str) -> None:
        """Makes the folder for an answer, and removes what stands in its way."""
        make_room(self.path(key), self.folder)

    def write(self, key: str, content: Any) -> None:
        """Keeps an answer, before anybody sees it."""
        path = self.path(key)
        write_record(path, self.folder, path.name, content, durable=True)
        if self.shared is not None:
            self.shared.put_bytes(sealed(path.name, content), f"{_SHARED}/{_name(key)}")


def _name(key: str) -> str:
    return f"{key[:2]}/{key}.json"
