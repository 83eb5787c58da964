"""Loads each plugin in a process of its own first, for commands that report what is wrong.

Run as a module it is that process: it loads one plugin, calls its hooks, and says that it is done.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress

from datachef.core.registry.host import Host, foreign_plugins
from datachef.core.system.child_process import Child, start

_DONE = b"done"


def unloadable(files: Sequence[str], patience: float) -> dict[str, str]:
    """Why plugins cannot be loaded, by their keys in the host: they do not come to an end within
    `patience` seconds, or end the process."""
    children = {
        key: start(["-m", "datachef.core.cli.probe", *what], stdout=subprocess.PIPE,
                   stderr=subprocess.DEVNULL)
        for key, what in foreign_plugins(files).items()
    }  # fmt: skip
    until = time.monotonic() + patience
    found = {key: _trouble(child, until, patience) for key, child in children.items()}
    return {key: trouble for key, trouble in found.items() if trouble}


def _trouble(child: Child, until: float, patience: float) -> str:
    said = b""
    try:
        said, _ = child.process.communicate(timeout=max(until - time.monotonic(), 0.1))
    except subprocess.TimeoutExpired:
        child.end()
        return f"loading it does not come to an end ({patience:g} s)"
    status = child.end()
    if said == _DONE:
        return ""
    from datachef.core.run.worker import why_it_ended

    return f"loading it ends the process: {why_it_ended(status, '', for_memory=False)[0]}"


def main() -> None:
    out = os.dup(1)
    os.dup2(2, 1)
    kind, name = sys.argv[1:]
    with suppress(Exception):  # what is wrong is reported where it is loaded next
        host = Host([name], only=()) if kind == "file" else Host(only={name})
        host.examine()
    os.write(out, _DONE)
    os._exit(0)


if __name__ == "__main__":
    main()
