"""Finding the answer in the words around it."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

_BOX = re.compile(r"\\(?:boxed|fbox)\s*\{")
_BRACE = re.compile(r"\\[{}]|[{}]")
_CUE = re.compile(
    r"""
      \banswer\b [^.:=\n]{0,60}? \b(?:is|be)\b
    | \banswer\b [*_\s]* (?=[:=])
    | 答案 (?:是|为)?
    | \#{4}
    """,
    re.IGNORECASE | re.VERBOSE,
)
_MARKS = """ "'`“”‘’«»„*_.,;:!?¡¿()[]{}<>。，、；：！？（）「」"""
_EDGE = re.compile(rf"^(?:(?!\.\d)[{re.escape(_MARKS)}])+")


def after_thinking(response: str) -> str:
    """What follows the reasoning of a model that thinks aloud; nothing where it never stopped."""
    if "</think>" in response:
        return response.rpartition("</think>")[2]
    return "" if response.lstrip().startswith("<think>") else response


def normalised(text: str) -> str:
    """Without case, width, markup and punctuation at the edges, and runs of white space."""
    folded = " ".join(unicodedata.normalize("NFKC", text).replace("−", "-").casefold().split())
    return _EDGE.sub("", folded).rstrip(_MARKS) or folded


def boxed(text: str) -> str | None:
    r"""The content of the last \boxed{...}, braces balanced; None where there is none."""
    starts = {match.end() - 1 for match in _BOX.finditer(text)}
    opened: list[int] = []
    last = None
    for brace in _BRACE.finditer(text):
        if brace[0] == "{":
            opened.append(brace.end() - 1)
        elif brace[0] == "}" and opened:
            start = opened.pop()
            if start in starts and (last is None or start > last[0]):
                last = (start, brace.start())
    return None if last is None else text[last[0] + 1 : last[1]].strip()


def announced(text: str) -> str | None:
    """The line that follows the last `answer is`, `answer:` or `####`; None where there is none."""
    cues = list(_CUE.finditer(text))
    if not cues:
        return None
    rest = text[cues[-1].end() :].lstrip(" \t\r\n:=*_：")
    return rest.partition("\n")[0].strip() or None


def final_answer(text: str) -> str | None:
    """What a response marks as its answer: boxed, or else announced; None where neither."""
    box = boxed(text)
    return announced(text) if box is None else box


def mentioned(text: str, options: Sequence[str]) -> int | None:
    """The place of the one option that a text names as whole words; None for none or several.

    An option inside of a longer one counts as the longer one alone.
    """
    rest = normalised(text)
    found = None
    for place in sorted(range(len(options)), key=lambda place: -len(options[place])):
        words = normalised(options[place])
        if not words:
            continue
        pattern = rf"(?<![a-z0-9]){re.escape(words)}(?![a-z0-9])"
        rest, count = re.subn(pattern, "\n", rest)
        if count and found is not None:
            return None
        found = place if count else found
    return found
