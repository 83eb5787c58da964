"""What may be reached over the network: nothing but what the user allowed.

A user allows places by `--allow-network`, by the variable DATACHEF_ALLOW_NETWORK, or by
`allow_network` in a pool that a recipe is bound to. Each is named as one of

- `*`: every public host and bucket,
- `data.example.org`, `*.example.org`, `data.example.org:8443`: hosts of HTTP,
- `192.168.7.1`, `10.0.0.0/8`: addresses,
- `s3://bucket`, `gs://*`, `sftp://files.example.org`: whatever speaks another protocol.

Loopback, link-local and private addresses are never meant by `*` or by a pattern: a private one has
to be named, by itself or by the whole name of its host; any other by itself, or as `localhost`. A
place that names a port or a protocol opens no other one.
"""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from fnmatch import fnmatchcase
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
    ip_network,
)
from typing import Any, Self
from urllib.parse import urlsplit

from datachef.core.errors import DatachefError

ALLOWED = "DATACHEF_ALLOW_NETWORK"
EVERYTHING = "*"
# Whoever may ask the Hugging Face Hub may fetch what it sends there.
_HUB = ("huggingface.co", "*.huggingface.co", "hf.co", "*.hf.co")
_WEB = ("http", "https")
_PORTS = {"http": 80, "https": 443}
_PLACE = re.compile(r"(?:([a-z][a-z0-9+.-]*)://)?(\[[0-9a-f:.]+\]|[\w.*-]+)(?::([0-9]{1,5}))?")
# What some resolvers take for an address, though it is not written as one.
_ODD_NUMBER = re.compile(r"(?:0x[0-9a-f]*|[0-9]+)(?:\.(?:0x[0-9a-f]*|[0-9]+))*\.?")
_TRANSLATED = ip_network("64:ff9b::/96")
# What `ipaddress` takes for public, in some versions: metadata of clouds, sites, documentation.
_NOT_PUBLIC = tuple(map(ip_network, ("192.0.0.0/24", "168.63.129.16/32", "fec0::/10", "3fff::/20")))

Address = IPv4Address | IPv6Address


class NotAllowedError(DatachefError):
    """Something on the network that the user did not allow to be reached."""

    def __init__(self, what: str, place: str, *, of_a_source: bool = True) -> None:
        """`of_a_source` says that a pool could allow it too."""
        ways = [f"--allow-network={place}", f"{ALLOWED}={place}"]
        if of_a_source:
            ways.append(f"allow_network: [{place!r}] in the pool that is given by --pool")
        hint = f"if it should be: {', '.join(ways[:-1])}{',' * of_a_source} or {ways[-1]}"
        super().__init__(f"{what} may not be reached", hint)
        self.what, self.place = what, place

    def for_all(self) -> NotAllowedError:
        """The same of what pools allow to nobody: models and tokenizers."""
        return NotAllowedError(self.what, self.place, of_a_source=False)


@dataclass(frozen=True)
class Network:
    """The places that may be reached, as the user named them."""

    places: tuple[str, ...] = ()

    @classmethod
    def of_environment(cls) -> Self:
        """What DATACHEF_ALLOW_NETWORK names, between commas or spaces. Raises `DatachefError`."""
        named = re.split(r"[\s,]+", os.environ.get(ALLOWED, "").strip())
        return cls(places(name for name in named if name))

    def and_also(self, more: Iterable[str]) -> Network:
        """This and other places."""
        return Network((*self.places, *(place for place in more if place not in self.places)))

    def without_everything(self) -> Network:
        """Those places that are more than `*`."""
        return Network(tuple(place for place in self.places if place != EVERYTHING))

    def check(self, protocol: str, host: str, port: int | None = None) -> None:
        """Raises `NotAllowedError` where a host, or a bucket, may not be reached by a protocol.

        `check_address` has to be asked as well about what the name of a host stands for.
        """
        host, port = _plain(host), port or _PORTS.get(protocol)
        if _is_odd(host):
            raise NotAllowedError(f"{host}, which is no address written in full,", "192.0.2.1")
        if not any(_names(place, protocol, host, port) for place in self.places):
            raise NotAllowedError(f"{protocol}://{host}", _named(protocol, host))
        known = "127.0.0.1" if host == "localhost" else host
        if _address(known) is not None:
            self.check_address(host, known, port, protocol)

    def check_address(
        self, host: str, address: str, port: int | None = None, protocol: str = ""
    ) -> None:
        """Raises `NotAllowedError` where an address that a host's name stands for may not be
        reached, by HTTP where no protocol is named."""
        found = _address(_plain(address))
        host, port = _plain(host), port or _PORTS.get(protocol)
        if found is None:
            raise NotAllowedError(f"{host} ({address})", _named(protocol, host))
        meant = [place for place in self.places if _fits(place, protocol, port)]
        if is_public(found) or any(_holds(place, found) for place in meant):
            return
        inner = _embedded(found) or found
        by_name = any(_host_of(place) == host for place in meant)
        if by_name and (_is_private(inner) or (inner.is_loopback and host == "localhost")):
            return
        told = host if host == str(found) else f"{host} leads to {found}, which"
        nameable = _is_private(inner) or host == "localhost"
        place = _named(protocol, host if nameable else str(found))
        raise NotAllowedError(f"{told} is no public address and", place)


NOWHERE = Network()


def places(named: Iterable[str]) -> tuple[str, ...]:
    """Places as they are compared. Raises `DatachefError` for what names none."""
    found: list[str] = []
    for name in named:
        place = name.strip().lower().removesuffix("/")
        if place.removeprefix("https://") == "huggingface.co":
            found += _HUB
        elif place == EVERYTHING or _range(place) is not None or _is_place(place):
            found.append(place)
        else:
            raise DatachefError(
                f"{name!r} is no place on the network",
                "name hosts, such as huggingface.co, buckets, such as s3://name, or * for all "
                "that is public",
            )
    return tuple(dict.fromkeys(found))


def is_public(address: Address) -> bool:
    """Whether an address is one of the public internet, and so is what it stands for."""
    inner = _embedded(address)
    if inner is not None:
        return is_public(inner)
    if any(address.version == shut.version and address in shut for shut in _NOT_PUBLIC):
        return False
    return address.is_global and not address.is_multicast and not address.is_reserved


def _is_place(place: str) -> bool:
    parts = _PLACE.fullmatch(place)
    return parts is not None and not _is_odd(_plain(parts[2]))


def _is_odd(host: str) -> bool:
    """Whether a host is a number that some take for an address, but not written as one."""
    return _ODD_NUMBER.fullmatch(host) is not None and _address(host) is None


def _named(protocol: str, host: str) -> str:
    """How a host is named as a place."""
    return f"{protocol}://{host}" if protocol and protocol not in _WEB else host


def _names(place: str, protocol: str, host: str, port: int | None) -> bool:
    """Whether one place that was allowed is a host."""
    if place == EVERYTHING:
        return True
    web = protocol in _WEB
    parts = _PLACE.fullmatch(place)
    if not _fits(place, protocol, port) or not (web or (parts and parts[1])):
        return False
    if web and (address := _address(host)) is not None:
        return _holds(place, address)
    return parts is not None and fnmatchcase(host, _plain(parts[2]))


def _fits(place: str, protocol: str, port: int | None) -> bool:
    """Whether a place opens a protocol and a port; one that names none is meant for all."""
    parts = _PLACE.fullmatch(place)
    if parts is None:
        return True
    by_protocol = parts[1] in (None, protocol) or (not protocol and parts[1] in _WEB)
    return by_protocol and (parts[3] is None or int(parts[3]) == port)


def _host_of(place: str) -> str:
    parts = _PLACE.fullmatch(place)
    return "" if parts is None else _plain(parts[2])


def _holds(place: str, address: Address) -> bool:
    """Whether a place is this address, or a range of addresses around it."""
    found = _range(place) or _range(_host_of(place))
    return found is not None and address.version == found.version and address in found


def _range(place: str) -> IPv4Network | IPv6Network | None:
    try:
        return ip_network(place.strip("[]"), strict=False)
    except ValueError:
        return None


def _plain(host: str) -> str:
    """A host's name as it is compared: lower case and ASCII, without brackets, zone, last dot."""
    host = host.strip("[]").partition("%")[0].rstrip(".").lower()
    try:
        return host if host.isascii() else host.encode("idna").decode()
    except UnicodeError:
        return host


def _address(host: str) -> Address | None:
    try:
        return ip_address(host)
    except ValueError:
        return None


def _embedded(address: Address) -> IPv4Address | None:
    """The address of version 4 that one of version 6 leads to."""
    if isinstance(address, IPv4Address):
        return None
    if address in _TRANSLATED:
        return IPv4Address(int(address) & 0xFFFFFFFF)
    tunnel = address.teredo
    return address.ipv4_mapped or address.sixtofour or (tunnel[1] if tunnel else None)


def _is_private(address: Address) -> bool:
    shut = (
        address.is_loopback, address.is_link_local, address.is_multicast,
        address.is_unspecified, address.is_reserved,
    )  # fmt: skip
    return not any(shut)


def refusal_in(error: BaseException) -> NotAllowedError | None:
    """The refusal behind an error that a library made of it, if it is one."""
    seen: BaseException | None = error
    while seen is not None and not isinstance(seen, NotAllowedError):
        seen = seen.__cause__ or seen.__context__
    return seen


ENDPOINT = "https://huggingface.co"
# What was allowed to some source of this process: huggingface_hub has one client for all.
_ALLOWED: list[Network] = []


def check_hub(network: Network) -> None:
    """Raises `NotAllowedError` where the Hub, or the mirror that HF_ENDPOINT names, may not be
    reached."""
    where = urlsplit(os.environ.get("HF_ENDPOINT") or ENDPOINT)
    network.check(where.scheme, where.hostname or "", where.port)


def hub_refusal() -> NotAllowedError | None:
    """Why models and tokenizers may not be fetched; None where the user allowed it by an option or
    the environment, and then the requests for them are guarded."""
    try:
        guard_hub(Network.of_environment())
    except NotAllowedError as refused:
        return refused.for_all()
    return None


def guard_hub(network: Network) -> None:
    """Opens the Hub to this process, and keeps each request of huggingface_hub, redirects too,
    among the places that were allowed. Raises `NotAllowedError` where the Hub is none of them."""
    check_hub(network)
    if not _ALLOWED:
        _watch_requests()
    _ALLOWED[:] = [(_ALLOWED or [network])[0].and_also(network.places)]


def _watch_requests() -> None:
    from huggingface_hub import set_client_factory
    from huggingface_hub.utils import _http

    make = _http._GLOBAL_CLIENT_FACTORY  # ours goes around whichever is set

    def watched() -> Any:
        client = make()
        hooks = client.event_hooks
        client.event_hooks = {**hooks, "request": [_check_request, *hooks.get("request", [])]}
        return client

    set_client_factory(watched)


def _check_request(request: Any) -> None:
    network, url = _ALLOWED[0], request.url
    network.check(url.scheme, url.host, url.port)
    with suppress(socket.gaierror):  # a proxy may know it
        for found in socket.getaddrinfo(url.host, None, type=socket.SOCK_STREAM):
            network.check_address(url.host, str(found[4][0]), url.port, url.scheme)
