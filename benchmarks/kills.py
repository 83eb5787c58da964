"""Kills a run at random moments until it is done: nothing is lost, changed, or paid for twice.

    python benchmarks/kills.py [--kills 100] [--seed 1] [--most 12] [--work FOLDER]
        [--engine local|ray|shards|slurm] [--store]

A recipe of six phases (read and filter, rephrase, exact deduplication, questions and answers,
MinHash deduplication, mix) asks a scripted model server in this process. In each round a fresh
project is run again and again, alone or twice at a time on one output, and all its processes or a
single worker are killed (SIGKILL) at random moments, at most `--most` times. Then it is run to its
end, and the corpus must have the bytes of one that was made undisturbed, on the local engine. With
`--engine shards` two processes share each run (`--shard`), and are killed one at a time. With
`--engine slurm` tasks of job arrays are killed, which outlive a run that is; Slurm's daemons have
to be installed. With `--store` cache and corpus are in a bucket of a real server of S3, which is
killed as well, comes back after a while, and may end a run with exit code 5.

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
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
from servers import ScriptedServer, serving, slurm_daemons, slurm_tasks, store_server

from datachef.core import LLMBackend
from datachef.core.files.object_folder import ObjectFolder
from datachef.core.language_models.client import LLMClient

if TYPE_CHECKING:
    from object_store import ObjectStoreServer

WORKER = "datachef.core.run.worker"
BUCKET = "results"
ALREADY = "is being written by"
DIED = "a worker died"
ENDED = "ended before it was done"
HEADLESS = "which writes the corpus"
ON_RAY = "ray::"
ENGINES = {
    "local": (),
    "ray": ("--engine", "ray"),
    "shards": (),
    "slurm": ("--engine", "slurm", "--partition", "main"),
}
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


@dataclass
class Storm:
    """How often something was started and killed until it was done."""

    kills: int = 0
    of_workers: int = 0
    of_the_store: int = 0
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
        workers: Callable[[int], list[psutil.Process]] | None = None,
        in_pairs: float = 0.25,
        parts: Sequence[Sequence[str]] = (),
        store: ObjectStoreServer | None = None,
    ) -> None:
        """A kill comes at most `longest` seconds after a start or the last kill; the `workers` of
        the run with a process number are also killed alone, by default those that it started; so
        large a share of the starts is twice at a time. The `parts` of a run that several processes
        share are the arguments of each. A `store` is killed as often as the runs are, and comes
        back soon."""
        self._store = store
        self._command = list(command)
        self._folder = folder
        self._environment = {**os.environ, **environment}
        self._longest = longest
        self._workers_of = workers or _workers_below
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
            if 0 in ended and -signal.SIGKILL not in ended:
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
        storm.kills += 1
        if self._store is not None and chance.random() < 0.5:
            storm.of_the_store += 1
            self._store.kill()
            time.sleep(chance.uniform(0.0, 3.0))
            self._store.start()
            return
        victim = chance.choice(running)
        family = _family(victim.pid)
        if chance.random() < 0.4 and (workers := self._workers(victim)):
            family = [chance.choice(workers)]
            storm.of_workers += 1
        for process in family:
            with suppress(psutil.Error):
                process.send_signal(signal.SIGKILL)

    def _workers(self, run: subprocess.Popen[str]) -> list[psutil.Process]:
        """The workers of a run, as soon as it has some; none where that takes too long."""
        found: list[psutil.Process] = []
        until = time.monotonic() + self._longest
        while not found and run.poll() is None and time.monotonic() < until:
            time.sleep(0.01)
            found = self._workers_of(run.pid)
        return found

    def _end(self, run: subprocess.Popen[str], storm: Storm) -> int:
        _, said = run.communicate()
        told = any(words in said for words in (ALREADY, DIED, ENDED, HEADLESS))
        gone = self._store is not None and run.returncode == 5
        expected = run.returncode in (0, -signal.SIGKILL) or gone
        expected = expected or (run.returncode in (4, 5) and told)
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


def _workers_below(pid: int) -> list[psutil.Process]:
    """The processes of work items that a process started."""
    return [one for one in _family(pid)[1:] if _is_worker(one)]


def _is_worker(process: psutil.Process) -> bool:
    """Whether a process is one of a work item: by a word of its command, or as Ray names it."""
    try:
        command = process.cmdline()
    except psutil.Error:
        return False
    title = "".join(command[:1])
    return WORKER in command or (title.startswith(ON_RAY) and "Agent" not in title)


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


class Location:
    """Where a run keeps its cache and its corpus: a folder of this machine."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.root = str(folder)

    def command(self, engine: Sequence[str] = ()) -> list[str]:
        """The command that runs the recipe of the project in the folder."""
        return [
            sys.executable, "-P", "-m", "datachef.core.cli", "run",
            str(self.folder / "recipe.yaml"), "--output", f"{self.root}/out",
            "--cache", f"{self.root}/cache", "--workers", "2", *engine,
        ]  # fmt: skip

    def client(self) -> LLMClient:
        """A client that knows the answers that are kept."""
        return LLMClient("openai", _no_backend, self.folder / "cache" / "llm")

    def digests(self) -> dict[str, str]:
        """The digest of every file of the corpus, by its path within, but of the one with the
        times."""
        corpus = self.folder / "out"
        return {
            str(path.relative_to(corpus)): _digest(path.read_bytes())
            for path in sorted(corpus.rglob("*"))
            if path.is_file() and path.name != "effort.json"
        }

    def expected(self, undisturbed: Mapping[str, str]) -> dict[str, str]:
        """What these digests have to be, by those of a run that nobody disturbed."""
        return dict(undisturbed)

    def left(self) -> list[str]:
        """What was not cleared away."""
        return [str(path) for path in self.folder.glob(".out.*")]


class LocationInStore(Location):
    """A place in a bucket: of the corpus its data and its ledger are looked at, by file names."""

    def __init__(self, folder: Path, store: ObjectStoreServer) -> None:
        super().__init__(folder)
        self.root = f"s3://{BUCKET}/{folder.name}"
        self._store = store

    def client(self) -> LLMClient:
        local = self.folder / "known"
        kept = ObjectFolder(f"{self.root}/cache", local)
        return LLMClient("openai", _no_backend, local / "llm", shared=kept)

    def digests(self) -> dict[str, str]:
        files = self._store.corpus(BUCKET, f"{self.folder.name}/out")
        return {name: _digest(content) for name, content in files.items()}

    def expected(self, undisturbed: Mapping[str, str]) -> dict[str, str]:
        named = {name: digest for name, digest in undisturbed.items() if name.startswith("data/")}
        return {name.removeprefix("data/"): d for name, d in named.items()} | {
            "ledger.json": undisturbed["ledger.json"]
        }

    def left(self) -> list[str]:
        return []


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _no_backend() -> LLMBackend:
    raise AssertionError("only the cache is looked at")


def main(arguments: Sequence[str] | None = None) -> int:
    options = _options(arguments)
    chance = random.Random(options.seed)
    total: Counter[str] = Counter()
    failures: list[str] = []
    work = Path(options.work or tempfile.mkdtemp(prefix="kills-"))
    work.mkdir(exist_ok=True)
    server = ScriptedServer(options.slowest)
    with ExitStack() as stack:
        store = stack.enter_context(store_server(work)) if options.store else None
        if options.engine == "slurm":
            stack.enter_context(slurm_daemons(work))
        environment = {
            "DATACHEF_LLM_BASE_URL": stack.enter_context(serving(server)),
            "OMP_NUM_THREADS": "1",
            "POLARS_MAX_THREADS": "1",
        }
        if store is not None:  # for this process too, which looks at what is kept
            os.environ.update(store.environment)
        undisturbed = Location(work / "undisturbed")
        write_project(undisturbed.folder, options.rows)
        subprocess.run(
            undisturbed.command(), cwd=undisturbed.folder, env=os.environ | environment, check=True,
            stdout=subprocess.DEVNULL,
        )  # fmt: skip
        digests, wanted = undisturbed.digests(), server.sent
        if set(wanted.values()) != {1}:
            failures.append("the undisturbed run paid for an answer twice")
        while total["kills"] < options.kills and not failures:
            folder = work / f"round-{total['rounds']}"
            write_project(folder, options.rows)
            location = LocationInStore(folder, store) if store else Location(folder)
            server.sent, server.client = Counter(), location.client()
            killer = Killer(
                location.command(ENGINES[options.engine]), folder, environment,
                longest=options.longest, parts=PARTS if options.engine == "shards" else (),
                store=store,
                workers=slurm_tasks(folder) if options.engine == "slurm" else None,
            )  # fmt: skip
            most = min(options.most, options.kills - total["kills"])
            storm = killer.until_done(most, chance)
            failures += storm.failures
            if not storm.failures:
                failures += _differences(location.expected(digests), location.digests())
                failures += [f"left over: {each}" for each in location.left()]
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
    parser.add_argument("--store", action="store_true", help="in a bucket, whose server is killed")
    parser.add_argument("--rows", type=int, default=10, help="rows of each file")
    parser.add_argument("--longest", type=float, default=6.0, help="seconds between kills")
    parser.add_argument("--slowest", type=float, default=0.4, help="seconds for an answer")
    parser.add_argument("--work", help="folder to work in; a temporary one by default")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
