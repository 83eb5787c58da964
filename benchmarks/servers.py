"""The servers that benchmarks run against: a scripted model server, and those of the tests."""

from __future__ import annotations

import hashlib
import json
import random
import select
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any

from datachef.core import DatachefError, Request
from datachef.core.language_models.client import LLMClient

if TYPE_CHECKING:
    import psutil
    from object_store import ObjectStoreServer
    from web_server import Web

HELPERS = str(Path(__file__).resolve().parents[1] / "tests" / "helpers")


class ScriptedServer:
    """A model server whose answers depend on the question alone, and that knows what it sent.

    `client` finds out whether an answer is kept already.
    """

    def __init__(self, slowest: float) -> None:
        self._slowest = slowest
        self._lock = threading.Lock()
        self.client: LLMClient | None = None
        self.sent: Counter[str] = Counter()
        self.asked_though_kept = 0

    def answer(self, raw: bytes) -> tuple[str, bytes]:
        """The request's name, and the body of the reply after a while."""
        asked = json.loads(raw)
        name = hashlib.sha256(raw).hexdigest()
        with suppress(DatachefError):  # what keeps it may be killed just now
            if self.client is not None and self.client.remembers(_request(asked)):
                with self._lock:
                    self.asked_though_kept += 1
        chance = random.Random(name)
        time.sleep(chance.uniform(0.0, self._slowest))
        words = [f"{name[n : n + 3]}{chance.randrange(1000)}" for n in range(0, 30, 3)]
        text = " ".join(words)
        if "response_format" in asked:
            pairs = [{"question": f"{words[n]}?", "answer": f"{text} {n}"} for n in range(2)]
            text = json.dumps({"pairs": pairs})
        choice = {"message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
        return name, json.dumps({"choices": [choice]}).encode()

    def was_sent(self, name: str) -> None:
        with self._lock:
            self.sent[name] += 1


def _request(asked: Mapping[str, Any]) -> Request:
    """What the client was asked, read from what it sent."""
    shape = asked.get("response_format", {}).get("json_schema", {}).get("schema")
    messages = tuple((turn["role"], turn["content"]) for turn in asked["messages"])
    return Request(
        asked["model"],
        messages,
        asked["max_tokens"],
        asked["temperature"],
        asked.get("seed"),
        shape,
    )


class _Listener(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, *_: object) -> None:
        """Clients that were killed are expected."""


@contextmanager
def serving(server: ScriptedServer) -> Iterator[str]:
    """The address of the server while it listens."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            name, body = server.answer(self.rfile.read(int(self.headers["Content-Length"])))
            if select.select([self.connection], [], [], 0)[0]:
                return  # nothing more is asked on a connection: it was closed
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)
            self.wfile.flush()
            server.was_sent(name)

        def log_message(self, *_: object) -> None:
            """Silent."""

    listener = _Listener(("127.0.0.1", 0), Handler)
    threading.Thread(target=listener.serve_forever, args=(0.05,), daemon=True).start()
    try:
        yield f"http://127.0.0.1:{listener.server_address[1]}/v1"
    finally:
        listener.shutdown()
        listener.server_close()


def store_server(folder: Path) -> AbstractContextManager[ObjectStoreServer]:
    """A server of S3, as the tests use it."""
    _with_helpers()
    from object_store import object_store_server

    return object_store_server(folder)


def web_server(files: Mapping[str, Any]) -> AbstractContextManager[Web]:
    """A server of files by path that counts what it sends, as the tests use it."""
    _with_helpers()
    from web_server import Web, served

    return served(Web(files=dict(files), headers={"ETag": '"1"'}))


def slurm_daemons(folder: Path) -> AbstractContextManager[None]:
    """Slurm's own daemons, as the tests use them."""
    _with_helpers()
    from slurm_cluster import slurm_cluster

    return slurm_cluster(folder)


def slurm_tasks(folder: Path) -> Callable[[int], list[psutil.Process]]:
    """What finds the tasks of Slurm's job arrays of runs in a folder, whichever run they are of."""
    _with_helpers()
    from slurm_cluster import array_tasks

    return lambda _: list(array_tasks(folder).values())


def _with_helpers() -> None:
    if HELPERS not in sys.path:
        sys.path.append(HELPERS)
