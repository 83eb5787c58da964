"""Where commands write: folders and files that are ours, and nothing that others keep there.

A folder is marked before anything is written into it. One that is there, holds something and has no
mark of ours is refused, and so is a file that something else wrote. In a marked folder only files
that the mark names are replaced or removed.
"""

from __future__ import annotations

import errno
import os
import re
import stat
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

from datachef.core.errors import DatachefError, RunError
from datachef.core.system.atomic import beside, clear_leftovers, write_atomically
from datachef.core.system.failures import naming
from datachef.core.system.ownership import (
    CORPUS,
    MANIFEST,
    MARK,
    Mark,
    facts_of,
    free_name,
    read_mark,
)
from datachef.core.system.paths import expanded

_SHOWN = 5
# A URL, as a path has it: of several slashes one is left.
_URL = re.compile(r"(?:^|/)(?P<protocol>[a-z][a-z0-9+.-]+):/(?P<rest>[^/].*)")


def resolved(path: Path) -> Path:
    """Where an output leads when links are followed, also to what is not there yet.

    Raises `OSError` for links in a circle and for a name that no disk takes, and `DatachefError`
    for a URL that somebody took for a path.
    """
    refuse_url(path)
    with suppress(FileNotFoundError):
        path.stat()
    return Path(os.path.realpath(path))


def refuse_url(path: Path) -> None:
    """Raises `DatachefError` for a path that was written as a URL: it would make a folder `s3:`."""
    if found := _URL.search(str(path)):
        raise DatachefError(
            f"{found['protocol']}://{found['rest']} is a URL, and this is written to a folder or a "
            "file of this machine",
            "name a path",
        )


def lies_in(inner: Path, outer: Path) -> bool:
    """Whether a path is another one or below it, by whatever names both are reached."""
    inner, outer = Path(os.path.realpath(inner)), Path(os.path.realpath(outer))
    if inner.is_relative_to(outer):
        return True
    if not outer.exists():
        return _folds_case(outer) and _folded(inner).is_relative_to(_folded(outer))
    for place in (inner, *inner.parents):
        with suppress(OSError):
            if place.samefile(outer):
                return True
    return False


def refuse_places(
    folder: Path, apart: Iterable[tuple[str, Path]], *, replaced: bool = False
) -> None:
    """Raises `RunError` for a folder that nobody should write into.

    That is the root of the disk, a home folder and what is above it; one that holds a path of
    `apart`, each with a word for it, or lies in one. A folder that is `replaced` as a whole can be
    neither the working folder nor a mount point, nor above the first.
    """
    folder = resolved(folder)
    home, here = expanded("~"), _working_folder()
    for what, place in (("the root of the disk", Path(folder.anchor)), ("your home folder", home)):
        if place.is_absolute() and lies_in(place, folder):
            is_it = "is" if lies_in(folder, place) else "holds"
            raise RunError(f"the output {folder} {is_it} {what}", "name a folder of its own")
    if replaced and here is not None and lies_in(here, folder):
        raise RunError(
            f"the output {folder} is or holds the working folder, and is replaced as a whole",
            "name a folder inside it, or run the command from elsewhere",
        )
    if replaced and folder.is_mount():
        raise RunError(
            f"the output {folder} is a mount point, which cannot be replaced as a whole",
            "name a folder inside it",
        )
    for what, place in apart:
        if lies_in(place, folder) or (not place.is_file() and lies_in(folder, place)):
            raise RunError(
                f"the output {folder} and {what} {place} would lie one in the other",
                "choose another output",
            )


def refuse_unmarked(folder: Path, kind: str) -> Mark | None:
    """The mark of a folder of ours, None for one that is empty or not there.

    Raises `RunError` for a folder that holds what others keep, or another kind of ours.
    """
    folder = resolved(folder)
    if not folder.exists():
        return None
    if not folder.is_dir():
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(folder))
    mark = read_mark(folder)
    if mark is None:
        found = sorted(path.name for path in folder.iterdir() if not path.match(f".{MARK}.*"))
        refuse_foreign(folder, found, kind)
    elif mark.kind != kind:
        raise RunError(
            f"{folder} holds {_article(mark.kind)} of datachef, and this is {_article(kind)}",
            "choose another output",
        )
    return mark


def refuse_foreign(place: Path | str, found: list[str], kind: str) -> None:
    """Raises `RunError` where anything was found in a place that has no mark of ours."""
    if found:
        raise RunError(
            f"{place} exists and is not {_article(kind)} of datachef: it holds {_some(found)}",
            "choose another output: a folder that is new, empty or marked by this command "
            f"({MANIFEST if kind == CORPUS else MARK})",
        )


class OutputFolder:
    """A folder that a command writes into, beside what others keep there."""

    def __init__(self, path: Path, mark: Mark) -> None:
        self.path = path
        self._mark = mark

    @classmethod
    def open(cls, folder: Path, kind: str) -> OutputFolder:
        """Takes up a folder of ours, or makes and marks a new one. Raises `RunError` as
        `refuse_unmarked` does."""
        mark = refuse_unmarked(folder, kind)
        output = cls(resolved(folder), mark or Mark(kind))
        if mark is None:
            output._save(output._mark)
        return output

    @classmethod
    def existing(cls, folder: Path, kind: str) -> OutputFolder | None:
        """A folder of ours, for whoever only reads it; None where there is none."""
        mark = refuse_unmarked(folder, kind)
        return None if mark is None else cls(resolved(folder), mark)

    def owns(self, name: str) -> bool:
        """Whether a file or subfolder was written by us."""
        return self._mark.names(name)

    def claim(self, *names: str) -> None:
        """Records, before they are written, that files are ours; folders where a name ends in `/`.

        Raises `RunError` where one is there already and is not, or is reached through a link.
        """
        self._refresh()
        new = [name for name in names if not self._is_claimed(name)]
        for name in names:
            if (above := self._in_the_way(name)) is not None:
                raise self._refusal(above)
            if name in new and os.path.lexists(self.path / name):
                raise self._refusal(name)
        if new:
            self._save(replace(self._mark, files={**self._mark.files, **dict.fromkeys(new)}))

    def write(self, name: str, raw: bytes, *, edited: bool = False) -> None:
        """Writes a file of ours whole. With `edited` one that somebody changed since we wrote it
        is kept beside the new one, with a number behind its name."""
        self.claim(name)
        place = self.path / name
        if edited:
            self._keep_edited(name)
            self._record({name: None})
        write_atomically(place, raw)
        if edited:
            self._record({name: facts_of(place)})

    @contextmanager
    def making(self, name: str) -> Iterator[Path]:
        """A hidden folder that becomes the subfolder `name` when nothing went wrong."""
        clear_leftovers(self.path / name)
        staging = beside(self.path / name, "partial")
        staging.mkdir(parents=True)
        try:
            yield staging
            self.put(staging, name)
        finally:
            clear_leftovers(self.path / name)

    def put(self, made: Path, name: str) -> None:
        """Makes a folder, which is on this disk and finished, the subfolder `name`, in one step
        where that is new. Raises `RunError` where another one is there."""
        self._refresh()
        place = self.path / name
        if place.is_symlink() or (os.path.lexists(place) and not self.owns(name)):
            raise self._refusal(name)
        self.remove(name)
        files = [path for path in sorted(made.rglob("*")) if not path.is_dir()]
        facts = {f"{name}/{path.relative_to(made).as_posix()}": facts_of(path) for path in files}
        self._record(facts)
        if not os.path.lexists(place):
            place.parent.mkdir(parents=True, exist_ok=True)
            made.rename(place)
            return
        for path in files:  # others keep something in it
            target = place / path.relative_to(made)
            target.parent.mkdir(parents=True, exist_ok=True)
            path.replace(target)

    def damage(self, name: str) -> str:
        """Which file of a subfolder that was `put` is missing or not as it was; empty for none."""
        within = {file: facts for file, facts in self._mark.files.items() if _is_in(file, name)}
        for file, facts in within.items():
            if facts is not None and facts != facts_of(self.path / file):
                return file
        return "" if within else name

    def remove(self, name: str, *, edited: bool = False) -> None:
        """Removes what is ours of a file or subfolder; a subfolder that holds more stays. With
        `edited` a file stays that somebody changed, with a number behind its name."""
        self._refresh()
        ours = [file for file in self._mark.files if file == name or _is_in(file, name)]
        for file in ours:
            if self._in_the_way(file) is None:
                if edited:
                    self._keep_edited(file)
                with suppress(FileNotFoundError, IsADirectoryError):
                    (self.path / file).unlink()
        folders = {parent for file in ours for parent in Path(file).parents}
        for folder in sorted(folders, key=lambda folder: -len(folder.parts)):
            if folder.parts and self._in_the_way(f"{folder}/") is None:
                with suppress(OSError):
                    (self.path / folder).rmdir()
        if ours:
            kept = {file: facts for file, facts in self._mark.files.items() if file not in ours}
            self._save(replace(self._mark, files=kept))

    def delete(self) -> None:
        """Removes all that is ours, and the folder where nothing else is left in it."""
        for name in [*self._mark.files]:
            self.remove(name)
        (self.path / MARK).unlink()
        with suppress(OSError):
            self.path.rmdir()

    def _keep_edited(self, name: str) -> None:
        """Puts a file aside that is not as we wrote it."""
        place, facts = self.path / name, self._mark.files.get(name)
        if facts is not None and place.exists() and facts != facts_of(place):
            place.rename(free_name(str(place), os.path.lexists))

    def _in_the_way(self, name: str) -> str | None:
        """The first of the subfolders of a name that is a link, or no folder."""
        above = self.path
        for part in Path(name).parts[: None if name.endswith("/") else -1]:
            above /= part
            if above.is_symlink() or (above.exists() and not above.is_dir()):
                return str(above.relative_to(self.path))
        return None

    def _is_claimed(self, name: str) -> bool:
        return name in self._mark.files or (not name.endswith("/") and self._within_own(name))

    def _within_own(self, name: str) -> bool:
        return any(known.endswith("/") and name.startswith(known) for known in self._mark.files)

    def _record(self, facts: Mapping[str, Mapping[str, object] | None]) -> None:
        self._save(replace(self._mark, files={**self._mark.files, **facts}))

    def _refresh(self) -> None:
        """Another part of the same process may have written since."""
        self._mark = read_mark(self.path) or self._mark

    def _save(self, mark: Mark) -> None:
        write_atomically(self.path / MARK, mark.to_bytes())
        self._mark = mark

    def _refusal(self, name: str) -> RunError:
        return RunError(
            f"{self.path / name} is in the way: it was not written by datachef",
            "move it away, or choose another output",
        )


def write_file(path: Path, raw: bytes, what: str, is_ours: Callable[[bytes], bool]) -> None:
    """Writes a file whole, where there is none or one of ours, as `is_ours` tells by its content.

    A link stays one, and what it leads to is written; a device or a pipe takes what it is given.
    Raises `DatachefError` for a file of somebody else.
    """
    with naming(path):
        with suppress(FileNotFoundError):
            mode = path.stat().st_mode
            if stat.S_ISDIR(mode):
                raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
            if not stat.S_ISREG(mode) or path.is_relative_to("/dev"):
                path.write_bytes(raw)
                return
            known = path.read_bytes()
            if known and not _recognized(known, is_ours):
                raise DatachefError(
                    f"{path} exists and is not {_article(what)} of datachef",
                    "move it away, or choose another output",
                )
        write_atomically(resolved(path), raw)


def _recognized(raw: bytes, is_ours: Callable[[bytes], bool]) -> bool:
    try:
        return is_ours(raw)
    except Exception:  # noqa: BLE001 - whatever it is, it is none of ours
        return False


def _is_in(file: str, name: str) -> bool:
    return file.startswith(f"{name}/")


def _article(kind: str) -> str:
    return f"{'an' if kind[0] in 'aeiou' else 'a'} {kind}"


def _some(names: list[str]) -> str:
    more = f" and {len(names) - _SHOWN:,} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more


def _working_folder() -> Path | None:
    try:
        return Path.cwd()
    except OSError:
        return None


def _folded(path: Path) -> Path:
    return Path(str(path).casefold())


def _folds_case(path: Path) -> bool:
    """Whether the disk that a path is going to lie on knows files by their letters alone."""
    place = next((parent for parent in path.parents if parent.exists()), path)
    other = place.with_name(place.name.swapcase())
    with suppress(OSError):
        return other.name != place.name and other.samefile(place)
    return False
