"""Phrases that ask for a chain of thought, at the edges of a prompt."""

from __future__ import annotations

import re

# Zero-shot chain of thought (Kojima et al. 2022, arXiv 2205.11916) and the templates of FLAN's
# chain-of-thought mixture (Longpre et al. 2023, arXiv 2301.13688).
_THOUGHT = (
    r"(?:let(?:['’]s|s| us| me)\b|(?:please\s+)?(?:think|reason)(?:ing)?\b|"
    r"(?:some |my |a quick |quick )?(?:random )?(?:stream of consciousness|thoughts?|reasoning)\b|"
    r"some (?:random|stream|thinking)\b|step[- ]by[- ]step\b|chain[- ]of[- ]thought\b|"
    r"give (?:a quick |some |your )?(?:stream|reason|step|thought|thinking)|explain\b)"
)
_OPENING = r"(?:(?:hmm+,?|ok(?:ay)?\.?|now,?|so,?|another student:|student:|me:|first,?)\s+)*"
_TRIGGER = re.compile(
    rf"(?:^|(?<=[.?!:)\]])|\s)\s*(?-i:(?=[A-Z])){_OPENING}{_THOUGHT}[^\n]{{0,100}}?(?:[:.…]|\.\.\.)?\s*$",
    re.IGNORECASE,
)


def without_trigger(text: str) -> str:
    """The text without the phrases at its end that ask for a chain of thought."""
    for _ in range(3):  # "OK. Let's think. Some random thoughts first:"
        found = _TRIGGER.search(text)
        if found is None or found.end() != len(text):
            break
        text = text[: found.start()].rstrip()
    return text
