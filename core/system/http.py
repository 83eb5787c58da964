"""One POST to a server that is not trusted: bounded in time and in size, and never sent on.

What bounds the reply has to lie below whatever parses it, so that no HTTP package is used.
"""

from __future__ import annotations

import http.client
import io
import socket
import ssl
import time
import urllib.request
import zlib
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cache, partial
from importlib import import_module
from ipaddress import ip_address
from typing import Any
from urllib.parse import SplitResult, urlsplit

from datachef.core.system.failures import raise_environment_failure

LONGEST_REFUSAL = 64 * 2**10
_FRAMING = 256 * 2**10
_CONNECT = 30.0
_PORTS = {"http": 80, "https": 443}


class NoReplyError(Exception):
    """There is no whole reply: no connection, none in time, it broke off, or it is not HTTP."""


class LongReplyError(NoReplyError):
    """The body of the reply is longer than was allowed."""


@dataclass(frozen=True)
class Reply:
    """What a server said; names of headers are in lower case, the body is not compressed."""

    status: int
    headers: Mapping[str, str]
    body: bytes


def post(
    url: SplitResult, body: bytes, headers: Mapping[str, str], *, seconds: float, longest: int
) -> Reply:
    """Sends `body` to `url` (http or https) and gives the reply, whatever its status.

    `seconds` bound all of it together, from the connection to the last byte, so that a server that
    sends a byte now and then gains nothing. Of a reply with a status other than 2xx the beginning
    is kept; any other body that is longer than `longest` bytes, compressed or not, is a
    `LongReplyError`. Redirects are not followed. Proxies are those of the environment
    (`HTTPS_PROXY`, `NO_PROXY`), but this machine is asked without one. Raises `NoReplyError` where
    there is no whole reply, and `OSError` for what this machine lacks.
    """
    deadline = time.monotonic() + seconds
    try:
        connection, target, beside = _connection(url, deadline, longest)
        try:
            sent = {**headers, **beside, "Accept-Encoding": "identity", "Connection": "close"}
            connection.connect()
            connection.sock.settimeout(_left(deadline))
            connection.request("POST", target, body, sent)
            with connection.getresponse() as response:
                return _read(response, longest)
        finally:
            connection.close()
    except TimeoutError:
        raise NoReplyError(f"it did not answer within {seconds:g} seconds") from None
    except http.client.IncompleteRead:
        raise NoReplyError("the answer breaks off") from None
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise_environment_failure(error)
        raise NoReplyError(str(error) or type(error).__name__) from error


def _connection(
    url: SplitResult, deadline: float, longest: int
) -> tuple[http.client.HTTPConnection, str, dict[str, str]]:
    """A connection, what is asked of it, and headers for a proxy on the way."""
    host, port = url.hostname or "", url.port or _PORTS[url.scheme]
    target = (url.path or "/") + (f"?{url.query}" if url.query else "")
    proxy = _proxy(url.scheme, host, port)
    timeout = min(_CONNECT, _left(deadline))
    at = (host, port) if proxy is None else (proxy.hostname or "", proxy.port or 80)
    authorization = {} if proxy is None else basic("Proxy-Authorization", proxy)
    connection: http.client.HTTPConnection
    if url.scheme == "https":
        connection = http.client.HTTPSConnection(*at, timeout=timeout, context=_certificates())
        if proxy is not None:
            connection.set_tunnel(host, port, authorization)
        beside: dict[str, str] = {}
    else:
        connection = http.client.HTTPConnection(*at, timeout=timeout)
        beside = authorization
        if proxy is not None:
            target = f"http://{url.netloc.rpartition('@')[2]}{target}"
    response = partial(_BoundedResponse, deadline=deadline, longest=longest + _FRAMING)
    connection.response_class = response  # type: ignore[assignment]
    return connection, target, beside


def _proxy(scheme: str, host: str, port: int) -> SplitResult | None:
    named = urllib.request.getproxies()
    address = named.get(scheme) or named.get("all")
    if not address or _is_here(host):
        return None
    if urllib.request.proxy_bypass(host if ":" in host else f"{host}:{port}"):
        return None
    proxy = urlsplit(address if "://" in address else f"http://{address}")
    if proxy.scheme != "http":
        raise ValueError(f"a proxy of the kind {proxy.scheme} is not supported")
    return proxy


def _is_here(host: str) -> bool:
    """Whether a host is this machine, which a proxy would take for itself."""
    try:
        address = ip_address(host)
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")
    return address.is_loopback or address.is_unspecified


def basic(name: str, url: SplitResult) -> dict[str, str]:
    """The header that carries the user and password of an address, where it has them."""
    if not url.username:
        return {}
    from base64 import b64encode
    from urllib.parse import unquote

    pair = f"{unquote(url.username)}:{unquote(url.password or '')}"
    return {name: f"Basic {b64encode(pair.encode()).decode()}"}


@cache
def _certificates() -> ssl.SSLContext:
    """Those of the system, and of the package certifi where it is installed."""
    context = ssl.create_default_context()
    with suppress(ImportError):
        context.load_verify_locations(import_module("certifi").where())
    return context


class _BoundedResponse(http.client.HTTPResponse):
    """A response that is read from a connection with a deadline and a largest number of bytes."""

    def __init__(
        self, sock: socket.socket, *arguments: Any, deadline: float, longest: int, **options: Any
    ) -> None:
        super().__init__(sock, *arguments, **options)
        raw = self.fp.detach()
        self.fp = io.BufferedReader(_BoundedReading(raw, sock, deadline, longest))


class _BoundedReading(io.RawIOBase):
    def __init__(
        self, raw: io.RawIOBase, sock: socket.socket, deadline: float, longest: int
    ) -> None:
        self._raw, self._sock, self._deadline, self._longest = raw, sock, deadline, longest

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        if self._longest <= 0:
            # A body is cut before this: what does not end are its status, headers, sizes of chunks.
            raise NoReplyError("the answer does not end")
        self._sock.settimeout(_left(self._deadline))
        count: int | None = self._raw.readinto(buffer)
        self._longest -= count or 0
        return count

    def close(self) -> None:
        self._raw.close()
        super().close()


def _left(deadline: float) -> float:
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left


def _read(response: http.client.HTTPResponse, longest: int) -> Reply:
    fine = 200 <= response.status < 300
    headers = {name.lower(): value for name, value in response.getheaders()}
    most = longest if fine else LONGEST_REFUSAL
    if fine and (response.length or 0) > longest:
        raise _long(longest)
    body = response.read(most + 1)
    if fine:
        if len(body) > longest:
            raise _long(longest)
        if response.length:
            raise NoReplyError("the answer breaks off")
    try:
        body = _unpacked(body, headers.get("content-encoding", "identity").strip().lower(), most)
    except NoReplyError:
        if fine:
            raise
        body = b""
    return Reply(response.status, headers, body[:most])


def _unpacked(body: bytes, encoding: str, longest: int) -> bytes:
    """The body without compression, which was not asked for but proxies apply."""
    if encoding in ("identity", ""):
        return body
    if encoding not in ("gzip", "x-gzip", "deflate"):
        raise NoReplyError("the answer is compressed in a way that was not asked for")
    unpacker = zlib.decompressobj(zlib.MAX_WBITS | 32)  # either header
    try:
        unpacked = unpacker.decompress(body, longest + 1)
    except zlib.error:
        raise NoReplyError("the answer is not compressed as it says") from None
    if len(unpacked) > longest:
        raise _long(longest)
    if not unpacker.eof:
        raise NoReplyError("the answer breaks off")
    return unpacked


def _long(longest: int) -> LongReplyError:
    return LongReplyError(f"the answer is longer than {longest:,} bytes")
