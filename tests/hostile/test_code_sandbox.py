"""Programs that attack whoever runs them, and honest ones that must not suffer from it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from sandboxed import BOMBS, CONFINED, SHORT, X86, programs, run

from datachef.reward.metrics.sandbox import (
    Program,
    ProgramResult,
    SandboxLimits,
    run_tests,
)

pytestmark = CONFINED


# What is tried inside of one process; each has to fail with an OSError.
SIGNALS = """
os.kill(parent, 9)
os.kill(-1, 9)
os.kill(0, 9)
os.killpg(parent, 9)
fcntl.fcntl(pair[0], fcntl.F_SETOWN, parent)
fcntl.fcntl(pair[0], fcntl.F_SETOWN, -parent)
fcntl.fcntl(pair[0], 10, 9)
fcntl.fcntl(pair[0], 15, struct.pack("ii", 1, parent))
fcntl.ioctl(pair[0], 0x8901, struct.pack("i", parent))
fcntl.ioctl(pair[0], 0x8902, struct.pack("i", parent))
fcntl.ioctl(pair[0], 0x5452, struct.pack("i", 1))
fcntl.fcntl(os.open(".", os.O_RDONLY), 1026, 1)
fcntl.fcntl(open("leased", "w").fileno(), 1024, 1)
fcntl.fcntl(os.pipe()[0], 1031, 1 << 20)
signal.pidfd_send_signal(os.pidfd_open(parent), 9)
os.pidfd_open(os.getpid())
"""
SCHEDULING = """
os.setpriority(os.PRIO_PROCESS, parent, 19)
os.setpriority(os.PRIO_USER, os.getuid(), 19)
os.setpriority(os.PRIO_PGRP, os.getpgid(parent), 19)
os.nice(5)
os.sched_setaffinity(parent, {0})
os.sched_setaffinity(0, {0})
os.sched_setscheduler(parent, os.SCHED_IDLE, os.sched_param(0))
os.sched_setparam(parent, os.sched_param(0))
resource.prlimit(parent, resource.RLIMIT_NOFILE, (3, 3))
resource.prlimit(0, resource.RLIMIT_AS, (1 << 40, 1 << 40))
os.setsid()
os.setpgid(0, 0)
"""
PROCESSES = """
os.fork()
os.forkpty()
os.execv("/bin/true", ["true"])
os.posix_spawn("/bin/true", ["true"], {})
subprocess.run(["true"])
os.popen("true")
multiprocessing.Process(target=print).start()
multiprocessing.Pool(1)
concurrent.futures.ProcessPoolExecutor(1).submit(print).result()
"""
SOCKETS = """
socket.socket(socket.AF_INET, socket.SOCK_STREAM)
socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
socket.socket(socket.AF_UNIX)
socket.socket(socket.AF_NETLINK, socket.SOCK_RAW)
socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
socket.socketpair(socket.AF_INET)
socket.create_connection(("127.0.0.1", 1))
socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)[0].sendto(b"x", "/run/systemd/notify")
socket.socketpair()[0].sendmsg([b"x"])
socket.send_fds(pair[0], [b"x"], [0])
"""
READING = """
open("/etc/passwd")
open(f"/proc/{parent}/environ")
open(f"/proc/{parent}/mem", "rb")
open("/proc/self/environ")
open("/proc/self/mem", "r+b")
open(f"/proc/self/root/etc/passwd")
open("/dev/mem", "rb")
open("/dev/kmsg")
os.listdir("/")
os.listdir(f"/proc/{parent}/fd")
os.listdir(outside)
open(f"{outside}/mine")
open("../../../../../../../../etc/passwd")
os.symlink(f"{outside}/mine", "link") or open("link")
os.link(f"{outside}/mine", "hard")
"""
WRITING = """
open(f"{outside}/new", "w")
open(f"{outside}/mine", "w")
open(f"{outside}/mine", "a")
open(f"{outside}/mine", "r+")
os.truncate(f"{outside}/mine", 0)
os.remove(f"{outside}/mine")
os.rename(f"{outside}/mine", "stolen")
os.rename(__import__("tempfile").mkstemp()[1], f"{outside}/moved")
os.replace(f"{outside}/mine", f"{outside}/other")
os.mkdir(f"{outside}/folder")
os.rmdir(f"{outside}/empty")
os.symlink("x", f"{outside}/link")
os.symlink(outside, "out") or open("out/new", "w")
os.chmod(f"{outside}/mine", 0)
os.chown(f"{outside}/mine", 1, 1)
os.utime(f"{outside}/mine", (0, 0))
os.setxattr(f"{outside}/mine", "user.x", b"x")
os.removexattr(f"{outside}/mine", "user.x")
open("/dev/shm/datachef-attack", "w")
open("/tmp/datachef-attack", "w")
open(os.__file__, "a")
os.utime(os.__file__)
os.mkfifo("fifo")
os.mknod("node", 0o60600, os.makedev(8, 0))
os.chroot(".")
os.memfd_create("x")
fcntl.flock(open(os.__file__), fcntl.LOCK_EX)
os.setuid(os.getuid())
os.setgroups([])
"""
KINDS = {
    "signals": SIGNALS, "scheduling": SCHEDULING, "processes": PROCESSES, "sockets": SOCKETS,
    "reading": READING, "writing": WRITING,
}  # fmt: skip
TRIES = """
import concurrent.futures, fcntl, multiprocessing, os, resource, signal, socket, struct, subprocess
parent, outside, pair = os.getppid(), {outside!r}, socket.socketpair()
def succeeded():
    found = []
    for number, attempt in enumerate({attempts!r}):
        try:
            eval(attempt)
        except OSError:
            continue
        except BaseException:
            pass
        found.append(number)
    return found
"""


def score_summary(process: int) -> list[object]:
    """What a process could be robbed of."""
    limits = Path(f"/proc/{process}/limits").read_text()
    scheduling = (os.sched_getscheduler(process), os.getpriority(os.PRIO_PROCESS, process))
    return [limits, os.sched_getaffinity(process), *scheduling, os.getpgid(process)]


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    (tmp_path / "empty").mkdir()
    (tmp_path / "mine").write_text("mine")
    return tmp_path


def listing(folder: Path) -> dict[str, tuple[object, ...]]:
    found = {}
    for path in folder.iterdir():
        told = path.stat()
        text = path.read_text() if path.is_file() else ""
        found[path.name] = (told.st_mode, told.st_mtime_ns, told.st_uid, told.st_nlink, text)
    return found


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_outside_can_be_touched(kind: str, outside: Path) -> None:
    attempts = KINDS[kind].strip().splitlines()
    before, mine = listing(outside), score_summary(os.getpid())
    answer = TRIES.format(outside=str(outside), attempts=attempts)
    # The tests say which of them did not fail: there is no other way out.
    tests = "for number in succeeded(): raise type(f'attempt_{number}', (Exception,), {})"
    outcome = run(answer, tests)
    if outcome.reason.startswith("attempt_"):
        pytest.fail(attempts[int(outcome.reason.removeprefix("attempt_"))])
    assert outcome == ProgramResult(True)
    assert listing(outside) == before
    assert score_summary(os.getpid()) == mine
    assert not Path("/dev/shm/datachef-attack").exists()  # noqa: S108 - it was to be written
    assert not Path("/tmp/datachef-attack").exists()  # noqa: S108


# The numbers of x86-64; all of them are refused by not being on a list.
CALLS = {
    "shmget": 29, "semget": 64, "msgget": 68, "ptrace": 101, "syslog": 103, "personality": 135,
    "pivot_root": 155, "acct": 163, "settimeofday": 164, "mount": 165, "umount2": 166,
    "swapon": 167, "reboot": 169, "sethostname": 170, "init_module": 175, "quotactl": 179,
    "tkill": 200, "timer_create": 222, "clock_settime": 227, "mbind": 237, "set_mempolicy": 238,
    "mq_open": 240, "kexec_load": 246, "add_key": 248, "request_key": 249, "keyctl": 250,
    "ioprio_set": 251, "inotify_init": 253, "migrate_pages": 256, "unshare": 272,
    "move_pages": 279, "signalfd": 282, "timerfd_create": 283, "fallocate": 285, "accept4": 288,
    "inotify_init1": 294, "perf_event_open": 298, "fanotify_init": 300, "name_to_handle_at": 303,
    "open_by_handle_at": 304, "setns": 308, "process_vm_readv": 310, "process_vm_writev": 311,
    "kcmp": 312, "finit_module": 313, "sched_setattr": 314, "seccomp": 317, "kexec_file_load": 320,
    "bpf": 321, "execveat": 322, "userfaultfd": 323, "pkey_alloc": 330, "pidfd_send_signal": 424,
    "io_uring_setup": 425, "io_uring_enter": 426, "open_tree": 428, "move_mount": 429,
    "fsopen": 430, "fsmount": 432, "pidfd_open": 434, "clone3": 435, "openat2": 437,
    "pidfd_getfd": 438, "process_madvise": 440, "mount_setattr": 442,
    "landlock_create_ruleset": 444, "memfd_secret": 447, "process_mrelease": 448, "fchmodat2": 452,
    "connect": 42, "bind": 49, "listen": 50, "sendmsg": 46, "setsockopt": 54, "setuid": 105,
    "setpriority": 141, "capset": 126, "arch_prctl": 158, "chroot": 161, "utimensat": 280,
    "future": 900, "x32 getpid": 0x40000027,
}  # fmt: skip
ERRORS_OF_CALLS = f"""
import ctypes
libc = ctypes.CDLL(None, use_errno=True)
def allowed():
    found = []
    for name, number in {CALLS!r}.items():
        ctypes.set_errno(0)
        if libc.syscall(number, 0, 0, 0, 0, 0, 0) != -1 or ctypes.get_errno() not in (1, 38):
            found.append(name)
    return found
"""


@X86
def test_system_calls_that_are_not_on_the_list_are_refused() -> None:
    assert run(ERRORS_OF_CALLS, "assert allowed() == []") == ProgramResult(True)


@X86
def test_calls_of_another_architecture_end_the_process() -> None:
    machine_code = bytes([0xB8, 20, 0, 0, 0, 0xCD, 0x80, 0xC3])  # getpid of 32 bits
    answer = f"""
import ctypes, mmap
page = mmap.mmap(-1, 4096, prot=7)
page.write({machine_code!r})
call = ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(page)))
f = lambda: call()
"""
    assert run(answer, "f()") == ProgramResult(False, "ended early with status -31")


# Every answer is wrong, and none may pass.
HELPERS = """
class Node:
    def __init__(self, val, next=None):
        self.val, self.next = val, next
    def holds(self, *values):
        return [self.val] == [*values]
def same(one, other):
    return one.val == other.val
from functools import cached_property
class Tree:
    @cached_property
    def size(self): return 1
"""
FORGERIES = programs("forged_verdicts")


@pytest.mark.parametrize("name", FORGERIES)
def test_no_verdict_is_forged(name: str) -> None:
    answer, tests = FORGERIES[name]
    program = Program(HELPERS, answer + "\n", tests)
    outcome = run_tests(program, SHORT, gold="import math\nfrom math import isclose\n")
    assert not outcome.passed
    assert outcome.reason.replace(" ", "").replace("-", "").isalnum()


@pytest.mark.parametrize("name", BOMBS)
def test_bombs_are_bounded_and_leave_nothing(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    program, reason = BOMBS[name]
    limits = SandboxLimits(2, 2.0, 1 << 30, 4 << 20, 8 << 20, 200, 64) if name == "sleep" else SHORT
    outcome = run(program, "", limits=limits)
    assert not outcome.passed
    assert reason.strip() in outcome.reason
    assert not list(tmp_path.iterdir())


HONEST = programs("honest")


@pytest.mark.parametrize("name", HONEST)
def test_honest_programs_pass(name: str) -> None:
    answer, tests = HONEST[name]
    assert run(answer, tests, HELPERS, SandboxLimits()) == ProgramResult(True)


def test_a_body_completes_the_function_before_it() -> None:
    before = "def helper(x):\n    return x\n\ndef f(x):\n    '''Doubles.'''\n"
    assert run("    return 2 * helper(x)", "assert f(2) == 4", before).passed
    assert run("def f(x):\n    return 2 * x", "assert f(2) == 4", before).passed
    assert not run("    return x", "assert f(2) == 4", before).passed
    assert run("    return 2 * x", "assert f(2) == 4", "def f(x):\n").passed


def test_a_name_of_python_is_the_answers_where_the_gold_answer_binds_it() -> None:
    program = Program("", "def sum(a, b): return a * b\n", "assert sum(2, 3) == 6")
    assert run_tests(program, SHORT, gold="def sum(a, b): ...").passed
    assert not run_tests(program, SHORT).passed


def test_input_and_output_can_be_tests() -> None:
    before = "import io, sys\nsys.stdin = io.StringIO('3')\nsys.stdout = said = io.StringIO()\n"
    tests = "assert said.getvalue() == '6\\n'"
    assert run("print(2 * int(input()))", tests, before).passed
    assert not run("print(3 * int(input()))", tests, before).passed
