"""Text from outside, quoted so that it cannot pass for a part of the prompt.

Rows, names of columns and descriptions were written by strangers. They stand on one line, as JSON
strings, and what a tokenizer may read as a special token (`<|im_start|>`, `</s>`, `[INST]`) is
spelled with the escapes of JSON: a reader of JSON sees the same text, a chat template sees none of
its marks.
"""

from __future__ import annotations

import json
import re
from typing import Any

import orjson
from pydantic_core import to_jsonable_python

GAP = " [...] "

# No token begins with a sign of comparison.
_MARK = re.compile(r"<(?![\s\d=<-])|\[(?=/?[A-Za-z_]{3,}\])")


def quoted(text: str, most: int) -> str:
    """A JSON string of at most `most` characters of the text, cut in its middle where it is long.

    Control characters, invisible ones and the marks of chat templates are escaped.
    """
    plain = json.dumps(shortened(text, most), ensure_ascii=False)
    marked = _MARK.sub(lambda found: _escaped(found[0]), plain)
    return "".join(c if c.isprintable() else _escaped(c) for c in marked)


def named(text: str, most: int = 60) -> str:
    """A name from outside: as it is where it is harmless, quoted where it is not."""
    return text if re.fullmatch(r"[\w.-]+", text) and len(text) <= most else quoted(text, most)


def shortened(text: str, most: int) -> str:
    """At most `most` characters, the beginning and the end, with a gap where some are missing."""
    if len(text) <= most:
        return text
    room = max(most - len(GAP), 2)
    tail = room // 3
    return text[: room - tail] + GAP + text[-tail:] if tail else text[:most]


def written(value: Any) -> str:
    """A value of a parameter as it is written in a draft."""
    return orjson.dumps(to_jsonable_python(value)).decode()


def _escaped(character: str) -> str:
    units = character.encode("utf-16-be", "surrogatepass")
    pairs = (units[at : at + 2] for at in range(0, len(units), 2))
    return "".join(f"\\u{pair.hex()}" for pair in pairs)
