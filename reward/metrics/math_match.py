r"""Mathematical equality of LaTeX answers, such as those of MATH in \boxed{}."""

from __future__ import annotations

import re
from itertools import product

from datachef.core.distribution import extra
from datachef.core.errors import MissingPackageError
from datachef.core.rows.benchmark import BenchmarkItem
from datachef.reward.metrics.base import Checker, golds
from datachef.reward.metrics.math_server import MathServer
from datachef.reward.metrics.text import boxed, final_answer

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


def same_latex(one: str, other: str) -> bool:
    """Whether two answers are the same text once spacing and variants of commands are gone."""
    return _plain(one) == _plain(other) != ""


def _plain(latex: str) -> str:
    for pattern, replacement in _REWRITES:
        latex = pattern.sub(replacement, latex.strip())
    return latex


class MathMatch(Checker):
    r"""Right where the last \boxed{}, or else the announced answer, equals the gold one.

    Equal are the same LaTeX but for spacing, and what math-verify proves equal, as `\frac12` and
    `0.5`. That runs in a process of its own, which is ended when it takes too much time or memory;
    what cannot be decided so is wrong.
    """

    def __init__(self) -> None:
        """Raises `MissingPackageError` without the package `math-verify`."""
        from importlib.util import find_spec

        if find_spec("math_verify") is None:
            raise MissingPackageError("math_verify", extra("evaluate"), "the metric math_match")
        self._server = MathServer()

    def _accepts(self, response: str, item: BenchmarkItem) -> bool:
        given = final_answer(response)
        accepted = [gold if (box := boxed(gold)) is None else box for gold in golds(item)]
        if any(same_latex(given or response, gold) for gold in accepted):
            return True
        if given is None:
            readings = [response]
        elif boxed(response) is not None:
            readings = [_displayed(given)]
        else:
            readings = [_displayed(given), given]
        pairs = product(map(_displayed, accepted), readings)
        return any(self._server.equal(gold, reading) for gold, reading in pairs)


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
