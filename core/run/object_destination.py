"""A corpus in an object store, where nothing can be renamed: its manifest puts it in place."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import orjson

from datachef.core.errors import RunError
from datachef.core.escaping import indented_json
from datachef.core.files.object_folder import ObjectFolder, Version
from datachef.core.recipe.checked import CheckedRecipe
from datachef.core.run.destination import FolderDestination, refuse_changed
from datachef.core.run.plan import Plan
from datachef.core.run.stage import key_of
from datachef.core.system.atomic import replacing
from datachef.core.system.outputs import refuse_foreign
from datachef.core.system.ownership import (
    BESIDE,
    CARD,
    CORPUS,
    EFFORT,
    MANIFEST,
    MARK,
    Mark,
    facts_of,
    free_name,
    mark_in,
)
from datachef.core.system.paths import content_checksum, is_url

_SHOWN = 6
_DIGITS = 16


class ObjectDestination(FolderDestination):
    """What lies under a URL of an object store.

    Data and accounts are sent to names that tell their content, so that none is written that the
    manifest in place names with another content. Then one request replaces the manifest: who
    begins there finds the old corpus or the new one, whole. What only the old one named is removed
    after that. A mark names what is on its way, so that the next run removes what a killed one
    left; what neither names is nobody's to touch.

    What lies beside the rows is kept in the cache of this machine too.
    """

    def __init__(self, url: str, cache: Path) -> None:
        self.url = url.rstrip("/")
        super().__init__(cache / "outputs" / key_of(self.url))
        self._remote = ObjectFolder(self.url, cache)
        self._reached = False
        self._found: tuple[bytes, Version] = (b"", None)
        self._ours = Mark(CORPUS)
        self._cards: set[str] = set()
        self._named: list[str] = []

    def refuse(self, checked: CheckedRecipe, plan: Plan, cache: Path) -> None:
        if not self._reached:
            self._remote.prepare()
            self._reached = True
        for info in (checked.written or checked).source_info.values():
            for partition in info.partitions:
                path = partition.place.get("path")
                if isinstance(path, str) and is_url(path) and path.startswith(f"{self.url}/"):
                    raise RunError(
                        f"the output {self.url} holds the input {path}", "choose another output"
                    )
        self._found = self._remote.version(MANIFEST)
        corpus = mark_in(MANIFEST, self._found[0])
        begun = mark_in(MARK, self._remote.content(MARK))
        if corpus is None and begun is None:
            names = [file.name for file in islice(self._remote.files(), _SHOWN)]
            refuse_foreign(self.url, sorted(names), CORPUS)
        known = [mark.files for mark in (begun, corpus) if mark is not None]
        self._ours = Mark(CORPUS, {name: facts for files in known for name, facts in files.items()})
        self._cards = {facts["checksum"] for files in known if (facts := files.get(CARD))}

    @contextmanager
    def replacing(self) -> Iterator[Path]:
        with replacing(self.folder) as staging:
            yield staging
            self._publish(staging)

    def data(self, staging: Path, content: str, names: Sequence[str]) -> tuple[str, str]:
        folder = f"data/{content[:_DIGITS]}"
        self._named = [f"{folder}/{name}" for name in names]
        self._begin(self._named)
        return self.url, folder

    def verify(self, staging: Path, files: Sequence[Mapping[str, Any]]) -> None:
        below = self._named[0].rpartition("/")[0]
        found = {(file.name, file.size) for file in self._remote.files(below)}
        refuse_changed([name for name, _ in found ^ {(f["file"], f["bytes"]) for f in files}])

    def manifest(self) -> bytes:
        return self._remote.content(MANIFEST)

    def _begin(self, names: Iterable[str]) -> None:
        """Says that files are ours before they are sent."""
        self._ours = replace(self._ours, files={**dict.fromkeys(names), **self._ours.files})
        self._remote.put_bytes(self._ours.to_bytes(), MARK)

    def _publish(self, staging: Path) -> None:
        files = [path for path in staging.rglob("*") if path.is_file()]
        accounts = {str(path.relative_to(staging)): path for path in sorted(files)}
        written = orjson.loads(accounts.pop(MANIFEST).read_bytes())
        card = accounts.pop(CARD)
        told = [[name, facts_of(path)] for name, path in accounts.items() if name != EFFORT]
        folder = f"accounts/{key_of(told)[:_DIGITS]}"
        beside = {name: f"{folder}/{name}" for name in accounts}
        self._begin([*beside.values(), MANIFEST, CARD])
        for name, path in accounts.items():
            self._remote.put(path, beside[name])
        manifest = indented_json({**written, BESIDE: beside})
        self._remote.put_version(manifest, MANIFEST, self._found[1])
        self._put_card(card)
        for name in self._ours.files.keys() - {*self._named, *beside.values(), MANIFEST, CARD}:
            self._remote.remove(name)
        self._remote.remove(MARK)

    def _put_card(self, card: Path) -> None:
        """Puts the dataset card in its place; one that somebody made his own stays beside it."""
        found = self._remote.content(CARD)
        if found and content_checksum(found) not in self._cards:
            free = free_name(CARD, lambda name: bool(self._remote.content(name)))
            self._remote.put_bytes(found, free)
        self._remote.put(card, CARD)
