"""A process that compares mathematical expressions, and is replaced when it gets stuck.

Expressions of strangers can be as large as 9^9^9^9. Neither a signal nor a thread stops the
arithmetic of big integers; ending the process does.
"""

from __future__ import annotations

import atexit
import json
import selectors
import subprocess
import threading
from contextlib import suppress
from pathlib import Path

from datachef.core.system.child_process import Child, start

_PROGRAM = Path(__file__).with_name("math_child.py")
_START_SECONDS = 120.0
_MEMORY = 4 << 30


class MathServer:
    """Asks math-verify (https://github.com/huggingface/Math-Verify) in a process of its own.

    The process starts at the first question and ends with the interpreter; all servers share it.
    """

    _child: Child | None = None
    _lock = threading.Lock()

    def __init__(self, seconds: float = 10.0) -> None:
        """`seconds` is the time for one comparison."""
        self.seconds = seconds

    def equal(self, gold: str, given: str) -> bool:
        """Whether the mathematics found in a text equals that in the gold text.

        What takes too long, too much memory or cannot be read as mathematics is not equal.
        """
        question = json.dumps({"gold": gold, "given": given, "seconds": self.seconds})
        with MathServer._lock:
            reply = _ask(_running().process, question, self.seconds)
            if reply is None:
                _end()
        return reply == "true"


def _running() -> Child:
    child = MathServer._child
    if child is not None and child.alive:
        return child
    _end()
    child = start(
        [str(_PROGRAM)],
        memory=_MEMORY,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    MathServer._child = child
    atexit.register(_end)
    _ask(child.process, None, _START_SECONDS)
    return child


def _ask(process: subprocess.Popen[bytes], question: str | None, seconds: float) -> str | None:
    """The line that answers a question, or that tells readiness; None where none comes in time."""
    assert process.stdin is not None and process.stdout is not None
    with suppress(OSError), selectors.DefaultSelector() as ready:
        if question is not None:
            process.stdin.write(question.encode() + b"\n")
            process.stdin.flush()
        ready.register(process.stdout, selectors.EVENT_READ)
        if ready.select(seconds):
            return process.stdout.readline().decode().strip() or None
    return None


def _end() -> None:
    atexit.unregister(_end)
    child, MathServer._child = MathServer._child, None
    if child is not None:
        child.end()
