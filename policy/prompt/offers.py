"""Which steps a space offers, and where they may stand."""

from __future__ import annotations

from dataclasses import dataclass

from datachef.policy.space.nodes import Choice, Node, OneOf, Record, Selection, Sequence, Shared
from datachef.policy.space.space import RecipeSpace
from datachef.policy.space.steps import operator_of


@dataclass(frozen=True)
class Offer:
    """The steps of one operator: what can be written, and where: in the steps of some sources, in
    those on the corpus, as the mix; `anywhere` there are steps."""

    step: Record
    sources: tuple[str, ...]
    corpus: bool = False
    mix: bool = False
    anywhere: bool = False


def offers(space: RecipeSpace) -> dict[str, Offer]:
    """The offers of a space by operator, sorted by name."""
    root = space.root.required
    of_sources = {
        source: _steps(record.required.get("steps")) for source, record in sources_of(space).items()
    }
    corpus, mixes = _steps(root.get("steps")), _steps(root.get("mix"))
    steps = mixes | corpus
    places: dict[str, list[str]] = {}
    for source, own in of_sources.items():
        steps |= own
        for name in own:
            places.setdefault(name, []).append(source)
    stepped = sum(bool(own) for own in of_sources.values())
    found = {}
    for name in sorted(steps):
        own_places = tuple(places.get(name, ()))
        anywhere = len(own_places) == stepped and (name in corpus or not corpus)
        found[name] = Offer(
            steps[name],
            own_places,
            corpus=name in corpus,
            mix=name in mixes,
            anywhere=anywhere and name not in mixes,
        )
    return found


def sources_of(space: RecipeSpace) -> dict[str, Record]:
    """What may be written of each source, in the order of the pool."""
    selection = space.root.required["sources"]
    assert isinstance(selection, Selection)
    return {name: node for name, node in selection.fields.items() if isinstance(node, Record)}


def choices(node: Node | None) -> tuple[object, ...]:
    """The values of a choice; none where there is no choice."""
    return node.values if isinstance(node, Choice) else ()


def _steps(node: Node | None) -> dict[str, Record]:
    """The steps that may be written, by operator."""
    if isinstance(node, Sequence):
        return _steps(node.item)
    if not isinstance(node, OneOf):
        return {}
    bare = (one.node if isinstance(one, Shared) else one for one in node.alternatives)
    return {operator_of(one): one for one in bare if isinstance(one, Record)}
