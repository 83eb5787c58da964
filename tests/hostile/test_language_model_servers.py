"""Model servers that lie, stall, break off, redirect and flood, before operators and judges."""

from __future__ import annotations

import gzip
import json
import socket
import ssl
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import polars as pl
import pytest

from datachef.core import (
    Completion,
    DatachefError,
    LLMBackend,
    LLMError,
    PluginError,
    Request,
    RunError,
    Services,
    Task,
    TransientLLMError,
    UnparsableAnswerError,
    json_answer,
    run_recipe,
)
from datachef.core.language_models.answers import answer_text
from datachef.core.language_models.client import LLMClient, Persistence
from datachef.core.system import http as http_post
from datachef.operators.synthesis.rephrase_text import RephraseText
from datachef.plugins.openai_backend import OpenAIBackend
from datachef.policy.decoding.vllm import ServerDecoder
from datachef.reward.verifier import Judge, Verdict, Verifier

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

# What is wrong for now: nothing is kept, and the next run with a healthy server succeeds.
PASSING: dict[str, Play] = {
    "408": says(b"{}", 408),
    "409": says(b"{}", 409),
    "425": says(b"{}", 425),
    "429": says(b"{}", 429, retry_after="0"),
    "429 with odd waits": says(b"{}", 429, retry_after="nan"),
    "500": says(b"", 500),
    "503 of a proxy": says(b"<html>Bad gateway</html>", 503, content_type="text/html"),
    "529": says(b"null", 529),
    "closes at once": raw(),
    "resets": resets,
    "never answers": silent,
    "drips the status": drips(b"HTTP/1.1 ", b"2"),
    "drips headers": drips(HEAD + b"X: ", b"y"),
    "drips the body": drips(HEAD + b"Content-Length: 1000000\r\n\r\n", b" "),
    "drips chunks": drips(CHUNKED, b"1\r\n \r\n"),
    "continues for ever": floods(b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
    "headers for ever": floods(HEAD, b"X: y\r\n"),
    "a line for ever": floods(HEAD + b"X: ", b"y" * 2**16),
    "chunks for ever": floods(CHUNKED, b"100000\r\n" + MEGABYTE + b"\r\n"),
    "trailers for ever": floods(CHUNKED + b"0\r\n", b"X: y\r\n"),
    "a body for ever": floods(HEAD + b"\r\n", MEGABYTE),
    "claims 300 MB": raw(HEAD + b"Content-Length: 300000000\r\n\r\n", body_of()),
    "breaks off": raw(HEAD + b"Content-Length: 1000\r\n\r\n", body_of()[:20]),
    "breaks off in a chunk": raw(CHUNKED, b"100\r\n", body_of()[:20]),
    "a length that is too short": raw(HEAD + b"Content-Length: 10\r\n\r\n", body_of()),
    "chunks that are none": raw(CHUNKED, b"zz\r\n", body_of()),
    "no HTTP": raw(b"SSH-2.0-OpenSSH_9.9\r\n"),
    "gzip bomb": says(gzip.compress(b" " * 2**24), content_encoding="gzip"),
    "gzip garbage": says(b"\x1f\x8b" + b"garbage" * 9, content_encoding="gzip"),
    "gzip breaks off": says(gzip.compress(body_of())[:-20], content_encoding="gzip"),
    "unknown encoding": says(body_of(), content_encoding="zstd"),
    "nothing": says(b""),
    "204": raw(b"HTTP/1.1 204 No Content\r\n\r\n"),
    "HTML of a proxy": says(b"<html>Log in first</html>", content_type="text/html"),
    "HTML that says it is JSON": says(b"<html>Log in first</html>"),
    "half of JSON": says(body_of()[:-9]),
    "deep JSON": says(DEEP),
    "a huge number": says(b"[" + b"9" * 10_000 + b"]"),
    "not UTF-8": says(b'{"choices": "\xff\xfe"}'),
    "null": says(b"null"),
    "a list": says(b"[]"),
    "an error with status 200": says(json.dumps(ERROR).encode()),
    "no choices": says(b'{"choices": []}'),
    "choices of null": says(b'{"choices": null}'),
    "a choice of null": says(b'{"choices": [null]}'),
    "three choices": says(json.dumps({"choices": json.loads(body_of())["choices"] * 3}).encode()),
    "no message": says(b'{"choices": [{"finish_reason": "stop"}]}'),
    "content of null": says(body_of(None)),
    "content of 0": says(body_of(0)),
    "content of true": says(body_of(True)),
    "content is an object": says(body_of({"text": "fine"})),
    "content is a list of numbers": says(body_of([1, 2])),
    "a part of null": says(body_of([{"type": "text", "text": None}])),
    "finish_reason is a number": says(body_of(finish_reason=7)),
    "finish_reason is a list": says(body_of(finish_reason=["stop"])),
    "the server broke it off": says(body_of(finish_reason="abort")),
    "the server has too much to do": says(body_of(finish_reason="insufficient_system_resource")),
    "an error in capitals": says(body_of("half", "ERROR")),
    "refusal is a number": says(body_of(None, refusal=3)),
    "half a surrogate pair": says(body_of("half \ud83d")),
}

# What an answer says of itself: it is kept, and its row fails by the contract of answers.
FINAL: dict[str, tuple[Play, str]] = {
    "length": (says(body_of("half of", "length")), "truncated_answer"),
    "length without text": (says(body_of(None, "length")), "truncated_answer"),
    "content_filter": (says(body_of("", "content_filter")), "filtered_answer"),
    "a refusal": (says(body_of(None, refusal="I won't.")), "refused_answer"),
    "a call of a tool": (says(body_of(None, tool_calls=[{"id": "1"}])), "unparsable_answer"),
    "reasoning alone": (says(body_of(None, reasoning_content="So.")), "empty_answer"),
    "empty": (says(body_of("")), "empty_answer"),
}

# What meets every request: the run ends at the first, with the words of the server.
HOPELESS: dict[str, tuple[Play, str]] = {
    "401": (says(json.dumps(ERROR).encode(), 401), "answered 401: .*no, Bearer"),
    "402": (says(b'{"error": "pay first"}', 402), "answered 402: pay first"),
    "403": (says(b'{"detail": "not you"}', 403), "answered 403: not you"),
    "404": (says(b'{"message": "no model tiny"}', 404), "answered 404: no model tiny"),
    "405": (says(b"", 405), "answered 405"),
    "quota": (
        says(b'{"error": {"code": "insufficient_quota", "message": "empty"}}', 429),
        "answered 429: empty",
    ),
    "no model, as a bad request": (
        says(b'{"error": {"code": "model_not_found", "message": "which?"}}', 400),
        "answered 400: which",
    ),
    **{
        str(status): (
            says(b"", status, location="http://elsewhere.example/v1/chat?token=1"),
            rf"redirects \({status}\) to http://elsewhere\.example/v1/chat, which is not followed",
        )
        for status in (301, 302, 303, 307, 308)
    },
}  # fmt: skip

# Odd, but an answer.
HONEST: dict[str, Play] = {
    "another type": says(body_of(), content_type="text/html; charset=latin-1"),
    "no length": says(body_of(), content_length=""),
    "chunks": raw(CHUNKED, b"%x\r\n" % len(body_of()), body_of(), b"\r\n0\r\nX: y\r\n\r\n"),
    "a continue before": raw(b"HTTP/1.1 100 Continue\r\n\r\n" + HEAD + b"\r\n" + body_of()),
    "gzip": says(gzip.compress(body_of()), content_encoding="gzip"),
    "parts": says(body_of([{"type": "text", "text": "fi"}, {"type": "text", "text": "ne"}])),
    "usage that lies": says(body_of()[:-1] + b', "usage": {"prompt_tokens": "many"}}'),
    "usage that is a list": says(body_of()[:-1] + b', "usage": [1]}'),
    "201": says(body_of(), 201),
}


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


def judged(services: Services) -> Any:
    """What a judge says of one row, by the class that the server shouts."""
    task = Task.model_validate({"name": "t", "benchmark": {"path": "unread.jsonl"}})
    verifier = Verifier([Judge(model="tiny")], services, task, checkers=())
    rows = batch("a row").with_columns(weight=pl.lit(1.0))
    (row,) = verifier.verify(rows).rows
    return row.verdicts[0]


def kept(folder: Path) -> list[Path]:
    return list(folder.rglob("*.json"))


def is_clean(text: str) -> bool:
    return KEY not in text and all(char.isprintable() for char in text)


@pytest.mark.parametrize("name", PASSING)
def test_what_fails_in_passing_is_never_kept(
    server: HostileServer, tmp_path: Path, name: str
) -> None:
    server.play = PASSING[name]
    services = services_of(server, tmp_path)
    outcome = rephrased(services, "words")
    own = (
        "gzip bomb",
        "claims 300 MB",
        "a body for ever",
        "chunks for ever",
        "half a surrogate pair",
    )
    assert outcome.failed["reason"].to_list() == ["llm_error" if name in own else "no_answer"]
    detail = outcome.failed["detail"][0]
    assert is_clean(detail)
    assert len(detail) < 500
    assert 1 <= server.asked["words"] <= 2, "no more than the attempts"
    assert kept(tmp_path) == []
    server.play = honest
    assert rephrased(services_of(server, tmp_path, 30), "words").rows["text"].to_list() == ["WORDS"]
    assert len(kept(tmp_path)) == 1


@pytest.mark.parametrize(
    "name",
    ["500", "resets", "drips the body", "a body for ever", "HTML of a proxy", "content of 0",
     "finish_reason is a list", "gzip bomb"],
)  # fmt: skip
def test_a_judge_without_answers_gives_no_value_and_keeps_nothing(
    server: HostileServer, tmp_path: Path, name: str
) -> None:
    server.play = PASSING[name]
    with pytest.raises(RunError, match="left 1 of 1 questions unanswered") as failed:
        judged(services_of(server, tmp_path))
    assert is_clean(failed.value.message)
    assert kept(tmp_path) == []
    grade = json.dumps({"reasoning": "it is", "class": "pass"})
    server.play = says(body_of(grade))
    assert judged(services_of(server, tmp_path, 30)) == Verdict("pass", "it is")


@pytest.mark.parametrize("name", FINAL)
def test_what_an_answer_says_of_itself_is_kept(
    server: HostileServer, tmp_path: Path, name: str
) -> None:
    server.play, reason = FINAL[name]
    for _ in range(2):
        outcome = rephrased(services_of(server, tmp_path, 30), "words")
        assert outcome.failed["reason"].to_list() == [reason]
    assert server.asked == {"words": 1}


@pytest.mark.parametrize("name", HOPELESS)
def test_what_meets_every_request_ends_the_run_at_once(
    server: HostileServer, tmp_path: Path, name: str
) -> None:
    server.play, message = HOPELESS[name]
    texts = [f"words {n}" for n in range(50)]
    operator = RephraseText(model="tiny", prompt="{{ text }}", max_concurrency=2)
    with pytest.raises(RunError, match=message) as caught:
        operator.connect(services_of(server, tmp_path, 30)).apply(batch(*texts), NOTHING)
    assert is_clean(caught.value.message)
    assert "DATACHEF_LLM_BASE_URL" in caught.value.hint
    assert server.asked.total() <= 6
    with pytest.raises(RunError, match=message):
        judged(services_of(server, tmp_path, 30))
    assert kept(tmp_path) == []


@pytest.mark.parametrize("name", HONEST)
def test_odd_answers_that_are_answers(server: HostileServer, tmp_path: Path, name: str) -> None:
    server.play = HONEST[name]
    for _ in range(2):
        outcome = rephrased(services_of(server, tmp_path, 30), "words")
        assert outcome.rows["text"].to_list() == ["fine"]
    assert server.asked == {"words": 1}


def test_certificates_are_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "*")
    made: list[ssl.SSLContext] = []
    make = ssl.create_default_context

    def making() -> ssl.SSLContext:
        made.append(make())
        return made[-1]

    monkeypatch.setattr(ssl, "create_default_context", making)
    http_post._certificates.cache_clear()
    for _ in range(2):
        with pytest.raises(http_post.NoReplyError):
            http_post.post(urlsplit("https://127.0.0.1:1/v1"), b"{}", {}, seconds=5, longest=9)
    assert len(made) == 1


def test_documents_are_sent_nowhere_else(server: HostileServer, tmp_path: Path) -> None:
    other = HostileServer()
    server.play = says(b"", 307, location=f"{other.url}/chat/completions")
    with pytest.raises(RunError, match="which is not followed"):
        rephrased(services_of(server, tmp_path, 30), "my document")
    with pytest.raises(DatachefError, match="which is not followed"):
        decoder_of(server).generate([_request()], 0.0)
    assert other.asked == {}
    other.close()


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "0.0.0.0"])  # noqa: S104 - asked
def test_a_server_on_this_machine_needs_no_leave_and_no_proxy(
    server: HostileServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, host: str
) -> None:
    proxy = HostileServer()
    monkeypatch.setenv("http_proxy", proxy.url.removesuffix("/v1"))
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.setenv("DATACHEF_ALLOW_NETWORK", "")
    server.url = server.url.replace("127.0.0.1", host)
    outcome = rephrased(services_of(server, tmp_path, 30), "my document")
    assert outcome.rows["text"].to_list() == ["MY DOCUMENT"]
    assert proxy.asked == {}
    proxy.close()


def test_a_server_elsewhere_is_asked_through_the_proxy_unless_it_is_excepted(
    server: HostileServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", server.url.removesuffix("/v1"))
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.setenv("no_proxy", "")
    server.url = "http://models.invalid:8000/v1"
    outcome = rephrased(services_of(server, tmp_path, 30), "my document")
    assert outcome.rows["text"].to_list() == ["MY DOCUMENT"]
    monkeypatch.setenv("no_proxy", "models.invalid:8000")
    outcome = rephrased(services_of(server, tmp_path / "other", 30), "my document")
    assert outcome.rows.height == 0


class _Brief:
    """What a decoder sends of a prompt."""

    messages = ({"role": "user", "content": "Write."},)

    class space:  # noqa: N801 - an attribute
        @staticmethod
        def schema() -> dict[str, str]:
            return {"type": "object"}


def _request() -> Any:
    from datachef.policy.decoding.base import DraftRequest

    return DraftRequest(_Brief(), 1)  # type: ignore[arg-type]


def decoder_of(server: HostileServer) -> ServerDecoder:
    return ServerDecoder(server.url, "tiny", KEY, retries=0, timeout=SECONDS)


@pytest.mark.parametrize("name", ["401", "quota", "307"])
@pytest.mark.parametrize("of", [HOPELESS])
def test_a_policy_behind_a_server_is_refused(
    server: HostileServer, of: dict[str, tuple[Play, str]], name: str
) -> None:
    server.play, message = of[name]
    with pytest.raises(DatachefError, match=message) as caught:
        decoder_of(server).generate([_request()], 0.0)
    assert is_clean(caught.value.message)


@pytest.mark.parametrize("name", ["drips headers", "a body for ever", "deep JSON", "content of 0"])
def test_a_policy_behind_a_hostile_server_is_told_of(server: HostileServer, name: str) -> None:
    server.play = PASSING[name]
    with pytest.raises(DatachefError, match=r"no answer from|no chat completion") as caught:
        decoder_of(server).generate([_request()], 0.0)
    assert is_clean(caught.value.message)


def test_a_key_is_told_to_nobody(tmp_path: Path) -> None:
    with pytest.raises(DatachefError) as caught:
        OpenAIBackend("http://127.0.0.1:9/v1", f"{KEY}\r\nX-Other: 1")
    assert KEY not in caught.value.message + caught.value.hint
    backend = OpenAIBackend("http://me:hunter2!!@127.0.0.1:9/v1?token=abc", KEY)
    with pytest.raises(TransientLLMError) as failed:
        backend.complete(Request("tiny", (("user", "a"),), 5))
    assert "hunter2" not in failed.value.message
    assert "token" not in failed.value.message


@pytest.mark.parametrize(
    "address",
    ["ftp://127.0.0.1/v1", "127.0.0.1:8000/v1", "http://", "file:///etc/passwd", "http://a b/v1",
     "http://127.0.0.1:0/v1", "http://127.0.0.1:x/v1", "http://h/v1\r\nX: y"],
)  # fmt: skip
def test_what_is_no_address_is_refused(address: str) -> None:
    with pytest.raises(DatachefError, match="no address that begins with http"):
        OpenAIBackend(address)


class Given(LLMBackend):
    """A backend of somebody else, which gives or raises what it is told."""

    def __init__(self, answer: Any) -> None:
        self.answer = answer
        self.calls = 0

    def complete(self, request: Request) -> Completion:
        self.calls += 1
        if isinstance(self.answer, BaseException):
            raise self.answer
        return self.answer  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    "answer",
    [
        Completion(None),  # type: ignore[arg-type]
        Completion(3),  # type: ignore[arg-type]
        Completion(["a"]),  # type: ignore[arg-type]
        Completion("a", prompt_tokens="7"),  # type: ignore[arg-type]
        Completion("a", completion_tokens=-1),
        Completion("a", completion_tokens=2**80),
        Completion("a", truncated="no"),  # type: ignore[arg-type]
        Completion("a", finish_reason=None),  # type: ignore[arg-type]
        Completion("a", refusal=b"no"),  # type: ignore[arg-type]
        Completion("half \ud800"),
        Completion("a", finish_reason="\udfff"),
    ],
)
def test_answers_of_another_type_fail_their_rows_once(tmp_path: Path, answer: Any) -> None:
    backend = Given(answer)
    services = Services({"openai": lambda: backend}, tmp_path)
    outcome = rephrased(services, "a", "b", "c", "d")
    assert outcome.failed["reason"].to_list() == ["llm_error"] * 4
    assert backend.calls == 4
    assert kept(tmp_path) == []


def test_what_another_backend_tells_was_broken_off_is_asked_again(tmp_path: Path) -> None:
    backend = Given(Completion("half", finish_reason="Aborted"))
    services = Services({"openai": lambda: backend}, tmp_path)
    services.llm("openai").persistence = Persistence(2, 0.0, 0.0)
    assert rephrased(services, "a").failed["reason"].to_list() == ["no_answer"]
    assert backend.calls == 2
    assert kept(tmp_path) == []


@pytest.mark.parametrize(
    "answer", [None, "text", {"text": "a"}, KeyError("choices"), ZeroDivisionError()]
)
def test_mistakes_of_a_backend_are_its_authors(tmp_path: Path, answer: Any) -> None:
    backend = Given(answer)
    client = LLMClient("theirs", lambda: backend, tmp_path)
    with pytest.raises(PluginError, match="the LLM backend theirs"):
        client.complete_all([Request("tiny", (("user", str(n)),), 5) for n in range(40)], 1)
    assert backend.calls <= 2
    assert kept(tmp_path) == []


def test_a_flipped_bit_of_a_kept_answer_is_asked_again(
    server: HostileServer, tmp_path: Path
) -> None:
    rephrased(services_of(server, tmp_path, 30), "words")
    (path,) = kept(tmp_path)
    intact = path.read_bytes()
    for damaged in (intact.replace(b"WORDS", b"WORDT"), intact.replace(b'"words"', b'"worda"'),
                    b"null", b"[]", b"", b'{"completion": null}'):  # fmt: skip
        path.write_bytes(damaged)
        rows = rephrased(services_of(server, tmp_path, 30), "words").rows
        assert rows["text"].to_list() == ["WORDS"]
        assert path.read_bytes() == intact or damaged.startswith(b'{"checksum"')


def test_equal_requests_of_several_clients_are_sent_once(
    server: HostileServer, tmp_path: Path
) -> None:
    def slow(connection: Connection) -> None:
        time.sleep(0.2)
        honest(connection)

    server.play = slow
    request = Request("tiny", (("user", "same"),), 5)
    clients = [services_of(server, tmp_path, 30).llm("openai") for _ in range(6)]
    answers: list[Completion] = []
    threads = [
        threading.Thread(target=lambda client=client: answers.append(client.complete(request)))
        for client in clients
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [answer.text for answer in answers] == ["SAME"] * 6
    assert server.asked == {"same": 1}
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == kept(tmp_path)
    assert len(kept(tmp_path)) == 1


def test_who_waited_for_a_failure_asks_itself(server: HostileServer, tmp_path: Path) -> None:
    def fails_first(connection: Connection) -> None:
        time.sleep(0.1)
        if server.asked["same"] == 1:
            connection.reply(b"{}", 400)
        else:
            honest(connection)

    server.play = fails_first
    request = Request("tiny", (("user", "same"),), 5)
    found: list[Any] = []

    def ask(client: LLMClient) -> None:
        try:
            found.append(client.complete(request).text)
        except LLMError as error:
            found.append(error.status)

    clients = [services_of(server, tmp_path, 30).llm("openai") for _ in range(3)]
    threads = [threading.Thread(target=ask, args=(client,)) for client in clients]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(map(str, found)) == ["400", "SAME", "SAME"]
    assert server.asked == {"same": 2}


def test_nothing_more_is_sent_once_nobody_listens(server: HostileServer, tmp_path: Path) -> None:
    client = services_of(server, tmp_path, 30).llm("openai")
    requests = [Request("tiny", (("user", str(n)),), 5) for n in range(200)]
    answers = client.complete_each(requests, 2)
    for _ in range(5):
        next(answers)
    answers.close()
    time.sleep(0.2)
    assert server.asked.total() < 100


RECIPE = """
name: synthesis
sources:
  one: {path: one.jsonl, max_failed: 0.05}
  two: {path: two.jsonl, max_failed: 0.05}
steps:
  - {op: rephrase_text, model: tiny, prompt: "{{ text }}", max_concurrency: 2}
  - {op: length_filter, min_chars: 1}
  - op: exact_dedup
"""
ROWS = 100  # of each source: 10 may fail


@pytest.fixture
def run(
    server: HostileServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Any]:
    """Runs a recipe over two files of rows through the scripted server; gives the texts."""
    monkeypatch.setenv("DATACHEF_LLM_BASE_URL", server.url)
    monkeypatch.setenv("DATACHEF_LLM_API_KEY", KEY)
    monkeypatch.setattr(Persistence, "__init__", _hasty)
    for name in ("one", "two"):
        rows = [{"text": f"{name} {number}"} for number in range(ROWS)]
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (tmp_path / "recipe.yaml").write_text(RECIPE)

    def run(engine: str = "inline") -> list[str]:
        report = run_recipe(
            tmp_path / "recipe.yaml", tmp_path / "out", engine=engine, workers=2,
            cache=tmp_path / "cache",
        )  # fmt: skip
        files = sorted((report.folder / "data").iterdir())
        return sorted(pl.concat(map(pl.read_parquet, files))["text"])

    return run


def _hasty(self: Persistence, *_: Any) -> None:
    """Two attempts without a pause between."""
    vars(self).update(attempts=2, first_wait=0.0, longest_wait=0.0)


UPPER = sorted(f"{name} {number}".upper() for name in ("one", "two") for number in range(ROWS))


def failing(share: int, play: Play) -> Play:
    """A server that fails for one of so many rows."""

    def answer(connection: Connection) -> None:
        failed = int(connection.prompt.split()[1]) % share == 0
        (play if failed else honest)(connection)

    return answer


@pytest.mark.parametrize("engine", ["inline", "local"])
def test_failures_above_max_failed_do_not_stick(
    server: HostileServer, run: Callable[..., Any], engine: str
) -> None:
    server.play = failing(2, PASSING["429"])
    with pytest.raises(RunError, match=r"more than max_failed|more than the 5%"):
        run(engine)
    answered = {prompt for prompt in server.asked if int(prompt.split()[1]) % 2}
    server.play = honest
    server.asked.clear()
    assert run(engine) == UPPER
    # Of a worker that was ended because another one gave up, calls may have been on their way.
    most = 0 if engine == "inline" else 2
    assert len(answered & set(server.asked)) <= most, "what was answered is not asked again"


def test_failures_below_max_failed_are_asked_again(
    server: HostileServer, run: Callable[..., Any]
) -> None:
    server.play = failing(25, PASSING["500"])
    assert len(run()) == 2 * ROWS - 8
    server.play = honest
    server.asked.clear()
    assert run() == UPPER
    assert sorted(server.asked) == sorted(
        f"{name} {number}" for name in ("one", "two") for number in (0, 25, 50, 75)
    )
    server.asked.clear()
    assert run() == UPPER
    assert server.asked == {}


@pytest.mark.parametrize("name", ["400", "refusals", "500", "truncated"])
def test_a_run_that_fails_anyway_stops_paying(
    server: HostileServer, run: Callable[..., Any], name: str
) -> None:
    server.play = {
        "400": says(b'{"error": {"message": "no"}}', 400),
        "refusals": says(body_of(None, refusal="I won't.")),
        "500": failing(2, says(b"", 500)),
        "truncated": says(body_of("half", "length")),
    }[name]
    with pytest.raises(RunError, match="more than max_failed allows") as caught:
        run()
    assert is_clean(caught.value.message)
    assert "the first: " in caught.value.hint
    assert len(server.asked) < 60, "11 failures are too many, of 200 rows"


def test_a_parser_that_breaks_costs_its_row_and_no_second_call(
    server: HostileServer, tmp_path: Path
) -> None:
    class Brittle(RephraseText):
        """Breaks on one answer."""

        def parse(self, answer: str, row: dict[str, Any]) -> list[dict[str, Any]]:
            if answer == "B":
                raise ZeroDivisionError("a bug")
            return [{"text": answer}]

    operator = Brittle(model="tiny", prompt="{{ text }}").connect(services_of(server, tmp_path, 30))
    outcome = operator.apply(batch("a", "b", "c"), NOTHING)
    assert outcome.rows["text"].to_list() == ["A", "C"]
    assert outcome.failed.select("text", "reason", "detail").rows() == [
        ("b", "ZeroDivisionError", "a bug")
    ]
    assert server.asked == {"a": 1, "b": 1, "c": 1}


@pytest.mark.parametrize("mark", ["<|im_end|>", "<|eot_id|>  ", "<|end|><|return|>", "<eos>\n"])
def test_marks_without_end_are_read_once(mark: str) -> None:
    assert answer_text(Completion("fine " + mark * 50_000)) == "fine"
    text = mark * 50_000 + "x"
    assert answer_text(Completion(text)) == text


@pytest.mark.parametrize("piece", ['\\"', '{"', "```a\n", "[", "<think>`", '{"a": "\\"'])
def test_what_never_becomes_json_is_given_up(piece: str) -> None:
    for text in (piece * 50_000, '"' + piece * 50_000):
        with pytest.raises(UnparsableAnswerError):
            json_answer(text)


def test_commas_before_an_end_go_and_those_in_strings_stay() -> None:
    assert json_answer('Here: {"a": ["x,]", "\\",}", ], }') == {"a": ["x,]", '",}']}
