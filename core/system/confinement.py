"""Isolation layers that a process puts around itself before it runs untrusted code.

On Linux: an allow-list of system calls (seccomp), reading and writing under named folders alone and
signals to nobody outside (Landlock), and a folder in memory that is bounded and gone with the
process (a mount namespace). Needs the standard library alone, so that a script can load it by path.
"""

from __future__ import annotations

import ctypes
import os
import platform
import struct
import sys
from collections.abc import Iterable, Sequence
from contextlib import suppress
from functools import lru_cache

SYSTEM_CALLS, FILES, SIGNALS, DISK = "system calls", "files", "signals", "disk"
ALL = {
    SYSTEM_CALLS: "an allow-list (seccomp)",
    FILES: "named folders alone (Landlock)",
    SIGNALS: "to nobody outside (Landlock 6)",
    DISK: "a bounded folder in memory (mount namespace)",
}
# Without these, nothing keeps a program from the machine; the others stand behind them.
NEEDED = (SYSTEM_CALLS, FILES)

_EPERM, _ENOSYS = 1, 38
_ARCHITECTURES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}

# name:x86-64:ARM, from the kernel's asm/unistd_64.h and asm-generic/unistd.h. What opens sockets,
# starts, traces, schedules or signals processes, or changes modes, owners and times of files (which
# Landlock does not guard) is not here.
_ALLOWED = """
read:0:63 write:1:64 readv:19:65 writev:20:66 pread64:17:67 pwrite64:18:68 preadv:295:69
pwritev:296:70 preadv2:327:286 pwritev2:328:287 lseek:8:62 close:3:57 close_range:436:436 open:2:
creat:85: openat:257:56 stat:4: fstat:5:80 lstat:6: newfstatat:262:79 statx:332:291 statfs:137:43
fstatfs:138:44 access:21: faccessat:269:48 faccessat2:439:439 readlink:89: readlinkat:267:78
getdents:78: getdents64:217:61 getcwd:79:17 chdir:80:49 fchdir:81:50 mkdir:83: mkdirat:258:34
rmdir:84: unlink:87: unlinkat:263:35 rename:82: renameat:264:38 renameat2:316:276 link:86:
linkat:265:37 symlink:88: symlinkat:266:36 ftruncate:77:46 fadvise64:221:223 fsync:74:82
fdatasync:75:83 sendfile:40:71 copy_file_range:326:285 umask:95:166 dup:32:23 dup2:33: dup3:292:24
pipe:22: pipe2:293:59 poll:7: ppoll:271:73 select:23: pselect6:270:72 epoll_create:213:
epoll_create1:291:20 epoll_ctl:233:21 epoll_wait:232: epoll_pwait:281:22 epoll_pwait2:441:441
eventfd:284: eventfd2:290:19 recvfrom:45:207 shutdown:48:210 getsockname:51:204
getpeername:52:205 getsockopt:55:209 mmap:9:222 munmap:11:215 mprotect:10:226 mremap:25:216
madvise:28:233 brk:12:214 msync:26:227 mincore:27:232 rseq:334:293 futex:202:98 futex_waitv:449:449
set_robust_list:273:99 set_tid_address:218:96 exit:60:93 exit_group:231:94 sched_yield:24:124
rt_sigaction:13:134 rt_sigprocmask:14:135 rt_sigreturn:15:139 sigaltstack:131:132
rt_sigpending:127:136 rt_sigtimedwait:128:137 rt_sigsuspend:130:133 pause:34:
restart_syscall:219:128 nanosleep:35:101 clock_nanosleep:230:115 clock_gettime:228:113
clock_getres:229:114 gettimeofday:96:169 time:201: times:100:153 getitimer:36:102 setitimer:38:103
alarm:37: getrusage:98:165 sysinfo:99:179 uname:63:160 getpid:39:172 gettid:186:178 getppid:110:173
getuid:102:174 geteuid:107:175 getgid:104:176 getegid:108:177 getresuid:118:148 getresgid:120:150
getgroups:115:158 getpgrp:111: getpgid:121:155 getsid:124:156 getrlimit:97:163 getpriority:140:141
sched_getaffinity:204:123 sched_getparam:143:121 sched_getscheduler:145:120
sched_get_priority_max:146:125 sched_get_priority_min:147:126 getcpu:309:168 getrandom:318:278
"""
_GUARDED = """
fcntl:72:25 ioctl:16:29 prctl:157:167 socketpair:53:199 sendto:44:206 kill:62:129 tgkill:234:131
prlimit64:302:261 clone:56:220 clone3:435:435
"""
# Calls that are newer than this list: as on an older kernel, for which libraries are prepared.
_NEWER = 453

_FCNTL = (0, 1, 2, 3, 4, 5, 6, 7, 36, 37, 38, 1030, 1032)  # descriptors, flags, locks on files
_IOCTL = (0x5401, 0x5413, 0x541B, 0x5421, 0x5450, 0x5451)  # is it a terminal, close on exec, ...
_PRCTL = (15, 16, 0x53564D41)  # names of threads and of memory
_UNIX_SOCKET = 1
_CLONE_THREAD, _CLONE_NAMESPACES = 0x00010000, 0x7E020080


def confine(
    folder: str | None = None,
    *,
    readable: Iterable[str] = (),
    disk_bytes: int = 64 << 20,
    files: int = 4096,
) -> list[str]:
    """Gives up the rights of root and puts up every layer that the system offers, for good.

    Files can then be read under the system's libraries and `readable` alone, and written in
    `folder` alone, which the process changes into. Where the system lets it, the folder becomes a
    file system in memory with at most `disk_bytes` and `files`. Threads can be started, processes
    can not. To be called before there are threads. Returns the names of the layers in force.
    """
    if not sys.platform.startswith("linux"):
        return []
    libc = ctypes.CDLL(None, use_errno=True)
    standing = []
    if folder is not None:
        if _mount(libc, folder, disk_bytes, files):
            standing.append(DISK)
        os.chdir(folder)
    no_new_privileges = 38
    libc.prctl(no_new_privileges, 1, 0, 0, 0)
    capabilities = struct.pack("II", 0x20080522, 0)
    libc.capset(capabilities, bytes(24))
    standing += _guard_files(libc, [*system_folders(), *readable], [folder] if folder else [])
    if _guard_calls(libc):
        standing.append(SYSTEM_CALLS)
    return standing


@lru_cache(maxsize=1)
def available_layers() -> frozenset[str]:
    """The isolation layers that a process of this user can put up here, found by trying once."""
    import json
    import subprocess
    import tempfile

    from datachef.core.system.child_process import start

    with tempfile.TemporaryDirectory(prefix="datachef-") as folder:
        child = start([__file__, folder], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        told, _ = child.process.communicate()
        child.end()
    return frozenset(json.loads(told or "[]"))


def missing_layers() -> str:
    """The isolation layers that a run needs and this system does not offer, in words."""
    return " and ".join(layer for layer in NEEDED if layer not in available_layers())


def system_folders() -> list[str]:
    """What Python and the system's libraries are read from."""
    packages = [path for path in sys.path if path.endswith(("site-packages", "dist-packages"))]
    system = ("/usr", "/lib", "/lib64", "/etc/ld.so.cache", "/etc/localtime", "/dev/urandom")
    return [*system, sys.prefix, sys.base_prefix, *packages]


def _mount(libc: ctypes.CDLL, folder: str, disk_bytes: int, files: int) -> bool:
    """Puts a bounded file system in memory over a folder, seen by this process alone."""
    new_mounts, new_user = 0x00020000, 0x10000000
    private, no_set_uid_no_devices = 0x00044000, 0x6
    user, group = os.getuid(), os.getgid()
    if libc.unshare(new_user | new_mounts) == 0:
        for name, text in (
            ("setgroups", "deny"),
            ("uid_map", f"{user} {user} 1"),
            ("gid_map", f"{group} {group} 1"),
        ):
            with suppress(OSError), open(f"/proc/self/{name}", "w") as file:  # noqa: PTH123 - pathlib is slow to load
                file.write(text)
    elif libc.unshare(new_mounts) != 0:
        return False
    options = f"size={disk_bytes},nr_inodes={files},mode=700".encode()
    place = os.fsencode(folder)
    libc.mount.argtypes = [*[ctypes.c_char_p] * 3, ctypes.c_ulong, ctypes.c_char_p]
    if libc.mount(None, b"/", None, private, None) != 0:
        return False
    mounted: int = libc.mount(b"tmpfs", place, b"tmpfs", no_set_uid_no_devices, options)
    return mounted == 0


def _guard_files(libc: ctypes.CDLL, readable: Iterable[str], writable: Iterable[str]) -> list[str]:
    """Landlock: files can be read under some folders, written under others, and nothing else."""
    create_ruleset, add_rule, restrict_self = 444, 445, 446
    version = libc.syscall(create_ruleset, None, 0, 1)
    if version < 1:
        return []
    rights = {1: 13, 2: 14, 3: 15, 4: 15}.get(version, 16)
    every = (1 << rights) - 1
    read = 1 << 0 | 1 << 2 | 1 << 3
    of_files = 1 << 0 | 1 << 1 | 1 << 2 | 1 << 14
    devices_and_sockets = 1 << 6 | 1 << 9 | 1 << 10 | 1 << 11 | 1 << 15
    connect_and_bind, sockets_and_signals = 3, 3
    attributes = struct.pack("Q", every)
    if version >= 4:
        attributes += struct.pack("Q", connect_and_bind)
    if version >= 6:
        attributes += struct.pack("Q", sockets_and_signals)
    ruleset = libc.syscall(create_ruleset, attributes, len(attributes), 0)
    if ruleset < 0:
        return []
    rules = [(path, read) for path in readable]
    rules += [(path, every & ~devices_and_sockets) for path in writable]
    for path, access in [*rules, ("/dev/null", every)]:
        with suppress(OSError):
            place = os.open(path, os.O_PATH | os.O_CLOEXEC)
            if not os.path.isdir(path):  # noqa: PTH112 - pathlib is slow to load
                access &= of_files & every  # noqa: PLW2901
            libc.syscall(add_rule, ruleset, 1, struct.pack("=QI", access, place), 0)
            os.close(place)
    restricted = libc.syscall(restrict_self, ruleset, 0) == 0
    os.close(ruleset)
    if not restricted:
        return []
    return [FILES, SIGNALS] if version >= 6 else [FILES]


# Operations of the kernel's classic BPF, and what a filter answers.
_LOAD, _EQUAL, _AT_LEAST, _ANY_BIT, _ANSWER = 0x20, 0x15, 0x35, 0x45, 0x06
_ALLOW, _KILL, _FAIL = 0x7FFF0000, 0x80000000, 0x00050000
_NUMBER, _ARCHITECTURE = 0, 4
_Line = tuple[int, int, int, int]


def _guard_calls(libc: ctypes.CDLL) -> bool:
    """seccomp: system calls that are not on the list fail."""
    machine = platform.machine()
    if machine not in _ARCHITECTURES or sys.maxsize < 1 << 32:
        return False
    program = _filter(machine, os.getpid())
    code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *line) for line in program))
    filters = struct.pack("HxxxxxxP", len(program), ctypes.addressof(code))
    set_seccomp, filter_mode = 22, 2
    return bool(libc.prctl(set_seccomp, filter_mode, filters, 0, 0) == 0)


def _filter(machine: str, process: int) -> list[_Line]:
    guarded = _numbers(_GUARDED, machine)
    program: list[_Line] = [
        (_LOAD, 0, 0, _ARCHITECTURE),
        (_EQUAL, 1, 0, _ARCHITECTURES[machine]),
        (_ANSWER, 0, 0, _KILL),
        (_LOAD, 0, 0, _NUMBER),
    ]
    for number in _numbers(_ALLOWED, machine).values():
        program += [(_EQUAL, 0, 1, number), (_ANSWER, 0, 0, _ALLOW)]
    rules = {
        "fcntl": _one_of(1, _FCNTL),
        "ioctl": _one_of(1, _IOCTL),
        "prctl": _one_of(0, _PRCTL),
        "socketpair": _one_of(0, [_UNIX_SOCKET]),
        "kill": _one_of(0, [process]),
        "tgkill": _one_of(0, [process]),
        "sendto": _null(4),  # to the other end of a pair, not to an address
        "prlimit64": _null(2),  # limits are read, not set
        "clone": [
            (_LOAD, 0, 0, _argument(0)),
            (_ANY_BIT, 2, 0, _CLONE_NAMESPACES),
            (_ANY_BIT, 0, 1, _CLONE_THREAD),
            (_ANSWER, 0, 0, _ALLOW),
        ],
        # Its flags are behind a pointer that a filter cannot follow; libraries fall back to clone.
        "clone3": [(_ANSWER, 0, 0, _FAIL | _ENOSYS)],
    }
    for name, rule in rules.items():
        rule = [*rule, (_ANSWER, 0, 0, _FAIL | _EPERM)]  # noqa: PLW2901
        program += [(_EQUAL, 0, len(rule), guarded[name]), *rule]
    # The calls of x86's x32 variant have numbers above all others.
    program += [
        (_AT_LEAST, 0, 1, _NEWER),
        (_ANSWER, 0, 0, _FAIL | _ENOSYS),
        (_ANSWER, 0, 0, _FAIL | _EPERM),
    ]
    return program


def _one_of(argument: int, values: Sequence[int]) -> list[_Line]:
    """Allows a call with one of the values; the kernel reads those arguments as 32 bits."""
    lines: list[_Line] = [(_LOAD, 0, 0, _argument(argument))]
    for value in values:
        lines += [(_EQUAL, 0, 1, value), (_ANSWER, 0, 0, _ALLOW)]
    return lines


def _null(argument: int) -> list[_Line]:
    """Allows a call where a pointer among its arguments is null."""
    return [
        (_LOAD, 0, 0, _argument(argument)),
        (_EQUAL, 0, 3, 0),
        (_LOAD, 0, 0, _argument(argument) + 4),
        (_EQUAL, 0, 1, 0),
        (_ANSWER, 0, 0, _ALLOW),
    ]


def _argument(place: int) -> int:
    return 16 + 8 * place


def _numbers(table: str, machine: str) -> dict[str, int]:
    column = 1 if machine == "x86_64" else 2
    fields = [entry.split(":") for entry in table.split()]
    return {entry[0]: int(entry[column]) for entry in fields if entry[column]}


if __name__ == "__main__":
    import json

    print(json.dumps(confine(sys.argv[1])))
