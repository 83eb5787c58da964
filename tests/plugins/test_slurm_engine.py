"""The Slurm engine keeps the contract of engines, on a real Slurm of one node: this machine."""

from __future__ import annotations

import getpass
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
from crawl import FILES, Crawl

from datachef.core import DatachefError, Engine, WorkerConfig
from datachef.core.testing import EngineContract
from datachef.plugins.engines import slurm_engine
from datachef.plugins.engines.slurm_engine import SlurmEngine

DAEMONS = ("slurmctld", "slurmd")
CONFIG = """
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/none
CredType=cred/none
SlurmctldPort={ports[0]}
SlurmdPort={ports[1]}
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
MpiDefault=none
ReturnToService=2
MaxArraySize=3
JobRequeue=1
KillWait=1
SchedulerParameters=sched_interval=1,batch_sched_delay=0
NodeName={host} NodeAddr=127.0.0.1 CPUs=2 State=UNKNOWN
PartitionName=main Nodes={host} Default=YES State=UP
"""


def until(condition: Callable[[], object], seconds: float = 120.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not come to pass"
        time.sleep(0.1)


def free_ports() -> list[int]:
    taken = [socket.create_server(("127.0.0.1", 0)) for _ in range(2)]
    ports = [server.getsockname()[1] for server in taken]
    for server in taken:
        server.close()
    return ports


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Slurm's own daemons, with a configuration of their own; no array is larger than 3 tasks."""
    if not all(map(shutil.which, DAEMONS)):
        pytest.skip("Slurm is not installed: the Debian packages slurmctld, slurmd, slurm-client")
    folder = tmp_path_factory.mktemp("slurm")
    host = socket.gethostname().partition(".")[0]
    (folder / "state").mkdir()
    (folder / "spool").mkdir()
    config = folder / "slurm.conf"
    config.write_text(
        CONFIG.format(folder=folder, host=host, user=getpass.getuser(), ports=free_ports())
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SLURM_CONF", str(config))
        daemons = []
        for name in DAEMONS:
            command = [name, "-D", *(["-N", host] if name == "slurmd" else [])]
            with (folder / f"{name}.log").open("wb") as log:
                daemons.append(subprocess.Popen(command, stdout=log, stderr=log))
        try:
            until(lambda: "idle" in slurm("sinfo", "--noheader", "--format=%T"))
            yield
        finally:
            for daemon in reversed(daemons):
                daemon.terminate()
                daemon.wait()


pytestmark = [
    pytest.mark.slow,
    pytest.mark.usefixtures("cluster"),
    pytest.mark.xdist_group("slurm"),
]


def slurm(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout


def array_tasks(folder: Path) -> dict[int, psutil.Process]:
    """The processes of array tasks of runs in the folder, by their numbers."""
    found = {}
    for process in psutil.process_iter(["cmdline"]):
        words = process.info["cmdline"] or []
        if any("engines.array_task" in word for word in words) and str(folder) in " ".join(words):
            found[int(words[-2])] = process
    return found


class TestSlurmEngine(EngineContract):
    steps = [{"op": "exact_dedup"}]  # noqa: RUF012 - as the contract has it

    def engine(self, config: WorkerConfig) -> Engine:
        return SlurmEngine(config, 2)


def test_killed_and_requeued_tasks_lose_nothing_and_nothing_finished_is_done_again(
    crawl: Crawl,
) -> None:
    expected = crawl.run("alone", "--workers", "1")
    crawl.units_done()
    options = ("--engine", "slurm", "--partition", "main", "--workers", "2")
    running = crawl.start("slurm", *options)
    until(lambda: crawl.results("slurm") and set(array_tasks(crawl.folder)) == {0, 1})
    (job,) = set(slurm("squeue", "--noheader", "--format=%F").split())
    slurm("scontrol", "requeue", f"{job}_1")  # as preemption does
    array_tasks(crawl.folder)[0].send_signal(signal.SIGKILL)
    _, said = running.communicate()
    assert running.returncode == 0, said
    assert "ended before it was done (attempt 1 of 2" in said
    assert crawl.digests("slurm") == expected
    assert FILES <= len(crawl.units_done()) <= FILES + 2  # two were being done


def test_an_interrupted_run_leaves_nothing_in_the_queue(crawl: Crawl) -> None:
    running = crawl.start("stopped", "--engine", "slurm", "--workers", "7")
    until(lambda: array_tasks(crawl.folder))
    assert max(array_tasks(crawl.folder)) < 3, "no array is larger than the site allows"
    running.send_signal(signal.SIGINT)
    running.communicate()
    assert running.returncode == 130
    until(lambda: not slurm("squeue", "--noheader"))
    assert not crawl.output("stopped").exists()


def test_a_task_that_always_ends_says_where_its_log_is(
    crawl: Crawl, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(slurm_engine.sys, "executable", "/no/python")
    monkeypatch.setattr(slurm_engine, "_GRACE", 1.0)
    items = TestSlurmEngine()._items(tmp_path)[:1]
    engine = SlurmEngine(WorkerConfig((), tmp_path / "cache"), 1)
    with pytest.raises(DatachefError, match=r"pages_0.*attempt 2 of 2; .*ExitCode 127") as failed:
        list(engine.map(items, lambda *_: None))
    assert "0.log" in failed.value.hint and "/no/python" in failed.value.hint
