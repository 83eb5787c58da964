"""A server of Google Cloud Storage's XML requests, as far as a run makes them, in this process.

There is no package of one: it keeps to what Google documents of generations, entity tags, parts of
files and lists (https://cloud.google.com/storage/docs/xml-api/reference-methods).
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import ClassVar
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape

from web_server import Answer, Site

# When every file was written.
WRITTEN = datetime(2026, 1, 1, tzinfo=UTC)
_NO_KEY = {"disable_oauth": True, "client_email": "", "private_key": "", "private_key_id": ""}


@dataclass
class GoogleStore(Site):
    """The files of all buckets, by `/BUCKET/NAME`: the generation and the content of each."""

    protocol: ClassVar[str] = "HTTP/1.1"

    files: dict[str, tuple[int, bytes]] = field(default_factory=dict)
    generations: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def environment(self) -> dict[str, str]:
        """The variables by which its user finds it."""
        return {
            "GOOGLE_SERVICE_ACCOUNT_KEY": json.dumps({"gcs_base_url": self.url, **_NO_KEY}),
            "GOOGLE_ALLOW_HTTP": "true",
            "DATACHEF_ALLOW_NETWORK": "gs://data",
        }

    def answer(self, path: str, headers: Mapping[str, str], body: bytes) -> Answer:
        address = urlsplit(path)
        if "list-type" in address.query:
            return self._list(address.path, parse_qs(address.query).get("prefix", [""])[0])
        found = self.files.get(_name(path))
        if found is None:
            return 404, {}, b"<Error><Code>NoSuchKey</Code></Error>"
        generation, content = found
        told = _version(generation)
        part = re.fullmatch(r"bytes=(\d+)-(\d+)", _lowered(headers).get("range", ""))
        if part is None:
            return 200, told, content
        start = int(part[1])
        piece = content[start : int(part[2]) + 1]
        told["Content-Range"] = f"bytes {start}-{start + len(piece) - 1}/{len(content)}"
        return 206, told, piece

    def put(self, path: str, headers: Mapping[str, str], body: bytes) -> Answer:
        """Refuses where another generation is there than is expected, of which 0 is no file."""
        expected = _lowered(headers).get("x-goog-if-generation-match")
        with self.lock:
            there, _ = self.files.get(_name(path), (0, b""))
            if expected is not None and int(expected) != there:
                return 412, {}, b"<Error><Code>PreconditionFailed</Code></Error>"
            self.generations += 1
            self.files[_name(path)] = self.generations, body
            return 200, _version(self.generations), b""

    def delete(self, path: str, headers: Mapping[str, str], body: bytes) -> Answer:
        found = self.files.pop(_name(path), None)
        return (404 if found is None else 204), {}, b""

    def _list(self, bucket: str, prefix: str) -> Answer:
        begin = f"{bucket.rstrip('/')}/"
        written = WRITTEN.isoformat(timespec="milliseconds").replace("+00:00", "Z")
        found = [
            f"<Contents><Key>{escape(name.removeprefix(begin))}</Key><Size>{len(content)}</Size>"
            f"<LastModified>{written}</LastModified><ETag>{_version(generation)['ETag']}</ETag>"
            "</Contents>"
            for name, (generation, content) in sorted(self.files.items())
            if name.startswith(f"{begin}{prefix}")
        ]
        return 200, {}, f"<ListBucketResult>{''.join(found)}</ListBucketResult>".encode()


def _name(path: str) -> str:
    return unquote(urlsplit(path).path)


def _lowered(headers: Mapping[str, str]) -> dict[str, str]:
    return {name.lower(): value for name, value in headers.items()}


def _version(generation: int) -> dict[str, str]:
    """What is said of a file besides its content."""
    return {
        "ETag": f'"{generation:x}"',
        "x-goog-generation": str(generation),
        "Last-Modified": format_datetime(WRITTEN, usegmt=True),
    }
