"""URLs of files: what one may say, and the filesystem that it leads to."""

from __future__ import annotations

import re
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

from datachef.core.contracts.source import SourceError
from datachef.core.files import object_store
from datachef.core.system.network import Network
from datachef.core.system.paths import CHAIN, LOCAL, URL, is_url

_WEB = ("http", "https")
# Stores that are asked for a bucket, a container or a repository; where they are, their own
# configuration says.
_STORES = (*object_store.PROTOCOLS, "hf")
# Servers that a URL names, and that are asked only where they were named with their protocol.
_SERVERS = ("ftp", "sftp", "ssh", "hdfs", "smb", "oss")
PROTOCOLS = (*LOCAL, "memory", *_WEB, *_STORES, *_SERVERS)
ARCHIVES = ("zip", "tar")

_CHAINED = re.compile(r"::(?![^\[\]/]*\])")  # and not within an address in brackets
_UNWRITTEN = re.compile(r"[\x00-\x20\x7f-\x9f\\]")
# A bucket, a container with its account, a repository, a host with its port.
_AUTHORITY = re.compile(r"(?:[^@\[\]#]*@)?([\w.-]+|\[[0-9A-Fa-f:.]+\])(?::([0-9]{1,5}))?")
# What a URL of Azure names after its container: an account, and nothing that leads elsewhere.
_AZURE = ("az", "abfs", "abfss")
_ACCOUNT = re.compile(r"[a-z0-9]{1,24}(?:\.(?:dfs|blob)\.core\.windows\.net)?")


@dataclass(frozen=True)
class Url:
    """A file behind a protocol, or one `inner` to an `archive` that lies there.

    `rest` is what follows the protocol.
    """

    protocol: str
    rest: str
    archive: str = ""
    inner: str = ""

    @classmethod
    def of(cls, text: str) -> Url:
        """What a URL says. Raises `SourceError` for one that is not of the few kinds we read."""
        first, *others = _CHAINED.split(text)
        if not others:
            return cls(*_base(text, text))
        head = URL.fullmatch(first)
        if head is None or len(others) > 1 or head[1].lower() not in ARCHIVES:
            raise SourceError(
                "bad_url",
                f"{text!r}: a URL is one file, or one file in one archive",
                f"archives are {' and '.join(ARCHIVES)}, as in zip://INNER::https://HOST/a.zip",
            )
        base = others[0]
        protocol, rest = _base(base, text) if is_url(base) else ("file", base)
        return cls(protocol, rest, head[1].lower(), head[2])

    def __str__(self) -> str:
        base = f"{self.protocol}://{self.rest}"
        return f"{self.archive}://{self.inner}{CHAIN}{base}" if self.archive else base

    @property
    def is_local(self) -> bool:
        """Whether it leads to this machine's files."""
        return self.protocol in LOCAL

    @property
    def is_remote(self) -> bool:
        """Whether it leads to another machine."""
        return not self.is_local and self.protocol != "memory"

    def with_path(self, path: str) -> Url:
        """The same place with another file, as the filesystem calls it."""
        if self.archive:
            found = str(Url(self.protocol, self.rest, self.archive, path.lstrip("/")))
        else:
            found = path if is_url(path) else f"{self.protocol}://{path.lstrip('/')}"
        return Url.of(found)  # a name in it may be anything

    def check(self, network: Network) -> None:
        """Raises `NotAllowedError` where it leads to a place that may not be reached."""
        if not self.is_remote:
            return
        if self.protocol == "hf":
            from datachef.core.system.network import check_hub

            check_hub(network)
            return
        authority = self.rest.partition("/")[0].partition("?")[0]
        parts = _AUTHORITY.fullmatch(authority)
        account = self.protocol in _AZURE and "@" in authority
        if parts is None or (account and not _ACCOUNT.fullmatch(parts[1])):
            raise SourceError("bad_url", f"{str(self)!r} names no host", "PROTOCOL://HOST/PATH")
        port = int(parts[2]) if parts[2] else None
        if self.protocol in _SERVERS:
            network = network.without_everything()
        network.check(self.protocol, parts[1], port)


def _base(base: str, text: str) -> tuple[str, str]:
    found = URL.fullmatch(base)
    protocol = found[1].lower() if found else ""
    if found is None or protocol not in PROTOCOLS:
        raise SourceError(
            "bad_url",
            f"{text!r}: {protocol + ':// is' if protocol else 'this is'} no protocol that we read",
            f"one of {', '.join(PROTOCOLS)}, and {' and '.join(ARCHIVES)} over them",
        )
    if protocol in LOCAL:
        return protocol, found[2]
    if _UNWRITTEN.search(found[2].partition("/")[0]):
        raise SourceError("bad_url", f"{text!r}: a host is written without spaces and backslashes")
    return protocol, found[2]


class Place:
    """The filesystem that a URL leads to, and the path of its file there.

    Whatever opens files of it holds on to this, which holds on to the archive.
    """

    def __init__(self, text: str, network: Network) -> None:
        """Raises `NotAllowedError` where it may not be reached, and `SourceError` for what is no
        URL that we read."""
        self.url = Url.of(text)
        self.url.check(network)
        self.filesystem, self.path = _filesystem(self.url, network)
        # of an archive, what it lies in
        self.base, self.base_path = self.filesystem, self.path
        if self.url.archive:
            self._packed = self.base.open(self.base_path, "rb")
            self.filesystem = self._archive()
            self.path = self.url.inner

    def _archive(self) -> Any:
        from datachef.core.files.storage import archive_in

        name = self.url.rest.partition("?")[0]
        try:
            size = int(self.base.info(self.base_path).get("size") or 0)
            return archive_in(self._packed, size, self.url.archive, name)
        except BaseException:
            self._packed.close()
            raise


def _filesystem(url: Url, network: Network) -> tuple[Any, str]:
    import fsspec

    base = f"{url.protocol}://{url.rest}"
    if url.protocol in _WEB:
        from datachef.core.files.web import web_filesystem

        return web_filesystem(network), base
    if url.is_local:
        return fsspec.filesystem("file"), url.rest
    if url.protocol == "hf":
        from datachef.core.system.network import guard_hub

        guard_hub(network)
    if url.protocol in object_store.PROTOCOLS and find_spec("obstore") is not None:
        return object_store.filesystem(base), url.rest
    kind = fsspec.get_filesystem_class(url.protocol)
    return kind(**kind._get_kwargs_from_urls(base)), str(kind._strip_protocol(base))
