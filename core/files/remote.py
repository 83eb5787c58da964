"""Files behind URLs: finding them, and telling one version of a file from another."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from fnmatch import fnmatchcase
from hashlib import blake2b
from typing import Any, NamedTuple
from uuid import uuid4

from datachef.core.contracts.source import SourceError
from datachef.core.distribution import extra, install_command
from datachef.core.errors import ChangedInputError
from datachef.core.files import object_store
from datachef.core.files.storage import DAMAGED, refuse_expansion
from datachef.core.files.urls import Place
from datachef.core.system.failures import raise_environment_failure
from datachef.core.system.network import Network, refusal_in
from datachef.core.system.paths import BLOCK

# What filesystems of fsspec call the version of a file, in lower case.
_DATES = {"last-modified", "lastmodified", "last_modified", "mtime", "modified", "updated"}
_VERSIONS = _DATES | {
    "blob_id", "checksum", "content-md5", "crc", "created", "digest", "e_tag", "etag", "generation",
    "md5", "md5hash", "oid", "sha", "sha1", "sha256", "versionid", "version_id",
}  # fmt: skip
# After this, an identity holds what makes it that of one look at the file alone.
_ONCE = " once "
# How many files a server is asked about at the same time.
AT_ONCE = 16


class RemoteFile(NamedTuple):
    """A file behind a URL, which is one file, not a pattern."""

    url: str
    identity: str
    size: int


def remote_files(pattern: str, network: Network) -> list[RemoteFile]:
    """The files that a URL or a pattern of one matches, sorted; none where there is none.

    Raises `SourceError` for what is no URL that we read, and where it leads to a place that may not
    be or cannot be reached.
    """
    try:
        return list(_matches(Place(pattern, network)))
    except Exception as error:
        if isinstance(error, FileNotFoundError) and _is_missing(error):
            return []
        raise_environment_failure(error)
        raise _told(pattern, error) from error


def _matches(place: Place) -> Iterator[RemoteFile]:
    filesystem, path = place.filesystem, place.path
    magic = any(mark in path for mark in "*[") and not filesystem.exists(path)
    names = sorted(_glob(filesystem, path)) if magic else [path]
    with ThreadPoolExecutor(1 if place.url.archive else AT_ONCE) as threads:
        infos = list(threads.map(filesystem.info, names))
    for found, info in zip(names, infos, strict=True):
        if info.get("type") == "file":
            refuse_expansion(str(found), info)
            url = place.url.with_path(str(found))
            identity = _identity(place, str(found), info)
            yield RemoteFile(str(url), identity, int(info.get("size") or 0))


def _glob(filesystem: Any, pattern: str) -> Iterator[str]:
    """The files that a pattern matches. Of what takes long to compare with hostile names (several
    stars in a name, several `**`), fsspec is asked but for the beginning."""
    parts = pattern.strip("/").split("/")
    asked = [_beginning(part) for part in parts]
    if parts.count("**") > 1:
        asked = asked[: asked.index("**") + 1]
    if asked == parts:
        yield from filesystem.glob(pattern)
        return
    first = next(index for index, part in enumerate(parts) if "*" in part or "[" in part)
    slash = "/" if pattern.startswith("/") else ""
    for found in filesystem.glob(slash + "/".join(asked)):
        if _fits(str(found).strip("/").split("/")[first:], parts[first:]):
            yield found


def _beginning(part: str) -> str:
    start = part.partition("*")[0].partition("[")[0]
    return f"{start}*" if part.count("*") > 1 and part != "**" else part


def _fits(names: Sequence[str], parts: Sequence[str]) -> bool:
    """Whether the names of folders and of a file are those of a pattern."""
    taken = {0}  # how many of the names the parts so far may stand for
    for part in parts:
        if part == "**":
            taken = set(range(min(taken, default=len(names) + 1), len(names) + 1))
        else:
            taken = {n + 1 for n in taken if n < len(names) and fnmatchcase(names[n], part)}
    return len(names) in taken


def verify_remote(url: str, identity: str, network: Network) -> None:
    """Raises `ChangedInputError` where a file is not the one any more that `remote_files` gave this
    identity, or cannot be reached any more."""
    try:
        place = Place(url, network)
        now = _identity(place, place.path, place.filesystem.info(place.path))
    except Exception as error:
        raise_environment_failure(error)
        told = _told(url, error)
        raise ChangedInputError(f"it cannot be read any more: {told}") from error
    if now.partition(_ONCE)[0] != identity.partition(_ONCE)[0]:
        raise ChangedInputError(f"{url}: it changed after the run was planned")


def _identity(place: Place, path: str, info: Mapping[str, Any]) -> str:
    """Changes whenever the file holds something else, as far as the storage tells versions apart.

    Where it states none, a file of up to two blocks is read as a whole; a larger one is never taken
    for what it was before. Where it states but a date, how the file begins counts too.
    """
    said = _stated(info)
    if place.url.archive:
        around = place.base.info(place.base_path)
        said |= {f"archive {name}": value for name, value in _stated(around).items()}
    identity = " ".join([path, str(info.get("size")), *map(" ".join, said.items())])
    if {name.removeprefix("archive ") for name in said} - _DATES:
        return identity
    begin = _beginning_of(place.filesystem, path, info.get("size"))
    identity = f"{identity} {blake2b(begin[: 2 * BLOCK], digest_size=16).hexdigest()}"
    return identity if said or len(begin) <= 2 * BLOCK else f"{identity}{_ONCE}{uuid4().hex}"


def _beginning_of(filesystem: Any, path: str, size: int | None) -> bytes:
    """The first two blocks of a file, and one byte more; where its size is known, no more is
    fetched."""
    most = 2 * BLOCK + 1
    if size:
        return bytes(filesystem.cat_file(path, start=0, end=min(size, most))[:most])
    with filesystem.open(path, "rb") as stream:
        return bytes(stream.read(most))


def _stated(info: Mapping[str, Any]) -> dict[str, str]:
    """What the storage says of the version of a file."""
    named = {name.lower(): str(value) for name, value in info.items() if value is not None}
    return {name: named[name] for name in sorted(_VERSIONS & named.keys())}


def _is_missing(error: FileNotFoundError) -> bool:
    """Whether the storage says that there is no file, and not that it cannot be asked."""
    cause = error.__cause__
    return cause is None or isinstance(cause, FileNotFoundError | KeyError)


def _needed(url: str, error: ImportError) -> str:
    """What is to be installed for a URL."""
    if object_store.store_kind(url):
        return extra("s3")
    cause = error.__cause__
    name = error.name or (cause.name if isinstance(cause, ImportError) else None)
    return "fsspec[http]" if name == "aiohttp" else str(name or "fsspec[full]")


def _told(url: str, error: Exception) -> SourceError:
    """What went wrong on the way to a file, as an error of the source."""
    if isinstance(error, SourceError):
        return error
    if (refused := refusal_in(error)) is not None:
        return SourceError("not_allowed", f"{url!r}: {refused}", refused.hint)
    if isinstance(error, ImportError):
        return SourceError("missing_package", str(error), install_command(_needed(url, error)))
    if isinstance(error, ValueError):
        return SourceError("bad_url", f"{url!r}: {error}")
    if isinstance(error, DAMAGED):
        return SourceError("broken_file", f"{url!r}: {error}")
    told = (error.__cause__ or error) if isinstance(error, FileNotFoundError) else error
    if object_store.store_kind(url):
        return SourceError(
            "unreachable",
            f"{url!r}: {object_store.first_line(told)}",
            object_store.credentials_for(url),
        )
    return SourceError("unreachable", f"{url!r}: {type(told).__name__}: {told}")
