"""Slurm's own daemons as a cluster of one node, this machine, and what is in its queue."""

from __future__ import annotations

import getpass
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest.mock import patch

import psutil

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


def slurm_is_installed() -> bool:
    return all(map(shutil.which, DAEMONS))


@contextmanager
def slurm_cluster(folder: Path) -> Iterator[None]:
    """The daemons, with a configuration of their own; no array is larger than 3 tasks."""
    host = socket.gethostname().partition(".")[0]
    (folder / "state").mkdir()
    (folder / "spool").mkdir()
    config = folder / "slurm.conf"
    config.write_text(
        CONFIG.format(folder=folder, host=host, user=getpass.getuser(), ports=free_ports())
    )
    with patch.dict(os.environ, {"SLURM_CONF": str(config)}):
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
