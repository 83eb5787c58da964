"""A server of Google Cloud Storage's XML requests, as far as a run makes them, in this process.

There is no package of one: it keeps to what Google documents of generations, entity tags, parts of
files and lists (https://cloud.google.com/storage/docs/xml-api/reference-methods).
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape

# When every file was written.
DAY = datetime(2026, 1, 1, tzinfo=UTC).timestamp()
_NO_KEY = {"disable_oauth": True, "client_email": "", "private_key": "", "private_key_id": ""}


class GoogleStore:
    """The files of all buckets, by `/BUCKET/NAME`: the generation and the content of each."""

    def __init__(self) -> None:
        self.files: dict[str, tuple[int, bytes]] = {}
        self.lock = threading.Lock()
        self.generations = 0
        self.url = ""

    @property
    def environment(self) -> dict[str, str]:
        """The variables by which its user finds it."""
        return {
            "GOOGLE_SERVICE_ACCOUNT_KEY": json.dumps({"gcs_base_url": self.url, **_NO_KEY}),
            "GOOGLE_ALLOW_HTTP": "true",
            "DATACHEF_ALLOW_NETWORK": "gs://data",
        }

    def put(self, name: str, content: bytes, expected: str | None = None) -> int | None:
        """The generation of a file that was put in place; None where another one is there than the
        generation that is expected, of which 0 is none."""
        with self.lock:
            there, _ = self.files.get(name, (0, b""))
            if expected is not None and int(expected) != there:
                return None
            self.generations += 1
            self.files[name] = self.generations, content
            return self.generations


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    store: GoogleStore

    def do_PUT(self) -> None:
        content = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        generation = self.store.put(
            self._name(), content, self.headers.get("x-goog-if-generation-match")
        )
        if generation is None:
            self._answer(412, b"<Error><Code>PreconditionFailed</Code></Error>")
        else:
            self._answer(200, b"", self._facts(generation))

    def do_GET(self) -> None:
        address = urlsplit(self.path)
        if "list-type" in address.query:
            return self._list(address.path, parse_qs(address.query).get("prefix", [""])[0])
        found = self.store.files.get(self._name())
        if found is None:
            return self._answer(404, b"<Error><Code>NoSuchKey</Code></Error>")
        generation, content = found
        facts = self._facts(generation)
        if part := self.headers.get("Range"):
            first, _, last = part.removeprefix("bytes=").partition("-")
            piece = content[int(first) : int(last) + 1]
            facts["Content-Range"] = f"bytes {first}-{int(first) + len(piece) - 1}/{len(content)}"
            return self._answer(206, piece, facts)
        return self._answer(200, content, facts)

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_DELETE(self) -> None:
        found = self.store.files.pop(self._name(), None)
        self._answer(404 if found is None else 204, b"")

    def _list(self, bucket: str, prefix: str) -> None:
        begin = f"{bucket.rstrip('/')}/"
        found = [
            f"<Contents><Key>{escape(name.removeprefix(begin))}</Key><Size>{len(content)}</Size>"
            f'<LastModified>2026-01-01T00:00:00.000Z</LastModified><ETag>"{generation:x}"</ETag>'
            "</Contents>"
            for name, (generation, content) in sorted(self.store.files.items())
            if name.startswith(f"{begin}{prefix}")
        ]
        told = "".join(found)
        self._answer(200, f"<ListBucketResult>{told}</ListBucketResult>".encode())

    def _name(self) -> str:
        return unquote(urlsplit(self.path).path)

    @staticmethod
    def _facts(generation: int) -> dict[str, str]:
        return {
            "ETag": f'"{generation:x}"',
            "x-goog-generation": str(generation),
            "Last-Modified": formatdate(DAY, usegmt=True),
        }

    def _answer(self, status: int, content: bytes, facts: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in (facts or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        """A test says nothing of requests."""


@contextmanager
def google_store() -> Iterator[GoogleStore]:
    store = GoogleStore()
    handler = type("Handler", (_Handler,), {"store": store})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    store.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield store
    finally:
        server.shutdown()
        server.server_close()
