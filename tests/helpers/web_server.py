"""Web servers that answer as told and remember what they were asked for."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from datachef.core.system.network import ALLOWED

LINES = b"".join(b'{"text": "row %d"}\n' % number for number in range(5))


@dataclass
class Web:
    """A web server: what it serves by path, as bytes or as the address of a redirect, and what it
    was asked for. `headers` go with everything that it serves."""

    port: int
    files: dict[str, bytes | str] = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    on_get: Callable[[], None] = lambda: None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


def _serving() -> tuple[Web, ThreadingHTTPServer]:
    class Handler(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self._answer()

        def do_GET(self) -> None:
            self.wfile.write(self._answer())
            web.on_get()

        def _answer(self) -> bytes:
            web.asked.append(self.path)
            found = web.files.get(self.path)
            body = found if isinstance(found, bytes) else b""
            part = re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers.get("Range", ""))
            status = 404 if found is None else 302 if isinstance(found, str) else 200
            if part and status == 200:
                status, body = 206, body[int(part[1]) : int(part[2]) + 1]
            self.send_response(status)
            if isinstance(found, str):
                self.send_header("Location", found)
            for name, value in web.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            return body

        def log_message(self, *_: object) -> None:
            """Silent."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    web = Web(server.server_address[1])
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    return web, server


@pytest.fixture
def web() -> Iterator[Web]:
    web, server = _serving()
    yield web
    server.shutdown()
    server.server_close()


@pytest.fixture
def other() -> Iterator[Web]:
    """Another server, which nothing should reach."""
    web, server = _serving()
    yield web
    server.shutdown()
    server.server_close()


@pytest.fixture
def nothing_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    """No place of the network is open, whatever the environment says."""
    monkeypatch.delenv(ALLOWED, raising=False)
    monkeypatch.setenv("DATACHEF_PLUGINS", "engines,sources")
