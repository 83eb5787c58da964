"""Model servers that lie, stall, break off, redirect and flood, before operators and judges."""

from __future__ import annotations

import gzip
import json
import ssl
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import polars as pl
import pytest
from model_server import (
    CHUNKED,
    DEEP,
    ERROR,
    HEAD,
    KEY,
    MEGABYTE,
    NOTHING,
    SECONDS,
    HostileServer,
    Play,
    batch,
    body_of,
    drips,
    floods,
    honest,
    is_clean,
    kept,
    raw,
    rephrased,
    resets,
    says,
    services_of,
    silent,
)

from datachef.core import DatachefError, Request, RunError, Services, Task, TransientLLMError
from datachef.core.system import http as http_post
from datachef.operators.synthesis.rephrase_text import RephraseText
from datachef.plugins.openai_backend import OpenAIBackend
from datachef.policy.decoding.vllm import ServerDecoder
from datachef.reward.verifier import Judge, Verdict, Verifier

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


def judged(services: Services) -> Any:
    """What a judge says of one row, by the class that the server shouts."""
    task = Task.model_validate({"name": "t", "benchmark": {"path": "unread.jsonl"}})
    verifier = Verifier([Judge(model="tiny")], services, task, checkers=())
    rows = batch("a row").with_columns(weight=pl.lit(1.0))
    (row,) = verifier.verify(rows).rows
    return row.verdicts[0]


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
