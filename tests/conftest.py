from __future__ import annotations

import json
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.metadata import distributions
from pathlib import Path
from typing import Any, NamedTuple

import polars as pl
import pytest
import zstandard
from crawl import Crawl
from hypothesis import settings
from vllm_server import vllm_installation, vllm_server

from datachef.core import DatachefError, Host, document, run_recipe
from datachef.core.distribution import NAME
from datachef.core.rows.reader import REJECTS
from datachef.core.run.report import Report

__all__ = ["vllm_installation", "vllm_server"]

# No test asserts on time: machines differ, and so does their load.
settings.register_profile("patient", deadline=None)
settings.load_profile("patient")


def pytest_configure() -> None:
    """Plugins are found, and `chef` is started, through what is installed."""
    if not any(distributions(name=NAME)):
        raise pytest.UsageError(
            f'{NAME} is not installed here: pip install -e ".[dev]"\n'
            "(a checkout from before it had this name: pip uninstall datachef, first)"
        )


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests that need vLLM share one process, and so one server."""
    for item in items:
        if {"vllm_server", "vllm_installation"} & set(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.xdist_group("vllm"))


@dataclass
class LLMServer:
    """A server that speaks the OpenAI protocol, answers as told and remembers what it was asked.

    `script` holds statuses, or bodies as bytes, for the next requests; after it `answer` turns the
    user message into the text of a completion, or raises `RefusalError`.
    """

    url: str = ""
    answer: Callable[[str], str] = lambda prompt: f"answer to {prompt}"
    script: deque[int | bytes] = field(default_factory=deque)
    headers: dict[str, str] = field(default_factory=lambda: {"Retry-After": "0"})
    finish_reason: str = "stop"
    delays: dict[str, float] = field(default_factory=dict)
    calls: list[dict[str, Any]] = field(default_factory=list)
    seen_headers: list[dict[str, str]] = field(default_factory=list)
    at_once: int = 0
    most_at_once: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def reply(self, request: dict[str, Any]) -> tuple[int, bytes]:
        with self.lock:
            self.calls.append(request)
            scripted = self.script.popleft() if self.script else None
        if isinstance(scripted, int):
            return scripted, json.dumps({"error": {"message": f"scripted {scripted}"}}).encode()
        if scripted is not None:
            return 200, scripted
        prompt = request["messages"][-1]["content"]
        time.sleep(self.delays.get(prompt, 0))
        try:
            text = self.answer(prompt)
        except RefusalError as refusal:
            return refusal.args[0], json.dumps({"error": {"message": "refused"}}).encode()
        return 200, self.completion(text)

    def completion(self, text: str | None) -> bytes:
        message = {"role": "assistant", "content": text}
        choice = {"index": 0, "message": message, "finish_reason": self.finish_reason}
        usage = {"prompt_tokens": 7, "completion_tokens": 5, "total_tokens": 12}
        body = {"id": "1", "object": "chat.completion", "created": 1, "model": "tiny"}
        return json.dumps(body | {"choices": [choice], "usage": usage}).encode()

    def prompts(self) -> list[str]:
        return [call["messages"][-1]["content"] for call in self.calls]


class RefusalError(Exception):
    """Raised with a status by an `answer` that is none."""


class _Server(ThreadingHTTPServer):
    request_queue_size = 128


@pytest.fixture
def refusal() -> type[Exception]:
    return RefusalError


@pytest.fixture
def llm_server() -> Iterator[LLMServer]:
    state = LLMServer()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            with state.lock:
                state.at_once += 1
                state.most_at_once = max(state.most_at_once, state.at_once)
                state.seen_headers.append({k.lower(): v for k, v in self.headers.items()})
            status, content = state.reply(json.loads(body))
            with state.lock:
                state.at_once -= 1
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            for name, value in state.headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            """Silent."""

    server = _Server(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    state.url = f"http://127.0.0.1:{server.server_address[1]}/v1"
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield state
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder with the public data that some tests measure on; they are skipped without it."""
    beside = Path(__file__).parents[2] / "shared" / "data"
    folder = Path(os.environ.get("DATACHEF_TEST_DATA", beside))
    if not folder.is_dir():
        pytest.skip("no public data to test on: set DATACHEF_TEST_DATA to its folder")
    return folder


@pytest.fixture(scope="module")
def crawl(tmp_path_factory: pytest.TempPathFactory, shared_data: Path) -> Crawl:
    """A recipe over real pages, for runs on every engine."""
    return Crawl.write(tmp_path_factory.mktemp("crawl"), shared_data)


def _fetched(name: str) -> Path:
    """The folder of an asset of ours, fetched into the user's cache where it is not there."""
    from datachef.core.assets.fetching import fetch_asset

    try:
        return fetch_asset(Host(only=["assets"]).assets[name])
    except (DatachefError, OSError) as error:
        pytest.skip(f"{name} cannot be fetched here: {error}")


@pytest.fixture(scope="session")
def smollm2() -> Path:
    """The folder of a small language model; tests are skipped where it cannot be fetched."""
    return _fetched("smollm2")


@pytest.fixture(scope="session")
def minilm() -> Path:
    """The folder of a small embedding model; tests are skipped where it cannot be fetched."""
    return _fetched("minilm")


class MadeCorpus(NamedTuple):
    """A corpus that was made in a test: its report, rows in order, rejected rows and manifest."""

    report: Report
    rows: pl.DataFrame
    rejects: pl.DataFrame
    manifest: dict[str, Any]


def read_corpus(folder: Path) -> pl.DataFrame:
    """All rows of a corpus; without any, those of JSON lines have no columns."""
    files = sorted((folder / "data").iterdir())
    if files[0].suffix == ".parquet":
        return pl.concat(map(pl.read_parquet, files))
    raw = [
        zstandard.decompress(f.read_bytes()) if f.suffix == ".zst" else f.read_bytes()
        for f in files
    ]
    return pl.read_ndjson(b"".join(raw), infer_schema_length=None) if any(raw) else pl.DataFrame()


@pytest.fixture
def make_corpus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., MadeCorpus]:
    """Runs a recipe over the given sources, beside the test's files, and reads the result.

    Loads sources and engines alone, and the plugin files it is given.
    """
    monkeypatch.setenv("DATACHEF_PLUGINS", "engines,sources")

    def run(
        sources: Any, *, plugins: Sequence[Path] = (), engine: str = "inline", **recipe: Any
    ) -> MadeCorpus:
        if isinstance(sources, str | Path):
            sources = {"s": {"path": str(sources)}}
        written = tmp_path / "recipe.yaml"
        written.write_text(document.dump({"name": "test", "sources": sources, **recipe}))
        report = run_recipe(
            written,
            tmp_path / "corpus",
            host=Host([str(file) for file in plugins]),
            engine=engine,
            workers=2,
            cache=tmp_path / "cache",
        )
        rejects = report.folder / "rejects" / "rejects.parquet"
        return MadeCorpus(
            report,
            read_corpus(report.folder),
            pl.read_parquet(rejects) if rejects.exists() else pl.DataFrame(schema=REJECTS),
            json.loads((report.folder / "manifest.json").read_bytes()),
        )

    return run
