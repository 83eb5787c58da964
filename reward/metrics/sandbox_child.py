"""The process behind `run_program`: puts up its walls, then runs the program inside of them.

Run as a script, so that nothing but the standard library is loaded. A wall that the system does not
offer is left out; `sandbox.confinement` tells.
"""

from __future__ import annotations

import ctypes
import json
import os
import platform
import resource
import struct
import sys
import types
from collections.abc import Iterable
from contextlib import suppress
from typing import Any

EPERM, ENOSYS = 1, 38

# Numbers from the kernel's asm/unistd_64.h and asm-generic/unistd.h.
_COMMON = {
    "pidfd_send_signal": 424, "io_uring_setup": 425, "pidfd_open": 434, "pidfd_getfd": 438,
    "fchmodat2": 452,
}  # fmt: skip
_REFUSED: dict[str, dict[str, int]] = {
    "x86_64": _COMMON | {
        "socket": 41, "fork": 57, "vfork": 58, "execve": 59, "execveat": 322, "kill": 62,
        "tkill": 200, "tgkill": 234, "rt_sigqueueinfo": 129, "rt_tgsigqueueinfo": 297,
        "ptrace": 101, "process_vm_readv": 310, "process_vm_writev": 311, "setrlimit": 160,
        "prlimit64": 302, "unshare": 272, "setns": 308, "shmget": 29, "semget": 64, "msgget": 68,
        "mq_open": 240, "add_key": 248, "request_key": 249, "keyctl": 250, "chmod": 90,
        "fchmod": 91, "fchmodat": 268, "chown": 92, "fchown": 93, "lchown": 94, "fchownat": 260,
    },
    "aarch64": _COMMON | {
        "socket": 198, "execve": 221, "execveat": 281, "kill": 129, "tkill": 130, "tgkill": 131,
        "rt_sigqueueinfo": 138, "rt_tgsigqueueinfo": 240, "ptrace": 117, "process_vm_readv": 270,
        "process_vm_writev": 271, "setrlimit": 164, "prlimit64": 261, "unshare": 97, "setns": 268,
        "shmget": 194, "semget": 190, "msgget": 186, "mq_open": 180, "add_key": 217,
        "request_key": 218, "keyctl": 219, "fchmod": 52, "fchmodat": 53, "fchown": 55,
        "fchownat": 54,
    },
}  # fmt: skip
_ARCHITECTURE = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
_CLONE = {"x86_64": 56, "aarch64": 220}
_CLONE3, _CLONE_THREAD, _X32 = 435, 0x00010000, 0x40000000
_READ_ONLY = (
    "/usr", "/lib", "/lib64", "/bin", "/etc/ld.so.cache", "/etc/localtime", "/dev/urandom",
)  # fmt: skip


def main(job: dict[str, Any]) -> None:
    """Runs the program of a job and writes the token, or what went wrong, to the verdict's file."""
    verdict, token = job["verdict"], job["token"]
    limit(job["cpu_seconds"], job["memory"], job["file_bytes"])
    confine()
    write, leave = os.write, os._exit
    module = types.ModuleType("__main__")
    sys.modules["__main__"] = module
    sys.argv = ["program.py"]
    try:
        code = compile(job.pop("program"), "program.py", "exec", dont_inherit=True)
        exec(code, module.__dict__)  # noqa: S102 - this is what the walls are for
        said = token
    except BaseException as error:  # noqa: BLE001 - an exit is no pass
        said = type(error).__name__
    write(verdict, said.encode()[:100])
    leave(0)


def limit(cpu_seconds: int, memory: int, file_bytes: int) -> None:
    """Sets limits on processor time, memory, files and, where no wall does it, processes."""
    limits = {
        resource.RLIMIT_CPU: cpu_seconds,
        resource.RLIMIT_AS: memory,
        resource.RLIMIT_FSIZE: file_bytes,
        resource.RLIMIT_NOFILE: 64,
        resource.RLIMIT_CORE: 0,
    }
    if not _can_refuse_calls():
        limits[resource.RLIMIT_NPROC] = 0
    for kind, most in limits.items():
        with suppress(ValueError, OSError):
            resource.setrlimit(kind, (most, most + (kind == resource.RLIMIT_CPU)))


def confine() -> None:
    """Gives up the rights of root, and whatever the kernel lets a process give up."""
    if not sys.platform.startswith("linux"):
        return
    libc = ctypes.CDLL(None, use_errno=True)
    no_new_privileges = 38
    libc.prctl(no_new_privileges, 1, 0, 0, 0)
    capabilities = struct.pack("II", 0x20080522, 0)
    libc.capset(capabilities, bytes(24))
    read_only = [*_READ_ONLY, sys.prefix, sys.base_prefix]
    _confine_files(libc, read_only, [os.getcwd()])  # noqa: PTH109 - pathlib is slow to load
    _refuse_calls(libc)


def _confine_files(libc: ctypes.CDLL, read_only: Iterable[str], writable: Iterable[str]) -> None:
    """Landlock: files can be read under some folders, written under others, and nothing else."""
    create_ruleset, add_rule, restrict_self = 444, 445, 446
    version = libc.syscall(create_ruleset, None, 0, 1)
    if version < 1:
        return
    every = (1 << (13 if version == 1 else 14 if version == 2 else 15)) - 1
    read = 1 << 0 | 1 << 2 | 1 << 3
    of_files = 1 << 0 | 1 << 1 | 1 << 2 | 1 << 14
    attributes = struct.pack("Q", every)
    ruleset = libc.syscall(create_ruleset, attributes, len(attributes), 0)
    if ruleset < 0:
        return
    rules = [(path, read) for path in read_only] + [(path, every) for path in writable]
    for path, access in [*rules, ("/dev/null", every)]:
        with suppress(OSError):
            place = os.open(path, os.O_PATH | os.O_CLOEXEC)
            if not os.path.isdir(path):  # noqa: PTH112 - pathlib is slow to load
                access &= of_files & every  # noqa: PLW2901
            libc.syscall(add_rule, ruleset, 1, struct.pack("=QI", access, place), 0)
            os.close(place)
    libc.syscall(restrict_self, ruleset, 0)
    os.close(ruleset)


def _can_refuse_calls() -> bool:
    return sys.platform.startswith("linux") and platform.machine() in _REFUSED


def _refuse_calls(libc: ctypes.CDLL) -> None:
    """seccomp: refuses sockets, processes, signals and the like; threads of its own stay."""
    if not _can_refuse_calls():
        return
    machine = platform.machine()
    load, jump_equal, jump_at_least, jump_any, answer = 0x20, 0x15, 0x35, 0x45, 0x06
    allow, kill, fail = 0x7FFF0000, 0x80000000, 0x00050000
    program = [
        (load, 0, 0, 4),
        (jump_equal, 1, 0, _ARCHITECTURE[machine]),
        (answer, 0, 0, kill),
        (load, 0, 0, 0),
    ]
    for number in sorted(_REFUSED[machine].values()):
        program += [(jump_equal, 0, 1, number), (answer, 0, 0, fail | EPERM)]
    program += [
        (jump_at_least, 0, 1, _X32),
        (answer, 0, 0, fail | EPERM),
        # Its flags are behind a pointer that a filter cannot follow; libraries fall back to clone.
        (jump_equal, 0, 1, _CLONE3),
        (answer, 0, 0, fail | ENOSYS),
        (jump_equal, 0, 3, _CLONE[machine]),
        (load, 0, 0, 16),
        (jump_any, 1, 0, _CLONE_THREAD),
        (answer, 0, 0, fail | EPERM),
        (answer, 0, 0, allow),
    ]
    code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *line) for line in program))
    filters = struct.pack("HxxxxxxP", len(program), ctypes.addressof(code))
    set_seccomp, filter_mode = 22, 2
    libc.prctl(set_seccomp, filter_mode, filters, 0, 0)


if __name__ == "__main__":
    received = json.load(sys.stdin)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    main(received)
