"""Text of strangers made harmless to show: on a terminal, in a log, in JSON, in Markdown.

Names of files, fields, sources, plugins and models, and the answers of servers, may hold characters
that move the cursor, hide or reorder text, or forge a line. Whatever is shown passes here.
"""

from __future__ import annotations

import html
import re
import sys
from typing import Any

# What no printed character is: controls (C0, DEL, C1), formats (zero width, bidirectional, tags),
# separators of lines and paragraphs, lone surrogates, what is unassigned or private.
_LAYOUT = "\n\t"
_SPACES = "\u3000"  # the space of Chinese and Japanese text
_MARKUP = re.compile(r"[\\`*_\[\]|#~]")
# What would begin a list, a heading or a rule where a line begins with it.
_BEGINNING = re.compile(r"^[-+=]")


def escaped(text: str, keep: str = _LAYOUT) -> str:
    r"""The text with everything that is not printed as a Python escape (`\x1b`, `\u202e`).

    `keep` are the characters that lay text out and stay, by default line breaks and tabs.
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(
        c if c.isprintable() or c in keep or c in _SPACES else ascii(c)[1:-1] for c in text
    )


def one_line(text: str) -> str:
    """The same without line breaks and tabs: a name that cannot pose as a line of its own."""
    return escaped(text, keep="")


def indented(text: str) -> str:
    """A message of which no line but the first begins at the margin, where messages of ours do."""
    return escaped(text).replace("\n", "\n    ")


def escaped_json(raw: bytes) -> bytes:
    r"""JSON, as UTF-8, in which what is not printed stands as `\uXXXX`; it means the same."""
    text = raw.decode()
    if text.isascii() and "\x7f" not in text:
        return raw  # JSON itself escapes C0
    return "".join(
        c if c.isprintable() or c in _LAYOUT or c in _SPACES else _json_escape(c) for c in text
    ).encode()


def _json_escape(character: str) -> str:
    units = character.encode("utf-16-be")
    return "".join(f"\\u{units[at : at + 2].hex()}" for at in range(0, len(units), 2))


def markdown(text: str) -> str:
    """Text that stays on its line, or in its cell of a table, and is no markup and no HTML."""
    shown = html.escape(one_line(" ".join(text.split())), quote=False)
    return _BEGINNING.sub(r"\\\g<0>", _MARKUP.sub(r"\\\g<0>", shown))


def markdown_code(text: str) -> str:
    """Text as code within a line of Markdown or a cell of a table."""
    shown = one_line(text).replace("`", "'").replace("|", "\\|")
    return f"`{shown}`"


class EscapingStream:
    """A text stream that prints nothing but text: what else is written to it is escaped.

    It says that it is no terminal, so that libraries write neither colours nor bars to it. What
    draws on the terminal itself writes to `raw`.
    """

    def __init__(self, raw: Any) -> None:
        self.raw = raw

    def write(self, text: str) -> int:
        self.raw.write(escaped(text))
        return len(text)

    def writelines(self, lines: Any) -> None:
        for line in lines:
            self.write(line)

    def isatty(self) -> bool:
        return False

    def __getattr__(self, name: str) -> Any:
        return getattr(self.raw, name)


def escape_output() -> None:
    """Has all that this process prints from now on escaped, also by libraries and plugins."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is not None and not isinstance(stream, EscapingStream):
            setattr(sys, name, EscapingStream(stream))


def raw_stream(stream: Any) -> Any:
    """The stream behind one that escapes, for who draws on a terminal; others are given back."""
    return stream.raw if isinstance(stream, EscapingStream) else stream
