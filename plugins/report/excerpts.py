"""Rows in a line of the terminal each: their beginnings, and what changed of them."""

from __future__ import annotations

from collections.abc import Iterator

from rich.text import Text

from datachef.core.escaping import one_line
from datachef.plugins.report.samples import ChangedRow

_INDENT = 6
_LEAST = 40
# Characters that are shown before the first change of a row.
_BEFORE = 30
_MARKS = {"same": ("", "", ""), "gone": ("[-", "-]", "red"), "new": ("{+", "+}", "green")}


def excerpt(text: str, width: int, sign: str = "", style: str = "") -> Text:
    """The beginning of a text, its line breaks as spaces."""
    return _cut(Text(sign + one_line(" ".join(text.split())), style), width)


def change(row: ChangedRow, width: int) -> Iterator[Text]:
    """A row around its first change, what went and what came in brackets; or the rows that were
    made of it."""
    if row.made:
        yield excerpt(row.pieces[0][1], width)
        for text in row.made:
            yield excerpt(text, width, "+ ", "green")
        return
    first = next((place for place, (kind, _) in enumerate(row.pieces) if kind != "same"), 0)
    line = Text()
    for kind, text in row.pieces[max(0, first - 1) :]:
        begin, end, style = _MARKS[kind]
        far = not line and kind == "same" and len(text) > _BEFORE
        shown = f"…{text[-_BEFORE:]}" if far else text
        line.append(f"{begin}{one_line(shown)}{end}", style)
    yield _cut(line, width)


def _cut(line: Text, width: int) -> Text:
    line.truncate(max(width - _INDENT, _LEAST), overflow="ellipsis")
    return Text(" " * _INDENT) + line
