"""Finding files by path, pattern or URL, and telling one version of a file from another."""

from __future__ import annotations

import fnmatch
import math
import os
import re
import stat
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import product
from pathlib import Path
from typing import NamedTuple

from datachef.core.contracts.source import SourceError
from datachef.core.escaping import is_whole, shown
from datachef.core.files.remote import remote_files
from datachef.core.files.storage import kind, own_part
from datachef.core.system.failures import raise_environment_failure
from datachef.core.system.network import NOWHERE, Network
from datachef.core.system.paths import as_path, file_identity, is_url, not_expanded

_MAGIC = re.compile(r"[*?\[{]")
_TREE = "**"
# Characters of all that the braces of one name stand for.
_MOST_CHOICES = 50_000
_BRACES = re.compile(r"\{([^{}]*,[^{}]*)\}")


@dataclass(frozen=True)
class File:
    """One file: its path or URL, a short name unique among its siblings, identity and size.

    Where it is there but cannot be read, `trouble` says why.
    """

    path: str
    name: str
    identity: str
    size: int
    trouble: str = ""


def find(patterns: Iterable[str], network: Network = NOWHERE) -> list[File]:
    """All files that the patterns match, sorted within each pattern, each once.

    Links that lead to one file are one file. Raises `SourceError` for a pattern that matches none,
    and for a URL that leads where `network` does not.
    """
    found: dict[str, _Match] = {}
    for pattern in map(as_path, patterns):
        matches = list(_remote(pattern, network) if is_url(pattern) else _local(pattern))
        if not matches:
            raise SourceError("no_file", f"no file matches {pattern!r}", _nearby(pattern))
        for match in matches:
            found.setdefault(match.real, match)
    names = _short_names([match.path for match in found.values()])
    return [
        File(match.path, names[match.path], match.identity, match.size, match.trouble)
        for match in found.values()
    ]


class _Match(NamedTuple):
    """A file that a pattern matches; `real` is where links lead to."""

    real: str
    path: str
    identity: str
    size: int
    trouble: str = ""


def _remote(pattern: str, network: Network) -> Iterator[_Match]:
    for file in remote_files(pattern, network):
        yield _Match(file.url, file.url, file.identity, file.size)


def _local(pattern: str) -> Iterator[_Match]:
    """The files of a pattern in the order of their paths; of several links to one, one."""
    # Not resolved: a link's own name has the suffix, what it points to need not.
    chosen: dict[str, str] = {}
    for path in map(os.path.abspath, _expanded(pattern)):
        if not is_whole(path):
            raise SourceError("not_utf8", f"the name {shown(path)!r} is not UTF-8", "rename it")
        real = os.path.realpath(path)
        if real not in chosen or (real == path) > (real == chosen[real]):
            chosen[real] = path
    for real, path in sorted(chosen.items(), key=lambda pair: pair[1]):
        try:
            status = os.stat(path)  # noqa: PTH116 - the paths are strings throughout
            if stat.S_ISREG(status.st_mode):
                yield _Match(real, path, file_identity(path), status.st_size)
            else:
                yield _Match(real, path, "", status.st_size, "it is no regular file")
        except FileNotFoundError:
            yield _Match(real, path, "", 0, "a link to a file that is not there")
        except OSError as error:
            raise_environment_failure(error, path)
            yield _Match(real, path, "", 0, error.strerror or str(error))


def _expanded(pattern: str) -> Iterator[str]:
    """The paths that a path or pattern stands for; folders are none of them."""
    if os.path.isdir(pattern):  # noqa: PTH112
        raise SourceError(
            "is_folder",
            f"{pattern!r} is a folder",
            f"name its files, for example {pattern.rstrip('/')}/*.jsonl",
        )
    parts = [part for part in pattern.split("/") if part not in ("", ".")]
    start = "/" if pattern.startswith("/") else "."
    for path in _walked([start], parts):
        if not os.path.isdir(path):  # noqa: PTH112
            yield path
        elif kind(path) and kind(parts[-1]) == kind(path):
            raise SourceError(
                "is_folder", f"{path!r} is a folder", f"name its files, for example {path}/*"
            )


def _walked(folders: Iterable[str], parts: Sequence[str]) -> Iterable[str]:
    """What lies under the folders where each part is a name or a pattern for names, each once.

    What has a part as its very name is taken by it, whatever the part would match as a pattern.
    """
    repeated = zip(parts, ("", *parts), strict=False)
    parts = [part for part, before in repeated if part != _TREE or part != before]
    for part in [*parts, "*"] if parts[-1:] == [_TREE] else parts:
        folders = dict.fromkeys(path for folder in folders for path in _below(folder, part))
    return folders


def _below(folder: str, part: str) -> Iterator[str]:
    """What one part of a pattern stands for in a folder."""
    path = os.path.join(folder, part)  # noqa: PTH118
    if part == _TREE:
        yield from _tree(folder)
    elif os.path.lexists(path):
        yield path
    elif _MAGIC.search(part):
        matches = _matcher(part)
        for name in sorted(name for name in _names(folder) if matches.fullmatch(name)):
            yield os.path.join(folder, name)  # noqa: PTH118


def _tree(folder: str) -> Iterator[str]:
    """A folder and all below it, links to folders last; no folder is met twice."""
    seen = {os.path.realpath(folder)}
    waiting, links = [folder], list[str]()
    while waiting or links:
        here = waiting.pop() if waiting else links.pop()
        yield here
        for name in sorted(_names(here), reverse=True):
            path = os.path.join(here, name)  # noqa: PTH118
            if name.startswith(".") or not os.path.isdir(path):  # noqa: PTH112
                continue
            if os.path.islink(path):  # noqa: PTH114
                links.append(path)
            elif (real := os.path.realpath(path)) not in seen:
                seen.add(real)
                waiting.append(path)
        if not waiting:
            links = [path for path in links if os.path.realpath(path) not in seen]
            seen |= {os.path.realpath(path) for path in links[-1:]}


def _names(folder: str) -> list[str]:
    if not os.path.isdir(folder):  # noqa: PTH112
        return []
    try:
        return os.listdir(folder)  # noqa: PTH208
    except OSError as error:
        raise_environment_failure(error, folder)
        raise SourceError(
            "unreadable_folder", f"the folder {folder!r} cannot be read: {error.strerror}"
        ) from error


@lru_cache(maxsize=64)
def _matcher(part: str) -> re.Pattern[str]:
    """The names that a pattern matches, as in a shell; hidden ones where the pattern is hidden."""
    pieces = _BRACES.split(part)
    choices = [piece.split(",") if index % 2 else [piece] for index, piece in enumerate(pieces)]
    number = math.prod(map(len, choices))
    if number * sum(len("".join(choice)) // len(choice) for choice in choices) > _MOST_CHOICES:
        raise SourceError(
            "bad_pattern", f"{part[:80]!r} has too many choices", "name fewer at once"
        )
    shapes = [fnmatch.translate("".join(choice)) for choice in product(*choices)]
    hidden = "" if part.startswith(".") else r"(?!\.)"
    return re.compile(f"{hidden}(?:{'|'.join(shapes)})")


def _nearby(pattern: str) -> str:
    if is_url(pattern):
        return "check the address and your access to it"
    folder = Path(pattern)
    while not os.path.isdir(folder):  # noqa: PTH112 - a name that is too long is no folder either
        folder = folder.parent
    names = sorted(_names(str(folder)))[:5]
    return f"{folder} holds {', '.join(names) or 'nothing'}" + not_expanded(pattern)


def _short_names(paths: Sequence[str]) -> dict[str, str]:
    if len(paths) == 1:
        return {paths[0]: own_part(paths[0]).rsplit("/", 1)[-1]}
    own = [own_part(path) for path in paths]
    if len(set(own)) < len(own):
        own = list(paths)
    common = os.path.commonprefix(own).rpartition("/")[0]  # noqa: RUF071 - cut at a slash
    return {path: name[len(common) :].lstrip("/") for path, name in zip(paths, own, strict=True)}
