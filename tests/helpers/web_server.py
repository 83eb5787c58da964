"""Web servers that answer as told and remember what they were asked for."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar, TypeVar

import pytest

from datachef.core.system.network import ALLOWED

LINES = b"".join(b'{"text": "row %d"}\n' % number for number in range(5))

Answer = tuple[int, Mapping[str, str], bytes]


@dataclass
class Site:
    """What a web server serves, what it was asked for, and how many bytes of content it sent."""

    protocol: ClassVar[str] = "HTTP/1.0"

    port: int = 0
    asked: list[str] = field(default_factory=list)
    sent: int = 0
    on_get: Callable[[], None] = lambda: None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def answer(self, path: str, headers: Mapping[str, str], body: bytes) -> Answer:
        """The status, headers and content for what is asked by GET, HEAD or POST."""
        raise NotImplementedError

    def put(self, path: str, headers: Mapping[str, str], body: bytes) -> Answer:
        raise NotImplementedError

    def delete(self, path: str, headers: Mapping[str, str], body: bytes) -> Answer:
        raise NotImplementedError


@dataclass
class Web(Site):
    """Files by path, as bytes or as the address of a redirect; `headers` go with all of them."""

    files: dict[str, bytes | str] = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)

    def answer(self, path: str, headers: Mapping[str, str], body: bytes) -> Answer:
        found = self.files.get(path)
        if found is None:
            return 404, self.headers, b""
        if isinstance(found, str):
            return 302, {"Location": found, **self.headers}, b""
        part = re.fullmatch(r"bytes=(\d+)-(\d+)", headers.get("Range", ""))
        if part:
            return 206, self.headers, found[int(part[1]) : int(part[2]) + 1]
        return 200, self.headers, found


AnySite = TypeVar("AnySite", bound=Site)


@contextmanager
def served(site: AnySite) -> Iterator[AnySite]:
    """Serves a site while the block runs."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = site.protocol

        def do_HEAD(self) -> None:
            self._answer(site.answer, whole=False)

        def do_GET(self) -> None:
            self._answer(site.answer)
            site.on_get()

        def do_POST(self) -> None:
            self._answer(site.answer)

        def do_PUT(self) -> None:
            self._answer(site.put)

        def do_DELETE(self) -> None:
            self._answer(site.delete)

        def _answer(self, answer: Callable[..., Answer], *, whole: bool = True) -> None:
            site.asked.append(self.path)
            sent = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            status, headers, body = answer(self.path, dict(self.headers), sent)
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if whole:
                site.sent += len(body)
                self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Silent."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    site.port = server.server_address[1]
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    try:
        yield site
    finally:
        server.shutdown()
        server.server_close()


@pytest.fixture
def web() -> Iterator[Web]:
    with served(Web()) as web:
        yield web


@pytest.fixture
def other() -> Iterator[Web]:
    """Another server, which nothing should reach."""
    with served(Web()) as web:
        yield web


@pytest.fixture
def nothing_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    """No place of the network is open, whatever the environment says."""
    monkeypatch.delenv(ALLOWED, raising=False)
    monkeypatch.setenv("DATACHEF_PLUGINS", "engines,sources")
