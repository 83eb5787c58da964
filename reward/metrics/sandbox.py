"""Runs a stranger's program in a process of its own, held back as far as the system allows.

Everywhere: a new session in an empty folder that is deleted afterwards, no environment, no input or
output, limits on time, memory and the size of files. On Linux also: no network and no sockets, no
other process started, signalled or looked into, no writing outside of the folder, no reading but of
Python and the system's libraries (seccomp on x86-64 and ARM, Landlock from kernel 5.13).
`confinement` tries out what holds here. It is a wall against accidents and mischief of generated
code, no virtual machine: whoever must expect attacks runs the whole evaluation in one.
"""

from __future__ import annotations

import json
import os
import secrets
import signal
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType

from datachef.core.child_process import start
from datachef.core.errors import DatachefError

_CHILD = Path(__file__).with_name("sandbox_child.py")
# Not -I, which would ignore the hash seed: a test that depends on the order of a set has to end
# the same way each time.
_FLAGS = ("-s", "-B")
_ENVIRONMENT = {"PYTHONHASHSEED": "0", "PYTHONUTF8": "1", "OPENBLAS_NUM_THREADS": "1"}


@dataclass(frozen=True)
class Limits:
    """What a program may use: seconds of processor time and of the clock, bytes of memory and of
    each file.

    Processor time is what decides; the clock, which a busy machine distorts, stops what sleeps.
    """

    cpu_seconds: int = 30
    clock_seconds: float = 120.0
    memory: int = 2 << 30
    file_bytes: int = 16 << 20


@dataclass(frozen=True)
class Outcome:
    """How a program ended; `reason` is empty when it passed, else an exception or what ended it."""

    passed: bool
    reason: str = ""


def run_program(program: str, limits: Limits | None = None) -> Outcome:
    """Runs Python source as `__main__`; it passes when it runs to its end.

    An exception, an exit before the end (with whatever status) and a limit are failures.
    Raises `DatachefError` on a system that cannot limit processes.
    """
    if os.name != "posix":
        raise DatachefError(
            "running code needs limits on processes, which this system does not have",
            hint="evaluate on Linux or macOS",
        )
    limits = limits or Limits()
    token = secrets.token_hex(16)
    with (
        tempfile.TemporaryDirectory(prefix="datachef-", ignore_cleanup_errors=True) as folder,
        tempfile.TemporaryFile() as verdict,
    ):
        job = {"program": program, "token": token, "verdict": verdict.fileno(), **asdict(limits)}
        child = start(
            [str(_CHILD)],
            flags=_FLAGS,
            environment={**_ENVIRONMENT, "TMPDIR": folder},
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd=folder,
            pass_fds=(verdict.fileno(),),
        )
        try:
            child.process.communicate(json.dumps(job).encode(), timeout=limits.clock_seconds)
        except subprocess.TimeoutExpired:
            return Outcome(False, "too much time")
        finally:
            status = child.end()
        verdict.seek(0)
        said = verdict.read(200).decode(errors="replace")
    if said == token:
        return Outcome(True)
    if status == -signal.SIGXCPU:
        return Outcome(False, "too much processor time")
    return Outcome(False, said or f"ended early with status {status}")


_ATTEMPTS = {
    "network": "import socket; socket.socket(socket.AF_INET, socket.SOCK_DGRAM)",
    "processes": "import os; os.fork() or os._exit(0)",
    "signals": "import os; os.kill(os.getppid(), 0)",
    "files": "open({outside!r}, 'w')",
    "reading": "import os; os.listdir({home!r})",
}


@lru_cache(maxsize=1)
def confinement() -> Mapping[str, bool]:
    """What a program is kept from here, found out by trying once.

    The names are network, processes (starting any), signals (to others), files (written outside of
    its folder) and reading (of the home folder). Raises `DatachefError` where nothing can be run.
    """
    if not (trial := run_program("pass")).passed:
        raise DatachefError(f"a program that does nothing cannot be run here: {trial.reason}")
    with tempfile.TemporaryDirectory(prefix="datachef-") as folder:
        places = {"outside": f"{folder}/file", "home": str(Path.home())}
        held = {
            name: not run_program(attempt.format(**places)).passed
            for name, attempt in _ATTEMPTS.items()
        }
    return MappingProxyType(held)
