"""Files behind HTTP: every connection, those of redirects too, goes only where the user allowed."""

from __future__ import annotations

from typing import Any

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.resolver import ThreadedResolver
from fsspec.implementations.http import HTTPFileSystem

from datachef.core.errors import DatachefError
from datachef.core.system.network import Network


class _Resolver(AbstractResolver):
    """Gives those addresses of a host that may be reached: what is checked here is connected to."""

    def __init__(self, network: Network) -> None:
        self._network = network
        self._system = ThreadedResolver()

    async def resolve(self, host: str, port: int = 0, family: Any = 0) -> list[ResolveResult]:
        refused: DatachefError | None = None
        allowed = []
        for found in await self._system.resolve(host, port, family):
            try:
                self._network.check_address(host, found["host"], port)
                allowed.append(found)
            except DatachefError as error:
                refused = error
        if refused is not None and not allowed:
            raise refused
        return allowed

    async def close(self) -> None:
        await self._system.close()


class _Connector(aiohttp.TCPConnector):
    """Asks before each connection, of which every redirect needs one of its own."""

    def __init__(self, network: Network) -> None:
        super().__init__(resolver=_Resolver(network))
        self._network = network

    async def connect(self, req: Any, *arguments: Any, **options: Any) -> Any:
        self._network.check(req.url.scheme, req.url.raw_host or "", req.url.port)
        return await super().connect(req, *arguments, **options)


def web_filesystem(network: Network) -> Any:
    """The filesystem of http and https URLs, bound to what may be reached."""

    async def client(**options: Any) -> aiohttp.ClientSession:
        return aiohttp.ClientSession(connector=_Connector(network), **options)

    return HTTPFileSystem(get_client=client, skip_instance_cache=True)
