"""What is told of a finished run: its ledger, shares and warnings, and all else as a page."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any

import orjson

from datachef.core import DatachefError, FinishedRun, FolderReport, Host, document
from datachef.core.language_models.client import MODEL_EFFORT
from datachef.core.pages.rendering import rendered
from datachef.core.registry.vocabulary import Vocabulary
from datachef.plugins.report.composition import languages_of, licences_of, some_rows, sources_of
from datachef.plugins.report.flow import flow_of
from datachef.plugins.report.histograms import Histogram, histograms
from datachef.plugins.report.samples import changed, rejected

PACKAGE = "datachef.plugins.report"
MOST_BYTES = 2_000_000
_LISTED = 50
_MANIFEST_CHARACTERS = 60_000


@dataclass(frozen=True)
class _Detail:
    """How much of what has no end is shown: rows for each reason, characters of each, and places to
    which a threshold can be moved. Without rows, thresholds that drop nothing are left out too."""

    rows: int
    characters: int
    positions: int


# Tried in turn until the page is small enough.
_DETAILS = (_Detail(5, 600, 160), _Detail(3, 300, 160), _Detail(1, 200, 80), _Detail(0, 0, 20))


class CorpusReport(FolderReport):
    """The report of a finished run, by the folder or the URL of its corpus."""

    def __init__(self, place: Path | str, host: Host) -> None:
        super().__init__(Path(place), host)
        self._place = place

    @cached_property
    def run(self) -> FinishedRun:
        return FinishedRun.open(self._place)

    def data(self) -> Any:
        return self.run.ledger_data

    def printed(self) -> Iterable[Any]:
        from datachef.core.cli.display import accounts

        shares = [share.to_data() for share in self.run.shares]
        asked: Mapping[str, Any] = {}
        with suppress(DatachefError):  # of a corpus that was passed on without its effort
            asked = self.run.effort["language_models"]
        return accounts(self.run.ledger_data, shares, asked, self.run.warnings)

    def page(self) -> str:
        return page(self.run, self.host.vocabulary)


def page(run: FinishedRun, vocabulary: Vocabulary) -> str:
    """The page, of at most `MOST_BYTES` where the recipe itself leaves room for that."""
    known = _facts(run, vocabulary)
    made = ""
    for detail in _DETAILS:
        made = rendered(PACKAGE, "page.html.jinja", known | _detailed(run, detail), "page.js")
        if len(made.encode()) <= MOST_BYTES:
            break
    return made


def _facts(run: FinishedRun, vocabulary: Vocabulary) -> dict[str, Any]:
    """All that does not depend on how much is shown."""
    sources = sources_of(run)
    flow = flow_of(run)
    rows = some_rows(run)
    read = [step for step in flow if step.path in {f"sources.{s.name}" for s in sources}]
    return {
        "run": run,
        "title": f"{run.recipe.get('name', run.folder.name)}: report of a run",
        "recipe": document.dump(dict(run.recipe)),
        "flow": flow,
        "rows_read": sum(step.rows_in for step in read),
        "rows": flow[-1].rows_out if flow else 0,
        "tokens": flow[-1].tokens if flow else 0,
        "tokens_read": sum(step.tokens for step in read),
        "sources": sources,
        "colours": {str(step.source): step.colour for step in read},
        "copies": [
            step
            for step in flow
            if step.op in vocabulary and getattr(vocabulary[step.op], "removes_copies", False)
        ],
        "repeated": sum(step.created for step in flow if step.path == "mix"),
        "licences": licences_of(sources),
        "languages": languages_of([text for _, text in rows]),
        "looked_at": len(rows),
        "corpus_rows": rows,
        "effort": run.effort,
        "asked_figures": _asked_figures(run),
        "slowest": max(run.effort["steps"].values(), default=0.0) or 1.0,
        "inputs": _inputs(run.manifest),
        "outputs": list(islice(run.manifest["outputs"], _LISTED)),
        "more_outputs": max(len(run.manifest["outputs"]) - _LISTED, 0),
        "manifest": _shortened_json(run.manifest),
    }


def _asked_figures(run: FinishedRun) -> list[str]:
    """Which figures there are of what was asked of language models: a cost where prices are."""
    asked = run.effort["language_models"].values()
    return [*MODEL_EFFORT, *(["cost"] if any("cost" in figures for figures in asked) else [])]


def _detailed(run: FinishedRun, detail: _Detail) -> dict[str, Any]:
    measured = histograms(run, detail.positions)
    short = detail.rows == 0

    def filters(histogram: Histogram) -> bool:
        unasked = histogram.signal in ("tokens", "text_changed")
        return not unasked and not (short and histogram.idle)

    return {
        "short": short,
        "filters": _chosen(measured, filters),
        "lengths": _chosen(measured, lambda histogram: histogram.signal == "tokens"),
        "rejected": [] if short else rejected(run, detail.rows, detail.characters),
        "changed": changed(run, detail.rows, 2 * detail.characters),
        "kept_shown": min(3, detail.rows),
        "kept_characters": detail.characters,
    }


def _chosen(
    found: Mapping[str, list[Histogram]], wanted: Callable[[Histogram], bool]
) -> dict[str, list[Histogram]]:
    chosen = {step: list(filter(wanted, those)) for step, those in found.items()}
    return {step: those for step, those in chosen.items() if those}


def _inputs(manifest: Mapping[str, Any]) -> list[tuple[str, str, int, int, list[str], int]]:
    """Of each source its kind, the number and size of its files, and the names of some of them."""
    found = []
    for name, facts in manifest.get("inputs", {}).items():
        parts = facts["partitions"]
        names = list(dict.fromkeys(part["name"] for part in parts))
        bytes_read = sum(part["bytes"] or 0 for part in parts)
        found.append((name, facts["kind"], len(names), bytes_read, names[:5], len(names[5:])))
    return found


def _shortened_json(manifest: Mapping[str, Any]) -> str:
    """The manifest without what is shown elsewhere on the page, or has no end."""
    left_out = {"recipe", "inputs", "outputs", "shares", "warnings"}
    kept = {name: value for name, value in manifest.items() if name not in left_out}
    text = orjson.dumps(kept, option=orjson.OPT_INDENT_2).decode()
    return text if len(text) <= _MANIFEST_CHARACTERS else f"{text[:_MANIFEST_CHARACTERS]}…"
