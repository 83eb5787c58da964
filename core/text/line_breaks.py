"""Line breaks that a text writes out, as sets that were escaped twice do."""

from __future__ import annotations

import re

# Commands of LaTeX that begin with an n.
_COMMANDS = "abla|e|earrow|eg|eq|ewline|exists|geq|i|leq|mid|ot|otin|parallel|ormalsize|u|warrow"
_WRITTEN_BREAK = re.compile(rf"\\n(?!(?:{_COMMANDS})(?![a-z]))")
_OTHER_COMMAND = re.compile(rf"\\(?:[a-mo-zA-Z]|n(?:{_COMMANDS})(?![a-z]))")
# In a text with other commands, only those before an option are surely line breaks.
_BEFORE_OPTION = re.compile(
    r"\\n(?=\s*(?:[(\[]?[A-Za-z0-9]{1,2}[)\].:]|-\s|Options|Choices|Answer))"
)


def with_breaks(text: str) -> str:
    r"""The text with line breaks where `\n` is written out, and is no command of LaTeX."""
    if "\\n" not in text:
        return text
    pattern = _BEFORE_OPTION if _OTHER_COMMAND.search(text) else _WRITTEN_BREAK
    return pattern.sub("\n", text)
