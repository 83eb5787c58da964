"""The Hugging Face Hub: asked only where the user allowed it, and sent no further than that."""

from __future__ import annotations

import os
import socket
from contextlib import suppress
from typing import Any
from urllib.parse import urlsplit

from datachef.core.network import Network, NotAllowedError

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
