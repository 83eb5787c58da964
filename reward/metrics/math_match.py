"""Mathematical equality of LaTeX answers, such as those of MATH in \boxed{}."""

from __future__ import annotations

import atexit
import json
import re
import selectors
import subprocess
import threading
from contextlib import suppress
from itertools import product
from pathlib import Path

from datachef.core.contracts.metric import BenchmarkItem
from datachef.core.distribution import extra
from datachef.core.errors import MissingPackageError
from datachef.core.system.child_process import Child, start
from datachef.core.text.final_answers import boxed_answer, final_answer
from datachef.reward.metrics.matching import MatchingMetric, golds

# What does not change the meaning of an answer, after Hendrycks et al. 2021,
# https://github.com/hendrycks/math.
_REWRITES = (
    (re.compile(r"\\[dt]frac"), r"\\frac"),
    (re.compile(r"\\(?:left|right|displaystyle|limits|[,!;: ])|~"), ""),
    (re.compile(r"\\(?:text|mathrm|mbox)\s*\{([^{}]*)\}"), r"\1"),
    (re.compile(r"\\frac\s*(\w)\s*(\w)"), r"\\frac{\1}{\2}"),
    (re.compile(r"\\sqrt\s*(\w)"), r"\\sqrt{\1}"),
    (re.compile(r"\^\{?\\circ\}?|\\degree|\\?%|\\?\$"), ""),
    (re.compile(r"\s+|\.\s*$"), ""),
)
_OPENING = re.compile(r"^(?:\\[(\[]|\$|\s)+")


class MathMatch(MatchingMetric):
    r"""Right where the last \boxed{}, or else the announced answer, equals the gold one.

    Equal are the same LaTeX but for spacing, and what math-verify proves equal, as `\frac12` and
    `0.5`. That runs in a process of its own, which is ended when it takes too much time or memory;
    what cannot be decided so is wrong.
    """

    name = "math_match"
    criterion = "the final expression must equal the right one"
    answer_tokens = 1024

    def __init__(self) -> None:
        """Raises `MissingPackageError` without the package `math-verify`."""
        from importlib.util import find_spec

        if find_spec("math_verify") is None:
            raise MissingPackageError("math_verify", extra("evaluate"), "the metric math_match")
        self._server = MathServer()

    def _accepts(self, response: str, item: BenchmarkItem) -> bool:
        given = final_answer(response)
        accepted = [gold if (box := boxed_answer(gold)) is None else box for gold in golds(item)]
        if any(same_latex(given or response, gold) for gold in accepted):
            return True
        if given is None:
            readings = [response]
        elif boxed_answer(response) is not None:
            readings = [_displayed(given)]
        else:
            readings = [_displayed(given), given]
        pairs = product(map(_displayed, accepted), readings)
        return any(self._server.equal(gold, reading) for gold, reading in pairs)


def same_latex(one: str, other: str) -> bool:
    """Whether two answers are the same text once spacing and variants of commands are gone."""
    return _plain(one) == _plain(other) != ""


def _plain(latex: str) -> str:
    for pattern, replacement in _REWRITES:
        latex = pattern.sub(replacement, latex.strip())
    return latex


def _displayed(latex: str) -> str:
    r"""As math-verify finds it best: `5.`, `$5$` and `\(5\)` become `$\boxed{5}$`."""
    bare = _OPENING.sub("", latex)
    end = len(bare)
    while end:
        last = bare[end - 1]
        escaped = bare[end - 2 : end - 1] == "\\"
        if last in ")]" and escaped:
            end -= 2
        elif last == "$" or last.isspace() or (last == "." and not escaped):
            end -= 1
        else:
            break
    return rf"$\boxed{{{bare[:end]}}}$"


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
            reply = _ask(_running(), question, self.seconds)
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
    _ask(child, None, _START_SECONDS)
    return child


def _ask(child: Child, question: str | None, seconds: float) -> str | None:
    """The line that answers a question or reports readiness; None where none comes in time."""
    with suppress(OSError), selectors.DefaultSelector() as ready:
        if question is not None:
            child.stdin.write(question.encode() + b"\n")
            child.stdin.flush()
        ready.register(child.stdout, selectors.EVENT_READ)
        if ready.select(seconds):
            return child.stdout.readline().decode().strip() or None
    return None


def _end() -> None:
    atexit.unregister(_end)
    child, MathServer._child = MathServer._child, None
    if child is not None:
        child.end()
