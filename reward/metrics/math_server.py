"""A process that compares mathematical expressions, and is replaced when it gets stuck.

Expressions of strangers can be as large as 9^9^9^9. Neither a signal nor a thread stops the
arithmetic of big integers; ending the process does.
"""

from __future__ import annotations

import atexit
import json
import selectors
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path

_PROGRAM = Path(__file__).with_name("math_child.py")
_START_SECONDS = 120.0


class MathServer:
    """Asks math-verify (https://github.com/huggingface/Math-Verify) in a process of its own.

    The process starts at the first question and ends with the interpreter; all servers share it.
    """

    _process: subprocess.Popen[str] | None = None
    _lock = threading.Lock()

    def __init__(self, seconds: float = 10.0) -> None:
        """`seconds` is the time for one comparison."""
        self.seconds = seconds

    def equal(self, gold: str, given: str) -> bool:
        """Whether the mathematics found in a text equals that in the gold text.

        What takes too long, too much memory or cannot be read as mathematics is not equal.
        """
        question = json.dumps({"gold": gold, "given": given})
        with MathServer._lock:
            process = _running()
            reply = _ask(process, question, self.seconds)
            if reply is None:
                _end()
        return reply == "true"


def _running() -> subprocess.Popen[str]:
    process = MathServer._process
    if process is not None and process.poll() is None:
        return process
    _end()
    process = subprocess.Popen(
        [sys.executable, "-P", str(_PROGRAM)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        encoding="utf-8",
        start_new_session=True,
    )
    MathServer._process = process
    atexit.register(_end)
    _ask(process, None, _START_SECONDS)
    return process


def _ask(process: subprocess.Popen[str], question: str | None, seconds: float) -> str | None:
    """The line that answers a question, or that tells readiness; None where none comes in time."""
    assert process.stdin is not None and process.stdout is not None
    with suppress(OSError), selectors.DefaultSelector() as ready:
        if question is not None:
            process.stdin.write(question + "\n")
            process.stdin.flush()
        ready.register(process.stdout, selectors.EVENT_READ)
        if ready.select(seconds):
            return process.stdout.readline().strip() or None
    return None


def _end() -> None:
    atexit.unregister(_end)
    process, MathServer._process = MathServer._process, None
    if process is None:
        return
    process.kill()
    process.wait()
    for stream in (process.stdin, process.stdout):
        if stream is not None:
            with suppress(OSError):
                stream.close()
