"""What no cooking at all gives: each source as it is, and all of them together."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from datachef.policy.search.listed import ListedSearch
from datachef.policy.space import RecipeSpace
from datachef.policy.space.nodes import Choice, OneOf, Record, Selection
from datachef.policy.space.space import BUDGET, WEIGHTS
from datachef.policy.space.steps import simplest


class SourceBaselines(ListedSearch):
    """All sources by their sizes, all sources with equal weights, and each source alone: whole,
    without steps. A mix only cuts them to the task's budget, or makes weights equal."""

    def __init__(self, space: RecipeSpace) -> None:
        super().__init__(_recipes(space))


def _recipes(space: RecipeSpace) -> Iterator[dict[str, Any]]:
    names = list(space.surveys)
    mix = _mix(space)
    if len(names) > 1:
        if mix is None or _within_budget(space, names):
            yield _whole(space, names, "all-by-size")
        elif not space.vocabulary[mix["op"]].model_fields[WEIGHTS].is_required():
            mixed = _mixed(space, names, mix, "all-by-size")
            del mixed["mix"][WEIGHTS]
            yield mixed
        if mix is not None:
            yield _mixed(space, names, mix, "all-equally")
    for name in names:
        alone = f"only-{name}"[:100]
        if mix is None or _within_budget(space, [name]):
            yield _whole(space, [name], alone)
        else:
            yield _mixed(space, [name], mix, alone)


def _whole(space: RecipeSpace, names: Sequence[str], called: str) -> dict[str, Any]:
    return space.recipe({"sources": {name: {} for name in names}}, called)


def _mixed(
    space: RecipeSpace, names: Sequence[str], mix: dict[str, Any], called: str
) -> dict[str, Any]:
    sources = {name: {"weight": _weight(space)} for name in names}
    return space.recipe({"sources": sources, "mix": mix, BUDGET: _share(space)}, called)


def _mix(space: RecipeSpace) -> dict[str, Any] | None:
    """The first of the space's mixes, as it is by default."""
    mixes = space.root.required.get("mix")
    if mixes is None:
        return None
    assert isinstance(mixes, OneOf) and isinstance(mixes.alternatives[0], Record)
    return simplest(mixes.alternatives[0])


def _weight(space: RecipeSpace) -> float:
    """Any weight that may be written: only that all are equal matters."""
    sources = space.root.required["sources"]
    assert isinstance(sources, Selection)
    first = next(iter(sources.fields.values()))
    assert isinstance(first, Record) and isinstance(first.required["weight"], Choice)
    return float(first.required["weight"].values[0])


def _share(space: RecipeSpace) -> float | None:
    """The largest share of the task's budget that may be written."""
    shares = space.root.required.get(BUDGET)
    return max(shares.values) if isinstance(shares, Choice) else None


def _within_budget(space: RecipeSpace, names: Sequence[str]) -> bool:
    """Whether these sources surely hold no more than the budget."""
    share = _share(space)
    if space.budget is None or share is None:
        return True
    if space.budget.tokens is None:
        return False
    sizes = [space.surveys[name].most_tokens for name in names]
    known = [size for size in sizes if size is not None]
    return len(known) == len(sizes) and sum(known) <= share * space.budget.tokens
