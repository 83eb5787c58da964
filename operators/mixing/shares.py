"""How much of each source a corpus takes, in exact arithmetic."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from typing import Literal

Shortage = Literal["stop", "redistribute", "repeat"]


def proportions(
    sizes: Mapping[str, int], weights: Mapping[str, float], temperature: float
) -> dict[str, Fraction]:
    """The share of each source that takes part, in all 1; without weights, its size counts.

    A temperature above 1 evens the sources out, as in the multilingual mixtures of mT5 (Xue et al.
    2021, https://arxiv.org/abs/2010.11934).
    """
    given = {name: weights.get(name, 0.0) for name in sizes} if weights else sizes
    taking_part = {name: w for name, w in given.items() if w > 0}
    if temperature != 1:
        largest = max(taking_part.values(), default=1)
        taking_part = {n: (w / largest) ** (1 / temperature) for n, w in taking_part.items()}
    # Through its decimal digits a weight of 0.7 is seven tenths, and not the float beside it.
    exact = {name: Fraction(str(w)) for name, w in taking_part.items() if w > 0}
    whole = sum(exact.values())
    return {name: share / whole for name, share in exact.items()}


def amounts(
    sizes: Mapping[str, int],
    shares: Mapping[str, Fraction],
    max_epochs: int,
    budget: int | None,
    shortage: Shortage = "stop",
) -> dict[str, int]:
    """How much to take of each source: its share, and of a short one what `shortage` says.

    `stop` takes as much as honours the shares within `max_epochs`, which is also what is taken
    without a budget; `redistribute` gives what a source lacks to the others by their shares;
    `repeat` takes a short source more often than `max_epochs`. A source that holds nothing cannot
    be repeated, and nothing honours its share.
    """
    limits = {name: sizes[name] * max_epochs for name in shares}
    most = min((Fraction(limits[n]) / shares[n] for n in shares), default=Fraction(0))
    if budget is None:
        return _rounded({name: share * most for name, share in shares.items()})
    if shortage == "redistribute":
        return _rounded(_redistributed(limits, shares, Fraction(budget)))
    if shortage == "stop" or not all(limits.values()):
        budget_or_most = min(Fraction(budget), most)
    else:
        budget_or_most = Fraction(budget)
    return _rounded({name: share * budget_or_most for name, share in shares.items()})


def _redistributed(
    limits: Mapping[str, int], shares: Mapping[str, Fraction], budget: Fraction
) -> dict[str, Fraction]:
    taken: dict[str, Fraction] = {}
    open_shares, left = dict(shares), budget
    while open_shares:
        whole = sum(open_shares.values())
        wanted = {name: share / whole * left for name, share in open_shares.items()}
        full = [name for name in wanted if wanted[name] >= limits[name]]
        if not full:
            return taken | wanted
        for name in full:
            taken[name] = Fraction(limits[name])
            left -= limits[name]
            del open_shares[name]
    return taken


def _rounded(exact: Mapping[str, Fraction]) -> dict[str, int]:
    """Whole numbers of the same sum, rounded down: those that lose most by it are rounded up."""
    whole = {name: int(amount) for name, amount in exact.items()}
    left = int(sum(exact.values())) - sum(whole.values())
    for name in sorted(exact, key=lambda name: whole[name] - exact[name])[:left]:
        whole[name] += 1
    return whole
