"""Halves of surrogate pairs, which JSON and YAML can write as escapes and UTF-8 cannot hold."""

from __future__ import annotations


def joined(text: str) -> str:
    """The text with pairs of halves made one character each.

    Raises `UnicodeError` where a half is left alone.
    """
    return text.encode("utf-16", "surrogatepass").decode("utf-16")
