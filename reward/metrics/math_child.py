"""The process behind `MathServer`: one JSON question a line, `true` or `false` a line."""

from __future__ import annotations

import json
import resource
import sys
from contextlib import suppress
from typing import TextIO

_MEMORY = 4 << 30


def main(questions: TextIO, answers: TextIO) -> None:
    """Answers until the questions end."""
    from math_verify import ExprExtractionConfig, LatexExtractionConfig, parse, verify

    kinds = [LatexExtractionConfig(boxed_match_priority=0), ExprExtractionConfig()]
    with suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
    print("ready", file=answers, flush=True)
    for line in questions:
        question = json.loads(line)
        try:
            gold, given = (
                parse(question[text], kinds, parsing_timeout=None) for text in ("gold", "given")
            )
            same = bool(verify(gold, given, timeout_seconds=None))
        except Exception:  # noqa: BLE001 - hostile mathematics fails in any way
            same = False
        print(json.dumps(same), file=answers, flush=True)


if __name__ == "__main__":
    replies, sys.stdout = sys.stdout, sys.stderr
    main(sys.stdin, replies)
