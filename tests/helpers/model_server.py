"""A model server of scripts: what it sends, and the operators that ask it."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from datachef.core import Services
from datachef.core.language_models.client import Persistence
from datachef.operators.synthesis.rephrase_text import RephraseText
from datachef.plugins.openai_backend import OpenAIBackend

KEY = "sk-secret-0123456789"
NOTHING = pl.DataFrame(schema={"id": pl.String, "reason": pl.String})
SECONDS = 0.4  # for an answer, all of it

Play = Callable[["Connection"], None]


class Connection:
    """One request, read whole, and the way back."""

    def __init__(self, sock: socket.socket, url: str) -> None:
        self.sock = sock
        self.url = url
        stream = sock.makefile("rb")
        self.line = stream.readline().decode()
        self.headers = {}
        while line := stream.readline().strip():
            name, _, value = line.decode().partition(":")
            self.headers[name.lower()] = value.strip()
        self.body = stream.read(int(self.headers.get("content-length", 0)))

    @property
    def prompt(self) -> str:
        return str(json.loads(self.body)["messages"][-1]["content"])

    def send(self, raw: bytes) -> None:
        self.sock.sendall(raw)

    def reply(self, body: bytes, status: int = 200, **headers: str) -> None:
        named = {"content_type": "application/json", "content_length": str(len(body))} | headers
        lines = "".join(f"{k.replace('_', '-')}: {v}\r\n" for k, v in named.items() if v)
        self.send(f"HTTP/1.1 {status} Words\r\n{lines}\r\n".encode() + body)

    def drip(self, byte: bytes) -> None:
        """A byte now and then, for ever."""
        while True:
            self.send(byte)
            time.sleep(0.02)


class HostileServer:
    """Plays a script to each connection; `honest` ones answer by echoing in capitals."""

    def __init__(self) -> None:
        self._socket = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}/v1"
        self.play: Play = honest
        self.asked: Counter[str] = Counter()
        self.lock = threading.Lock()
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        while True:
            try:
                sock, _ = self._socket.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(sock,), daemon=True).start()

    def _serve(self, sock: socket.socket) -> None:
        with sock, suppress(OSError, ValueError):  # who asked may have been ended while asking
            connection = Connection(sock, self.url)
            prompt = connection.prompt
            with self.lock:
                self.asked[prompt] += 1
            self.play(connection)

    def close(self) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()


def body_of(content: Any = "fine", finish_reason: Any = "stop", **message: Any) -> bytes:
    said = {"role": "assistant", "content": content, **message}
    return json.dumps({"choices": [{"message": said, "finish_reason": finish_reason}]}).encode()


def honest(connection: Connection) -> None:
    connection.reply(body_of(connection.prompt.upper()))


def says(body: bytes, status: int = 200, **headers: str) -> Play:
    return lambda connection: connection.reply(body, status, **headers)


def raw(*parts: bytes) -> Play:
    return lambda connection: [connection.send(part) for part in parts]  # type: ignore[return-value]


def drips(head: bytes, byte: bytes) -> Play:
    def play(connection: Connection) -> None:
        connection.send(head)
        connection.drip(byte)

    return play


def floods(head: bytes, piece: bytes) -> Play:
    def play(connection: Connection) -> None:
        connection.send(head)
        while True:
            connection.send(piece)

    return play


def resets(connection: Connection) -> None:
    connection.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")


def silent(connection: Connection) -> None:
    time.sleep(60)


HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
MEGABYTE = b" " * 2**20
DEEP = b"[" * 100_000
ERROR = {"error": {"message": f"\x1b[2J\x1b]0;owned\x07 no, Bearer {KEY}!", "code": "odd"}}


@pytest.fixture
def server() -> Iterator[HostileServer]:
    state = HostileServer()
    yield state
    state.close()


def services_of(server: HostileServer, folder: Path, seconds: float = SECONDS) -> Services:
    """What operators and judges reach, with few attempts and short waits."""
    services = Services({"openai": lambda: OpenAIBackend(server.url, KEY, seconds)}, folder)
    services.llm("openai").persistence = Persistence(2, 0.0, 0.0)
    return services


def batch(*texts: str) -> pl.DataFrame:
    return pl.DataFrame({"id": [f"r{i}" for i in range(len(texts))], "source": "s", "text": texts})


def rephrased(services: Services, *texts: str) -> Any:
    operator = RephraseText(model="tiny", prompt="{{ text }}").connect(services)
    return operator.apply(batch(*texts), NOTHING)


def kept(folder: Path) -> list[Path]:
    return list(folder.rglob("*.json"))


def is_clean(text: str) -> bool:
    return KEY not in text and all(char.isprintable() for char in text)
