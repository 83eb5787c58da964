"""Synthesis and a judge over a real vLLM that is killed and restarted, refuses and falls silent;
what it answered once is asked for no second time."""

from __future__ import annotations

import json
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import polars as pl
import pytest
from vllm_server import VLLMInstallation, serving

from datachef.core import DatachefError, Services, Task, run_recipe
from datachef.core.language_models.client import Persistence
from datachef.plugins.openai_backend import OpenAIBackend
from datachef.reward.verifier import Judge, Verifier

ROWS = 12
RECIPE = """
name: served
sources:
  pages: {path: pages.jsonl, max_failed: 0.5}
steps:
  - {op: judge_score, model: tiny, max_tokens: 400, temperature: 1.0, max_concurrency: 2}
output: {columns: [judge_score]}
"""


class Proxy:
    """Stands before the server and counts what it answered; `faults` are played first, to the next
    requests: a status, a body that is no answer, or an address to go to."""

    def __init__(self) -> None:
        self.behind = ""
        self.faults: list[int | bytes | str] = []
        self.answered: Counter[str] = Counter()
        self.after: Callable[[int], None] = lambda count: None
        self.lock = threading.Lock()
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                with proxy.lock:
                    fault = proxy.faults.pop(0) if proxy.faults else None
                status, said = proxy.reply(body) if fault is None else _played(fault)
                self.send_response(status)
                if isinstance(fault, str):
                    self.send_header("Location", fault)
                self.send_header("Content-Length", str(len(said)))
                self.send_header("Retry-After", "0")
                self.end_headers()
                self.wfile.write(said)

            def log_message(self, *_: object) -> None:
                """Silent."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/v1"
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    def reply(self, body: bytes) -> tuple[int, bytes]:
        connection = HTTPConnection(urlsplit(self.behind).netloc, timeout=20)
        try:
            headers = {"Content-Type": "application/json"}
            connection.request("POST", "/v1/chat/completions", body, headers)
            response = connection.getresponse()
            said = response.read()
        except OSError:
            return 502, b""  # nobody is there
        finally:
            connection.close()
        if response.status == 200:
            with self.lock:
                self.answered[body.decode()] += 1
                self.after(self.answered.total())
        return response.status, said

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


def _played(fault: int | bytes | str) -> tuple[int, bytes]:
    if isinstance(fault, bytes):
        return 200, fault
    return (fault, b"{}") if isinstance(fault, int) else (307, b"")


@pytest.fixture
def proxy(monkeypatch: pytest.MonkeyPatch) -> Iterator[Proxy]:
    found = Proxy()
    monkeypatch.setenv("DATACHEF_LLM_BASE_URL", found.url)
    monkeypatch.setattr(
        Persistence,
        "__init__",
        lambda self: vars(self).update(attempts=4, first_wait=0.0, longest_wait=0.0),
    )
    yield found
    found.close()


@pytest.mark.slow
def test_a_server_is_killed_and_comes_back(
    vllm_installation: VLLMInstallation, proxy: Proxy, tmp_path: Path
) -> None:
    rows = [json.dumps({"text": f"Page {n} tells of rivers."}) for n in range(ROWS)]
    (tmp_path / "pages.jsonl").write_text("\n".join(rows))
    (tmp_path / "recipe.yaml").write_text(RECIPE)

    def run() -> pl.DataFrame:
        report = run_recipe(
            tmp_path / "recipe.yaml", tmp_path / "out", engine="inline", cache=tmp_path / "cache"
        )
        return pl.concat(map(pl.read_parquet, sorted((report.folder / "data").iterdir())))

    def serve() -> Any:
        model = vllm_installation.model
        return serving(vllm_installation.python, model, tmp_path / "server.log")

    with serve() as server:
        proxy.behind = server.url

        def leave(count: int) -> None:
            if count == 4:
                server.process.terminate()  # it ends its own children

        proxy.after = leave
        with pytest.raises(DatachefError) as caught:
            run()
        assert "what was answered is kept" in caught.value.hint
    kept = set(proxy.answered)
    assert 4 <= len(kept) < ROWS
    proxy.after = lambda count: None
    with serve() as server:
        proxy.behind = server.url
        proxy.faults = ["http://127.0.0.1:9/v1"]
        with pytest.raises(DatachefError, match="redirects"):
            run()
        proxy.faults = [429, b"{}", 503]
        made = run()
        assert made.height >= ROWS // 2
        assert made["judge_score"].is_between(0, 5).all()
        assert set(proxy.answered.values()) == {1}, "no answer was paid for twice"
        assert len(proxy.answered) == ROWS
        assert kept < set(proxy.answered)
        assert run().equals(made)
        assert proxy.answered.total() == ROWS

        services = Services({"openai": lambda: OpenAIBackend(proxy.url)}, tmp_path / "judged")
        judge = Judge(model="tiny", max_tokens=400)
        task = Task.model_validate({"name": "t", "benchmark": {"path": "unread.jsonl"}})
        sample = made.select("id", "source", "text").with_columns(pl.lit(1.0).alias("weight"))
        verified = Verifier([judge], services, task).verify(sample.head(2))
        assert len(verified.rows) == 2
        count = proxy.answered.total()
        assert Verifier([judge], services, task).verify(sample.head(2)) == verified
        assert proxy.answered.total() == count
