"""Tables and numbers for people."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.text import Text

from datachef.core.escaping import escaped, one_line
from datachef.core.language_models.client import MODEL_EFFORT


def size(count: int) -> str:
    """Bytes in the unit that fits."""
    value = float(count)
    for unit in ("B", "kB", "MB", "GB"):
        if value < 1000:
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1000
    return f"{value:.1f} TB"


def place(path: Path | str) -> str:
    """A path as one would type it here: relative where it is in the working directory; a URL as it
    is."""
    from datachef.core.system.paths import is_url

    if isinstance(path, str) and is_url(path):
        return one_line(path)
    path, here = Path(path), Path.cwd()
    return one_line(str(path.relative_to(here) if path.is_relative_to(here) else path))


def duration(seconds: float) -> str:
    """A time in the two units that fit."""
    whole = int(seconds)
    if whole < 120:
        return f"{seconds:.1f} s"
    if whole < 2 * 3600:
        return f"{whole // 60} min {whole % 60} s"
    if whole < 2 * 86400:
        return f"{whole // 3600} h {whole % 3600 // 60} min"
    return f"{whole // 86400} days {whole % 86400 // 3600} h"


def interval(bounds: tuple[float, float] | None) -> str:
    """`[low, high]`, empty where there is none."""
    return "" if bounds is None else f"[{bounds[0]:.4f}, {bounds[1]:.4f}]"


def shares_table(shares: Sequence[Mapping[str, Any]]) -> Any:
    """The sources of a corpus as a rich table, with what the mix was asked for beside them."""
    from rich.table import Table

    table = Table(header_style="bold")
    table.add_column("source")
    for name in ("asked", f"share of {shares[0]['unit']}", "rows", "tokens", "epochs"):
        table.add_column(name, justify="right")
    for share in shares:
        table.add_row(
            share["source"],
            "" if share["asked"] is None else f"{share['asked']:.1%}",
            f"{share['share']:.1%}",
            f"{share['rows']:,}",
            f"{share['tokens']:,}",
            "" if share["epochs"] is None else f"{share['epochs']:.2f}",
        )
    return table


def ledger_table(entries: Sequence[Mapping[str, Any]]) -> Any:
    """The ledger as a rich table: a line per step, a line per reason under it."""
    from rich.table import Table
    from rich.text import Text

    table = Table(header_style="bold")
    table.add_column("step")
    table.add_column("operator")
    for name in ("rows in", "kept", "tokens", "time"):
        table.add_column(name, justify="right")
    for entry in entries:
        table.add_row(
            entry["path"],
            entry["op"],
            f"{entry['rows_in']:,}",
            f"{entry['rows_out']:,}",
            f"{entry['tokens']:,}" if entry["tokens"] else "",
            f"{entry['seconds']:.1f} s" if "seconds" in entry else "",
        )
        for kind, sign in (("dropped", "-"), ("failed", "!")):
            for reason, count in sorted(entry[kind].items(), key=lambda item: -item[1]):
                table.add_row(
                    "", Text(f"  {kind}: {one_line(reason)}", style="dim"), "", f"{sign}{count:,}"
                )
        for name, count in entry.get("counted", {}).items():
            table.add_row("", Text(f"  {one_line(name)}", style="dim"), "", f"{count:,}")
        for broken in entry.get("broken", ()):
            read = f"{broken['rows_read']:,} rows read"
            if broken["bytes_read"]:
                read = f"{broken['bytes_read']:,} of {broken['size']:,} bytes and {read}"
            file = one_line(broken["file"])
            table.add_row("", Text(f"  broken: {file}, {read}", style="dim"))
        if entry["created"]:
            table.add_row("", Text("  created", style="dim"), "", f"+{entry['created']:,}")
    return table


def models_table(asked: Mapping[str, Mapping[str, Any]]) -> Any:
    """What steps asked of language models as a rich table, with the cost where prices are known."""
    from rich.table import Table

    priced = any("cost" in figures for figures in asked.values())
    table = Table(header_style="bold")
    for name in ("step", "model"):
        table.add_column(name)
    for name in (*MODEL_EFFORT, *(["cost"] if priced else [])):
        table.add_column(name.replace("_", " "), justify="right")
    for path, figures in asked.items():
        counts = (f"{figures[name]:,}" for name in MODEL_EFFORT)
        cost = [f"{figures['cost']:,.4f}" if "cost" in figures else ""] if priced else []
        table.add_row(path, one_line(figures["model"]), *counts, *cost)
    return table


def accounts(
    entries: Sequence[Mapping[str, Any]],
    shares: Sequence[Mapping[str, Any]],
    asked: Mapping[str, Mapping[str, Any]],
    warnings: Iterable[object],
) -> list[Any]:
    """The ledger, the sources where a mix weighed them, what was asked of language models, and what
    should be known of the corpus."""
    weighed = any(share["asked"] is not None for share in shares)
    tables: list[Any] = [ledger_table(entries), *([shares_table(shares)] if weighed else [])]
    return [*tables, *([models_table(asked)] if asked else []), *map(str, warnings)]


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
