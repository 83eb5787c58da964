"""How much of each source a corpus takes, in exact arithmetic."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction


def proportions(
    sizes: Mapping[str, int], weights: Mapping[str, float], temperature: float
) -> dict[str, Fraction]:
    """What each source that takes part is weighed at; without weights, its size counts.

    A temperature above 1 evens the sources out, as in the multilingual mixtures of mT5 (Xue et al.
    2021, https://arxiv.org/abs/2010.11934).
    """
    given = {name: weights.get(name, 0.0) for name in sizes} if weights else sizes
    taking_part = {name: w for name, w in given.items() if w > 0 and sizes[name] > 0}
    if temperature != 1:
        largest = max(taking_part.values(), default=1)
        taking_part = {n: (w / largest) ** (1 / temperature) for n, w in taking_part.items()}
    # Through its decimal digits a weight of 0.7 is seven tenths, and not the float beside it.
    return {name: Fraction(str(w)) for name, w in taking_part.items() if w > 0}


def amounts(
    sizes: Mapping[str, int],
    shares: Mapping[str, Fraction],
    max_epochs: int,
    budget: int | None,
) -> dict[str, int]:
    """How much to take of each source: by its share, and never more than its epochs allow.

    Without a budget, as much as honours the shares. With one, what a source cannot give goes to the
    others by their shares, and stays open when none can.
    """
    limits = {name: sizes[name] * max_epochs for name in shares}
    if budget is None:
        factor = min((Fraction(limits[n]) / shares[n] for n in shares), default=Fraction(0))
        return {name: int(shares[name] * factor) for name in shares}
    taken: dict[str, Fraction] = {}
    open_shares, left = dict(shares), Fraction(budget)
    while open_shares:
        whole = sum(open_shares.values())
        wanted = {name: share / whole * left for name, share in open_shares.items()}
        full = [name for name in wanted if wanted[name] >= limits[name]]
        if not full:
            taken |= wanted
            break
        for name in full:
            taken[name] = Fraction(limits[name])
            left -= limits[name]
            del open_shares[name]
    return {name: int(amount) for name, amount in taken.items()}
