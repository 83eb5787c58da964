"""Numbers as people and models write them."""

from __future__ import annotations

import re
from collections import deque
from decimal import Decimal

from datachef.reward.metrics.text import boxed

# Repeats are bounded, so that no text takes more than linear time.
_NUMBER = re.compile(
    r"""
    (?<![A-Za-z0-9_^]) (?<!\^[{+−-]) (?<!\^\{[−-]) (?<!_\{)
    (?: 10 \s*\^\s*\{?\s* (?P<power>[+−-]?\d{1,3}) (?!\d)
      | (?P<whole> \d{1,3} (?:,\d{2,3}){0,9} ,\d{3} (?!\d) | \d+ | (?<![.\d])(?=\.\d) )
        (?P<rest> \.\d+ )?
        (?: [eE] (?P<short>[+−-]?\d{1,3}) (?!\d)
          | \s* (?:\\times|\\cdot|[×·*x]) \s* 10 \s*\^\s*\{?\s* (?P<long>[+−-]?\d{1,3}) (?!\d)
        )?
    )
    """,
    re.VERBOSE,
)
_MINUS = re.compile(r"(?:(?<=[^\w)\]}%])|^)[−-](?:\\?[$€£¥])?$")
_GROUPED = re.compile(r"(?<=\d)(?:\{,\}|,?\\[,!;:])(?=\d{3})")
_RAISED = re.compile("[⁺⁻]?[⁰¹²³⁴⁵⁶⁷⁸⁹]+")
_LOWERED = str.maketrans("⁺⁻⁰¹²³⁴⁵⁶⁷⁸⁹", "+-0123456789")


def last_number(text: str) -> Decimal | None:
    r"""The last number of the last \boxed{...}, or else of the text; None where there is none.

    Commas between thousands are left out. Indices, exponents and the digits in words such as `m2`
    are no numbers of their own; `3 * 10^5`, `3e5`, `10^5` and `-$1,200.50` are one each.
    """
    box = boxed(text)
    found = None if box is None else _last(box)
    return _last(text) if found is None else found


def _last(text: str) -> Decimal | None:
    text = _RAISED.sub(lambda raised: f"^{{{raised[0].translate(_LOWERED)}}}", text)
    text = _GROUPED.sub("", text)
    last = deque(_NUMBER.finditer(text), maxlen=1)
    if not last:
        return None
    found = last[0]
    whole = "1" if found["power"] else found["whole"].replace(",", "")
    digits = whole + (found["rest"] or "")
    exponent = (found["power"] or found["short"] or found["long"] or "0").replace("−", "-")
    before = text[max(0, found.start() - 4) : found.start()]
    sign = "-" if _MINUS.search(before) else ""
    return Decimal(f"{sign}{digits}e{exponent}")
