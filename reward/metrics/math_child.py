"""The process behind `MathServer`: one JSON question a line, `true` or `false` a line."""

from __future__ import annotations

import json
import signal
import sys
from typing import TextIO


def main(questions: TextIO, answers: TextIO) -> None:
    """Answers until the questions end."""
    from math_verify import ExprExtractionConfig, LatexExtractionConfig, parse, verify

    from datachef.core.system.confinement import confine

    kinds = [LatexExtractionConfig(boxed_match_priority=0), ExprExtractionConfig()]
    # It reads untrusted expressions, of which the parser evaluates parts.
    confine()
    print("ready", file=answers, flush=True)
    for line in questions:
        question = json.loads(line)
        _allow(question["seconds"])
        try:
            gold, given = (
                parse(question[text], kinds, parsing_timeout=None) for text in ("gold", "given")
            )
            same = bool(verify(gold, given, timeout_seconds=None))
        except Exception:  # noqa: BLE001 - hostile mathematics fails in any way
            same = False
        print(json.dumps(same), file=answers, flush=True)


def _allow(seconds: float) -> None:
    """So much processor time from now on; whoever asks has given up by then, or is stopped. The
    signal ends the process, which no arithmetic of big integers delays."""
    signal.setitimer(signal.ITIMER_PROF, seconds + 1)


if __name__ == "__main__":
    replies, sys.stdout = sys.stdout, sys.stderr
    main(sys.stdin, replies)
