"""A console of rich on which nothing but text is printed, whatever is in it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.text import Text

from datachef.core.escaping import escaped


class TextConsole(Console):
    """Escapes what is printed: strings before they are laid out, and everything once more after.

    What rich writes itself to move the cursor and to colour text is no text, and stays.
    """

    def render_str(self, text: str, **options: Any) -> Text:
        return super().render_str(escaped(text), **options)

    def render(
        self, renderable: RenderableType, options: ConsoleOptions | None = None
    ) -> Iterable[Segment]:
        for segment in super().render(renderable, options):
            if segment.control or segment.text.isprintable():
                yield segment
            else:
                yield Segment(escaped(segment.text), segment.style, segment.control)
