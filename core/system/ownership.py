"""Which files of a folder are ours: those that the mark in it names, and no others."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

import orjson

from datachef.core.distribution import version

MARK = ".datachef.json"
# A corpus is marked by its manifest, which names its data; these lie beside them.
MANIFEST = "manifest.json"
LEDGER = "ledger.json"
CARD = "README.md"
REJECTS = "rejects/rejects.parquet"
# The same of a run that failed because of its rows.
REJECTED = "rejects.parquet"
EFFORT = "effort.json"
SIGNALS = "signals/signals.parquet"
THRESHOLDS = "signals/thresholds.parquet"
CHANGES = "changes/changes.parquet"
CORPUS = "corpus"
# Of a corpus in an object store the manifest says under which names these lie.
BESIDE = "beside"


@dataclass(frozen=True)
class Mark:
    """What a folder holds of ours: its `kind`, and its `files` by their relative names.

    Facts of a file, `bytes` and `checksum`, tell whether it is still as we wrote it; a file without
    facts may change. A name that ends in `/` is a folder that is ours with all that is in it.
    """

    kind: str
    files: Mapping[str, Mapping[str, Any] | None] = field(default_factory=dict)

    def names(self, name: str) -> bool:
        """Whether a file, or something in a folder, is ours."""
        return any(
            known == name
            or known.startswith(f"{name}/")
            or (known.endswith("/") and name.startswith(known))
            for known in self.files
        )

    def to_bytes(self) -> bytes:
        files = dict(sorted(self.files.items()))
        data = {"datachef": version(), "kind": self.kind, "files": files}
        return orjson.dumps(data, option=orjson.OPT_INDENT_2) + b"\n"


def read_mark(folder: Path) -> Mark | None:
    """The mark of a folder; None where it has none, or one that does not make sense."""
    for name in (MARK, MANIFEST):
        with suppress(OSError):
            found = mark_in(name, (folder / name).read_bytes())
            if found is not None:
                return found
    return None


def mark_in(name: str, raw: bytes) -> Mark | None:
    """The mark that a file is, by its name and content; None where it does not make sense."""
    try:
        data = orjson.loads(raw)
    except ValueError:
        return None
    if not isinstance(data, dict) or not isinstance(data.get("datachef"), str):
        return None
    found = _marked(data) if name == MARK else _manifest(data)
    return found if found is not None and all(map(_is_plain, found.files)) else None


def foreign_files(folder: Path) -> list[str]:
    """The names of what is in a folder and not ours; a subfolder without anything of ours is one.

    Links are not followed.
    """
    mark = read_mark(folder)
    return sorted(_foreign_files(folder, "", mark or Mark("")))


def move_foreign_files(old: Path, new: Path) -> None:
    """Moves what is in one folder and not ours into another one on the same disk; where a name is
    taken there, under the next free one."""
    for name in foreign_files(old):
        target = Path(free_name(str(new / name), os.path.lexists))
        target.parent.mkdir(parents=True, exist_ok=True)
        (old / name).rename(target)


def free_name(name: str, taken: Callable[[str], bool]) -> str:
    """The name, or with a number behind it where something has that name."""
    number, free = 0, name
    while taken(free):
        number += 1
        free = f"{name}.{number}"
    return free


def _foreign_files(folder: Path, above: str, mark: Mark) -> list[str]:
    found: list[str] = []
    with os.scandir(folder) as entries:
        for entry in entries:
            name = above + entry.name
            if entry.is_dir(follow_symlinks=False):
                if f"{name}/" in mark.files:
                    continue
                if any(known.startswith(f"{name}/") for known in mark.files):
                    found += _foreign_files(Path(entry.path), f"{name}/", mark)
                else:
                    found.append(name)
            elif name != MARK and (name not in mark.files or _is_edited(name, entry, mark)):
                found.append(name)
    return found


def _is_edited(name: str, entry: os.DirEntry[str], mark: Mark) -> bool:
    """Whether somebody made our dataset card his own; other files are not looked into."""
    facts = mark.files[name] if name == CARD else None
    return facts is not None and facts != facts_of(Path(entry.path))


def facts_of(path: Path) -> dict[str, Any]:
    """By what a file is known again; an empty mapping where it cannot be read."""
    from datachef.core.system.paths import checksum

    try:
        return {"bytes": path.stat().st_size, "checksum": checksum(path)}
    except OSError:
        return {}


def _marked(data: Mapping[str, Any]) -> Mark | None:
    kind, files = data.get("kind"), data.get("files")
    if not isinstance(kind, str) or not isinstance(files, dict):
        return None
    if not all(facts is None or isinstance(facts, dict) for facts in files.values()):
        return None
    return Mark(kind, files)


def _manifest(data: Mapping[str, Any]) -> Mark | None:
    outputs = data.get("outputs")
    if not isinstance(outputs, list) or not all(isinstance(one, dict) for one in outputs):
        return None
    if not all(isinstance(one.get("file"), str) for one in outputs):
        return None
    card, beside = data.get("card"), data.get(BESIDE, {})
    if not isinstance(beside, dict) or not all(isinstance(one, str) for one in beside.values()):
        return None
    files: dict[str, Mapping[str, Any] | None] = dict.fromkeys(
        (MANIFEST, LEDGER, EFFORT, REJECTS, SIGNALS, THRESHOLDS, CHANGES, *beside.values())
    )
    files[CARD] = card if isinstance(card, dict) else None
    return Mark(CORPUS, files | {one["file"]: one for one in outputs})


def _is_plain(name: str) -> bool:
    """Whether a name leads nowhere but down."""
    parts = PurePosixPath(name).parts
    return bool(parts) and not name.startswith("/") and ".." not in parts
