"""Halves of surrogate pairs, which UTF-8 cannot hold.

JSON and YAML write them as escapes; in names of the system, and where a file is read with
`surrogateescape`, they stand for bytes that are no text.
"""

from __future__ import annotations


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
