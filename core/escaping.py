"""Untrusted text made harmless to show: on a terminal, in a log, in JSON, in Markdown.

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
_JOINERS = "\u200c\u200d"  # within words of Persian and of Indian languages, and within emoji
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
        c if c.isprintable() or c in keep or _is_written(text, at) else ascii(c)[1:-1]
        for at, c in enumerate(text)
    )


def _is_written(text: str, at: int) -> bool:
    """Whether a character that Python does not print is part of how people write: a space, or a
    joiner between two characters that it may join."""
    if text[at] in _SPACES:
        return True
    beside = text[max(at - 1, 0) : at] + text[at + 1 : at + 2]
    joinable = len(beside) == 2 and beside.isprintable() and not any(map(str.isascii, beside))
    return text[at] in _JOINERS and joinable


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
        c if c.isprintable() or c in _LAYOUT or _is_written(text, at) else _json_escape(c)
        for at, c in enumerate(text)
    ).encode()


def indented_json(data: Any) -> bytes:
    """Plain data as JSON for people, as `escaped_json` has it, with a line end."""
    import orjson

    return escaped_json(orjson.dumps(data, option=orjson.OPT_INDENT_2)) + b"\n"


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
    draws a bar nevertheless, as tqdm does, begins each time with a carriage return: on a terminal
    the bar takes the place of the one before it, and of nothing else; elsewhere it is a line. What
    draws on the terminal itself writes to `raw`.
    """

    def __init__(self, raw: Any) -> None:
        self.raw = raw
        self._line = ""  # what stands on the line that is being written: nothing, a bar, text

    def write(self, text: str) -> int:
        bar = text.startswith("\r") and not text.startswith("\r\n")
        shown = escaped(text.replace("\r\n", "\n").lstrip("\r" if bar else ""))
        if bar and self._line == "bar" and self.raw.isatty():
            self.raw.write("\r")
        elif bar and self._line and shown:
            self.raw.write("\n")
        self.raw.write(shown)
        if shown:
            self._line = "" if shown.endswith("\n") else "bar" if bar else "text"
        return len(text)

    def writelines(self, lines: Any) -> None:
        for line in lines:
            self.write(line)

    def isatty(self) -> bool:
        return False

    def close(self) -> None:
        """Stays open: it is not for those who print to close it."""
        self.raw.flush()

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


def joined(text: str) -> str:
    """The text with pairs of halves made one character each.

    Raises `UnicodeError` where a half is left alone.
    """
    return text.encode("utf-16", "surrogatepass").decode("utf-16")


def is_whole(text: str) -> bool:
    """Whether there is no half in it."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def shown(text: str) -> str:
    """The text as it can be printed: bytes that are no text are replaced."""
    return text.encode(errors="surrogateescape").decode(errors="replace")
