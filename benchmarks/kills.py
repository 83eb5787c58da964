"""Kills a run at random moments until it is done: nothing is lost, changed, or paid for twice.

    python benchmarks/kills.py [--kills 100] [--seed 1] [--most 12] [--work FOLDER]
        [--engine local|ray|shards]

A recipe of six phases (read and filter, rephrase, exact deduplication, questions and answers,
MinHash deduplication, mix) asks a scripted model server in this process. In each round a fresh
project is run again and again, alone or twice at a time on one output, and all its processes or a
single worker are killed (SIGKILL) at random moments, at most `--most` times. Then it is run to its
end, and the corpus must have the bytes of one that was made undisturbed, on the local engine. With
`--engine shards` two processes share each run (`--shard`), and are killed one at a time.

The server counts what it sent while the client was there. An answer is *kept* when it lies in the
cache, which is before anything uses it; a request for a kept answer is a failure. What was sent to
the last byte and not kept, because the kill fell between the two, is paid for again by anybody who
comes after; it is counted apart. Ends with exit code 1 on any failure, and prints the counts as
JSON.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import select
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import psutil

from datachef.core import LLMBackend, Request
from datachef.core.language_models.client import LLMClient

WORKER = "datachef.core.run.worker"
ALREADY = "is being written by"
DIED = "a worker died"
HEADLESS = "which writes the corpus"
ON_RAY = "ray::"
ENGINES = {"local": (), "ray": ("--engine", "ray"), "shards": ()}
PARTS = [("--shard-patience", "2", "--shard", f"{index}/2") for index in range(2)]

RECIPE = """
name: kills
seed: 5
sources:
  pages:
    path: pages-*.jsonl
    max_failed: 0
    steps: [{op: length_filter, min_chars: 12}]
  notes:
    path: notes-*.jsonl
    max_failed: 0
steps:
  - op: rephrase_text
    model: scripted
    max_concurrency: 4
  - op: exact_dedup
  - op: generate_question_answer_pairs
    model: scripted
    pairs: 2
    max_concurrency: 4
  - op: minhash_dedup
mix:
  op: weighted_mix
  weights: {pages: 0.6, notes: 0.4}
  budget: {rows: 100}
"""


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


@dataclass
class Storm:
    """How often something was started and killed until it was done."""

    kills: int = 0
    of_workers: int = 0
    starts: int = 0
    in_pairs: int = 0
    failures: list[str] = field(default_factory=list)


class Killer:
    """Runs a command again and again and kills it at random moments."""

    def __init__(
        self,
        command: Sequence[str],
        folder: Path,
        environment: Mapping[str, str],
        *,
        longest: float = 6.0,
        worker: str = WORKER,
        in_pairs: float = 0.25,
        parts: Sequence[Sequence[str]] = (),
    ) -> None:
        """A kill comes at most `longest` seconds after a start or the last kill; processes with
        `worker` on their command line are also killed alone; so large a share of the starts is
        twice at a time. The `parts` of a run that several processes share are the arguments of
        each."""
        self._command = list(command)
        self._folder = folder
        self._environment = {**os.environ, **environment}
        self._longest = longest
        self._worker = worker
        self._in_pairs = 0.0 if parts else in_pairs
        self._parts = list(parts) or [()]

    def until_done(self, kills: int, chance: random.Random) -> Storm:
        """Kills at most the given number of times, then lets the command end.

        A run may end by itself before, or give up because its workers were killed, or because
        another has its output; whatever else it ends with is a failure.
        """
        storm = Storm()
        while storm.kills < kills and not storm.failures:
            pair = chance.random() < self._in_pairs
            storm.in_pairs += pair
            running = self._start(storm) + (self._start(storm) if pair else [])
            while storm.kills < kills and any(run.poll() is None for run in running):
                self._wait(running, chance.uniform(0.0, self._longest))
                self._kill([run for run in running if run.poll() is None], storm, chance)
            ended = [self._end(run, storm) for run in running]
            if 0 in ended:
                return storm
        if not storm.failures and any(self._end(run, storm) for run in self._start(storm)):
            storm.failures.append("the run did not end well after the last kill")
        return storm

    def _start(self, storm: Storm) -> list[subprocess.Popen[str]]:
        storm.starts += 1
        return [
            subprocess.Popen(
                [*self._command, *part],
                cwd=self._folder,
                env=self._environment,
                start_new_session=True,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                text=True,
            )
            for part in self._parts
        ]

    @staticmethod
    def _wait(running: Sequence[subprocess.Popen[str]], seconds: float) -> None:
        until = time.monotonic() + seconds
        while time.monotonic() < until and any(run.poll() is None for run in running):
            time.sleep(0.01)

    def _kill(
        self, running: Sequence[subprocess.Popen[str]], storm: Storm, chance: random.Random
    ) -> None:
        if not running:
            return
        victim = chance.choice(running)
        family = _family(victim.pid)
        workers = [one for one in family[1:] if _is_worker(one, self._worker)]
        if workers and chance.random() < 0.4:
            family = [chance.choice(workers)]
            storm.of_workers += 1
        for process in family:
            with suppress(psutil.Error):
                process.send_signal(signal.SIGKILL)
        storm.kills += 1

    def _end(self, run: subprocess.Popen[str], storm: Storm) -> int:
        _, said = run.communicate()
        expected = run.returncode in (0, -signal.SIGKILL) or (
            run.returncode in (4, 5) and any(words in said for words in (ALREADY, DIED, HEADLESS))
        )
        if not expected:
            storm.failures.append(f"exit code {run.returncode}: {said[-2000:]}")
        return run.returncode


def _family(pid: int) -> list[psutil.Process]:
    """A process and all that it started; empty when it is gone."""
    try:
        parent = psutil.Process(pid)
        return [parent, *parent.children(recursive=True)]
    except psutil.Error:
        return []


def _is_worker(process: psutil.Process, worker: str) -> bool:
    """Whether a process is one of a work item: by a word of its command, or as Ray names it."""
    try:
        command = process.cmdline()
    except psutil.Error:
        return False
    title = "".join(command[:1])
    return worker in command or (title.startswith(ON_RAY) and "Agent" not in title)


def write_project(folder: Path, rows: int) -> None:
    """The recipe, and two sources of four files each, which share some texts."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "recipe.yaml").write_text(RECIPE)
    for name in ("pages", "notes"):
        for part in range(4):
            texts = [f"{name} {part} row {n} " + "word " * (n % 7) for n in range(rows)]
            texts += [f"a text that stands in every file, number {n}" for n in range(3)]
            lines = "".join(json.dumps({"text": text}) + "\n" for text in [*texts, "short"])
            (folder / f"{name}-{part}.jsonl").write_text(lines)


def command(folder: Path) -> list[str]:
    """The command that runs the recipe of a project."""
    return [
        sys.executable, "-P", "-m", "datachef.core.cli", "run", str(folder / "recipe.yaml"),
        "--output", str(folder / "out"), "--cache", str(folder / "cache"), "--workers", "2",
    ]  # fmt: skip


def bytes_of(corpus: Path) -> dict[str, str]:
    """The digest of every file of a corpus, by its path within, but of the one with the times."""
    return {
        str(path.relative_to(corpus)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(corpus.rglob("*"))
        if path.is_file() and path.name != "effort.json"
    }


def _no_backend() -> LLMBackend:
    raise AssertionError("only the cache is looked at")


def main(arguments: Sequence[str] | None = None) -> int:
    options = _options(arguments)
    chance = random.Random(options.seed)
    total: Counter[str] = Counter()
    failures: list[str] = []
    work = Path(options.work or tempfile.mkdtemp(prefix="kills-"))
    server = ScriptedServer(options.slowest)
    with serving(server) as url:
        environment = {
            "DATACHEF_LLM_BASE_URL": url, "OMP_NUM_THREADS": "1", "POLARS_MAX_THREADS": "1",
        }  # fmt: skip
        calm = work / "calm"
        write_project(calm, options.rows)
        subprocess.run(
            command(calm), cwd=calm, env=os.environ | environment, check=True,
            stdout=subprocess.DEVNULL,
        )  # fmt: skip
        expected, wanted = bytes_of(calm / "out"), server.sent
        if set(wanted.values()) != {1}:
            failures.append("the undisturbed run paid for an answer twice")
        while total["kills"] < options.kills and not failures:
            folder = work / f"round-{total['rounds']}"
            write_project(folder, options.rows)
            server.sent = Counter()
            server.client = LLMClient("openai", _no_backend, folder / "cache" / "llm")
            killer = Killer(
                [*command(folder), *ENGINES[options.engine]], folder, environment,
                longest=options.longest, parts=PARTS if options.engine == "shards" else (),
            )  # fmt: skip
            most = min(options.most, options.kills - total["kills"])
            storm = killer.until_done(most, chance)
            failures += storm.failures
            if not storm.failures:
                failures += _differences(expected, bytes_of(folder / "out"))
                failures += [f"left over: {p}" for p in folder.glob(".out.*")]
                if set(server.sent) != set(wanted):
                    failures.append("other answers were asked for than undisturbed")
            total.update({key: n for key, n in asdict(storm).items() if key != "failures"})
            total["rounds"] += 1
            total["answers"] += len(server.sent)
            total["sent_but_not_kept"] += sum(server.sent.values()) - len(server.sent)
            print(json.dumps(total), file=sys.stderr, flush=True)
    if server.asked_though_kept:
        failures.append(f"{server.asked_though_kept} answers were asked for though they were kept")
    print(json.dumps({**total, "paid_twice": server.asked_though_kept, "failures": failures}))
    return 1 if failures else 0


def _differences(one: Mapping[str, str], other: Mapping[str, str]) -> list[str]:
    return [f"{name} differs" for name in sorted(one.keys() | other.keys())
            if one.get(name) != other.get(name)]  # fmt: skip


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--most", type=int, default=12, help="kills in a round")
    parser.add_argument("--engine", choices=ENGINES, default="local")
    parser.add_argument("--rows", type=int, default=10, help="rows of each file")
    parser.add_argument("--longest", type=float, default=6.0, help="seconds between kills")
    parser.add_argument("--slowest", type=float, default=0.4, help="seconds for an answer")
    parser.add_argument("--work", help="folder to work in; a temporary one by default")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
