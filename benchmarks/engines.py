"""The same recipe on every engine: the same bytes, and how long it takes.

    python benchmarks/engines.py [--engines local:1,local:2,ray:2] [--runs 5] [--gigabytes 0.3]
        [--store]

FineWeb's steps over the web pages of `scale.py`, with cache and corpus in a folder, or with
`--store` pages, cache and corpus in buckets of a real server of S3 on this machine. Engines take
turns, every run is a whole command with an empty cache, and medians count. `ray:N` and `dask:N` ask
a cluster of that many cores that runs already, as one at work does, `slurm:N` Slurm's own daemons,
which have to be installed, and `shards:N` are that many commands over one cache. Prints seconds,
the efficiency (the time on one core, by the same engine where `ray:1` is asked for too, over cores
times that of the engine), the ratio to the local engine on as many cores, and whether the corpus
has the bytes of `local:1`. Run it on a machine that does nothing else.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

from scale import pages
from servers import slurm_daemons, store_server
from throughput import FINEWEB

if TYPE_CHECKING:
    from object_store import ObjectStoreServer

CHEF = [sys.executable, "-P", "-m", "datachef.core.cli", "run"]
# Every process computes with one thread, on any engine: cores are what is compared.
THREADS = {"OMP_NUM_THREADS": "1", "POLARS_MAX_THREADS": "1", "RAY_USAGE_STATS_ENABLED": "0",
           "RAY_AUTH_MODE": "disabled"}  # fmt: skip


class Engine:
    """An engine on a number of cores; its cluster, if it has one, is up while it is `ready`."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.kind, _, cores = name.partition(":")
        self.cores = int(cores)

    def commands(self, address: str) -> list[list[str]]:
        """The arguments of each command that takes part in a run."""
        if self.kind == "shards":
            return [["--workers", "1", "--shard", f"{n}/{self.cores}"] for n in range(self.cores)]
        chosen = [] if self.kind == "local" else ["--engine", self.kind]
        where = ["--address", address] if address else []
        return [["--workers", str(self.cores), *chosen, *where]]

    @contextmanager
    def ready(self) -> Iterator[str]:
        """The address of the cluster, empty where none is needed."""
        if self.kind == "ray":
            port = _free_port()
            program = str(Path(sys.executable).with_name("ray"))
            _quietly(program, "start", "--head", f"--num-cpus={self.cores}", f"--port={port}",
                     "--include-dashboard=false", "--disable-usage-stats")  # fmt: skip
            try:
                yield f"127.0.0.1:{port}"
            finally:
                _quietly(program, "stop", "--force")
        elif self.kind == "dask":
            from distributed import LocalCluster

            with LocalCluster(
                n_workers=self.cores, threads_per_worker=1, dashboard_address=None
            ) as cluster:
                yield cluster.scheduler_address
        elif self.kind == "slurm":
            with tempfile.TemporaryDirectory() as folder, slurm_daemons(Path(folder)):
                yield ""
        else:
            yield ""


class Workspace:
    """Where pages, cache and corpus are: in a folder, or in buckets."""

    def __init__(self, work: Path, store: ObjectStoreServer | None, gigabytes: float) -> None:
        self.work = work
        self._store = store
        self._runs = 0
        folder = work / "pages"
        folder.mkdir()
        pages(folder, gigabytes)
        if store is not None:
            for file in folder.iterdir():
                store.bucket("data").put(f"pages/{file.name}", file.read_bytes())
        source = "s3://data/pages/*.jsonl" if store else f"{work}/pages/*.jsonl"
        (work / "recipe.yaml").write_text(FINEWEB.format(input=json.dumps(source)))

    def fresh(self) -> str:
        """A place for a run, with nothing in it."""
        self._runs += 1
        return f"s3://results/{self._runs}" if self._store else f"{self.work}/{self._runs}"

    def digest(self, place: str) -> str:
        """The digest of the data and the ledger of a run, which is removed."""
        found = hashlib.sha256()
        if self._store is None:
            folder = Path(place) / "out"
            files = [*sorted((folder / "data").iterdir()), folder / "ledger.json"]
            for file in files:
                found.update(file.read_bytes())
            shutil.rmtree(place)
            return found.hexdigest()
        run = place.rpartition("/")[2]
        for _, content in sorted(self._store.corpus("results", f"{run}/out").items()):
            found.update(content)
        bucket = self._store.bucket("results")
        for name in self._store.names("results", run):
            bucket.delete(f"{run}/{name}")
        return found.hexdigest()


def run(engine: Engine, workspace: Workspace) -> tuple[float, str]:
    """The seconds of a run, and the digest of what it gave."""
    fresh = workspace.fresh()
    with engine.ready() as address:
        started = time.perf_counter()
        running = [
            subprocess.Popen(
                [*CHEF, str(workspace.work / "recipe.yaml"), "--quiet", "--output", f"{fresh}/out",
                 "--cache", f"{fresh}/cache", *arguments],
                stdout=subprocess.DEVNULL,
            )
            for arguments in engine.commands(address)
        ]  # fmt: skip
        ended = [each.wait() for each in running]
        seconds = time.perf_counter() - started
    if any(ended):
        sys.exit(f"{engine.name} ended with {ended}")
    return seconds, workspace.digest(fresh)


def _ratio(ones: list[float], others: list[float]) -> float:
    """The median of the ratios of each turn: how fast a machine is may change between turns."""
    return median(one / other for one, other in zip(ones, others, strict=True))


def _quietly(*command: str) -> None:
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--engines", default="local:1,local:2,local:4,ray:2,ray:4,shards:2,dask:2")
    parser.add_argument("--runs", type=int, default=3, help="of each engine")
    parser.add_argument("--gigabytes", type=float, default=0.3, help="of text")
    parser.add_argument("--store", action="store_true", help="in buckets of a server of S3")
    parser.add_argument("--work", type=Path, help="a folder; a temporary one by default")
    options = parser.parse_args()
    names = options.engines.split(",")
    engines = [Engine(name) for name in dict.fromkeys(["local:1", *names])]
    os.environ.update(THREADS)
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # what is installed starts with its bytecode
    seconds: dict[str, list[float]] = defaultdict(list)
    digests: dict[str, set[str]] = defaultdict(set)
    with ExitStack() as stack:
        work = Path(stack.enter_context(tempfile.TemporaryDirectory(dir=options.work)))
        store = None
        if options.store:
            (work / "server").mkdir()
            store = stack.enter_context(store_server(work / "server"))
            os.environ.update(store.environment)
        workspace = Workspace(work, store, options.gigabytes)
        for number in range(options.runs):
            for engine in engines:
                took, digest = run(engine, workspace)
                seconds[engine.name].append(took)
                digests[engine.name].add(digest)
                print(f"{number + 1} {engine.name}: {took:.1f} s", file=sys.stderr, flush=True)
    print("| engine | seconds | least to most | efficiency | to local | same bytes |")
    print("|---|--:|--:|--:|--:|---|")
    expected = digests["local:1"]
    for engine in engines:
        found = seconds[engine.name]
        alone = seconds.get(f"{engine.kind}:1", seconds["local:1"])
        efficiency = _ratio(alone, found) / engine.cores
        local = seconds.get(f"local:{engine.cores}")
        ratio = f"{_ratio(found, local):.2f}" if local else ""
        same = "yes" if digests[engine.name] == expected and len(expected) == 1 else "no"
        print(
            f"| {engine.name} | {median(found):.1f} | {min(found):.1f}-{max(found):.1f} "
            f"| {efficiency:.2f} | {ratio} | {same} |"
        )
    if len(set().union(*digests.values())) > 1:
        sys.exit("engines gave other bytes")


if __name__ == "__main__":
    main()
