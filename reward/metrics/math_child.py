"""The process behind `MathServer`: one JSON question a line, `true` or `false` a line."""

from __future__ import annotations

import json
import math
import os
import resource
import sys
from typing import TextIO


def main(questions: TextIO, answers: TextIO) -> None:
    """Answers until the questions end."""
    from math_verify import ExprExtractionConfig, LatexExtractionConfig, parse, verify

    kinds = [LatexExtractionConfig(boxed_match_priority=0), ExprExtractionConfig()]
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
    """So much processor time from now on; whoever asks has given up by then, or is stopped."""
    times = os.times()
    _, most = resource.getrlimit(resource.RLIMIT_CPU)
    bound = math.ceil(times.user + times.system + seconds) + 1
    resource.setrlimit(resource.RLIMIT_CPU, (bound, most))


if __name__ == "__main__":
    replies, sys.stdout = sys.stdout, sys.stderr
    main(sys.stdin, replies)
