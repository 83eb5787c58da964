"""The flow of the rows as a band that narrows from step to step, a slice of it for each step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from datachef.core import FinishedRun
from datachef.core.run.ledger import Entry

# A slice is so wide and high in units of its own; it is stretched to the height of its row.
WIDTH, HEIGHT = 320, 100
_LANES = 0.72 * WIDTH
_GAP = 6
# The colours of sources are told apart by their number, and repeat.
COLOURS = 6
_BROKEN = 10


@dataclass(frozen=True)
class Ribbon:
    """A piece of the band as an SVG path; `colour` is the number of a source, -1 for rows lost."""

    path: str
    colour: int


@dataclass(frozen=True)
class FlowRow:
    """A step with the numbers of its ledger entry, and its slice of the picture; where a source is
    read, its `colour`, and what is said of files that are `broken`."""

    path: str
    op: str
    source: str | None
    rows_in: int
    rows_out: int
    created: int
    tokens: int
    seconds: float | None
    lost: Sequence[tuple[str, str, int]]
    counted: Mapping[str, int]
    broken: Sequence[str]
    ribbons: Sequence[Ribbon]
    colour: int | None = None

    @property
    def dropped(self) -> int:
        """The rows that the step decided against."""
        return sum(count for kind, _, count in self.lost if kind == "dropped")


def flow_of(run: FinishedRun) -> list[FlowRow]:
    """The steps of a run in order, each with its slice."""
    rows = []
    drawn = _Drawing(run)
    seconds = run.effort["steps"]
    for entry in run.ledger:
        lost = [
            (kind, reason, count)
            for kind, counts in (("dropped", entry.dropped), ("failed", entry.failed))
            for reason, count in sorted(counts.items(), key=lambda item: (-item[1], item[0]))
        ]
        rows.append(
            FlowRow(
                entry.path, entry.op, entry.source, entry.rows_in, entry.rows_out, entry.created,
                entry.tokens, seconds.get(entry.path), lost, dict(sorted(entry.counted.items())),
                [str(file) for file in list(entry.broken.values())[:_BROKEN]],
                drawn.slice(entry),
                drawn.colour_at(entry),
            )
        )  # fmt: skip
    return rows


class _Drawing:
    """Draws slice by slice, and remembers where the rows of each source are.

    The sources stand side by side and flow down, those that are not yet at their steps unseen,
    those that have passed them beside the others, until the steps on the corpus join them.
    """

    def __init__(self, run: FinishedRun) -> None:
        self._run = run
        entries = list(run.ledger)
        names = dict.fromkeys(entry.source for entry in entries if entry.source is not None)
        self._colours = {name: number for number, name in enumerate(names)}
        most = dict.fromkeys(names, 1)
        together = 1
        for entry in entries:
            name = entry.source
            if name is not None:
                most[name] = max(most[name], entry.rows_in, entry.rows_out)
            else:
                together = max(together, entry.rows_in, entry.rows_out)
        gaps = _GAP * max(len(names) - 1, 0)
        self._scale = max(_LANES - gaps, _LANES / 2) / max(sum(most.values()), together)
        self._gap = min(_GAP, _LANES / 2 / max(len(names), 1))
        self._place: dict[str, float] = {}
        self._width: dict[str, float] = {}
        start = 0.0
        for name, rows in most.items():
            self._place[name] = start
            start += rows * self._scale + self._gap

    def slice(self, entry: Entry) -> list[Ribbon]:
        name = entry.source
        if name is None:
            return self._joined(entry.path)
        ribbons = [
            Ribbon(_band(self._place[other], width, self._place[other], width), self._colour(other))
            for other, width in self._width.items()
            if other != name
        ]
        at, before, after = (
            self._place[name],
            entry.rows_in * self._scale,
            entry.rows_out * self._scale,
        )
        if before > after:
            ribbons.append(Ribbon(_leaving(at + after, before - after), -1))
        ribbons.append(Ribbon(_band(at, before, at, after), self._colour(name)))
        self._width[name] = after
        return ribbons

    def _joined(self, path: str) -> list[Ribbon]:
        """A step on the corpus: the rows of all sources, one beside the other."""
        bands, lost, start = [], 0.0, 0.0
        for name, (rows_in, rows_out) in self._run.rows_by_source(path).items():
            if name not in self._place:
                continue
            before, after = rows_in * self._scale, rows_out * self._scale
            if before or after:
                band = _band(self._place[name], before, start, after)
                bands.append(Ribbon(band, self._colour(name)))
            lost += max(before - after, 0.0)
            self._place[name] = start
            self._width[name] = after
            start += after
        return [*([Ribbon(_leaving(start, lost), -1)] if lost else []), *bands]

    def colour_at(self, entry: Entry) -> int | None:
        """The colour of the source that is read at a step."""
        name = entry.source
        return self._colour(name) if name is not None and entry.path == f"sources.{name}" else None

    def _colour(self, name: str) -> int:
        return self._colours[name] % COLOURS


def _band(top: float, width_in: float, bottom: float, width_out: float) -> str:
    """What flows down, from a place and width at the top to those at the bottom."""
    middle = HEIGHT / 2
    wide = max(width_in, 0.6 if width_in else 0), max(width_out, 0.6 if width_out else 0)
    return (
        f"M{top:.1f} 0C{top:.1f} {middle:g} {bottom:.1f} {middle:g} {bottom:.1f} {HEIGHT}"
        f"H{bottom + wide[1]:.1f}"
        f"C{bottom + wide[1]:.1f} {middle:g} {top + wide[0]:.1f} {middle:g} {top + wide[0]:.1f} 0Z"
    )


def _leaving(start: float, width: float) -> str:
    """What leaves to the right, to where the reasons stand."""
    width = max(width, 0.6)
    thick = min(max(width / 2, 2.0), 60.0)
    first, last = HEIGHT / 2 - thick / 2, HEIGHT / 2 + thick / 2
    end = start + width
    return (
        f"M{start:.1f} 0C{start:.1f} {last:.1f} {end:.1f} {last:.1f} {WIDTH} {last:.1f}"
        f"V{first:.1f}C{end + 12:.1f} {first:.1f} {end:.1f} {first / 2:.1f} {end:.1f} 0Z"
    )
