"""A comparison of two runs as one page of HTML that needs nothing else."""

from __future__ import annotations

from datachef.core.pages.rendering import rendered
from datachef.plugins.report.comparison import Comparison
from datachef.plugins.report.page import PACKAGE
from datachef.plugins.report.row_changes import KINDS, ComparedRow
from datachef.plugins.report.samples import differences

# Rows and signals that are shown, so that the page stays small however many sources there are.
_ROWS = 120
_SIGNALS = 60


def diff_page(found: Comparison, title: str) -> str:
    """The page of a comparison."""
    return rendered(
        PACKAGE,
        "diff.html.jinja",
        {
            "title": title,
            "found": found,
            "kinds": KINDS,
            "rows": _total(found, "rows"),
            "tokens": _total(found, "tokens"),
            "steps": [step for step in found.steps if step.differs],
            "samples": [(row, _pieces(row)) for row in found.samples[:_ROWS]],
            "most_signals": _SIGNALS,
        },
    )


def _total(found: Comparison, field: str) -> tuple[int, int]:
    pairs = [getattr(source, field) for source in found.sources]
    return sum(pair[0] for pair in pairs), sum(pair[1] for pair in pairs)


def _pieces(row: ComparedRow) -> list[tuple[str, str]]:
    """The text of a row, in pieces where it is another in the two corpora."""
    if row.before is None or row.after is None:
        return [("same", row.after or row.before or "")]
    return differences(row.before, row.after)
