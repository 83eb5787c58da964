"""How much of each source goes into the corpus."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from fractions import Fraction
from typing import Annotated, ClassVar, Literal, Self

import numpy as np
import polars as pl
from numpy.typing import NDArray
from pydantic import Field

from datachef.core import (
    Budget,
    CheckContext,
    Context,
    MixOperator,
    RunError,
    Size,
    beside_ids,
    corpus_size,
    sampling_priorities,
    shortened,
    source_weights,
)

Shortage = Literal["stop", "redistribute", "repeat"]

# A source that lacks no more than this of what is asked is not short.
_TOLERANCE = Fraction(1, 100)
# Weights that leave less than this of the sources are reported, unless a budget asks for it.
_LITTLE = Fraction(1, 10)
MOST_EPOCHS = 1_000


class WeightedMix(MixOperator):
    """Mixes the sources by weight, within a budget, repeating rows where a source is too small.

    Weights are shares of tokens, or of rows where the budget is in rows. Each source is taken in
    whole epochs and a rest, whose rows a hash of seed and id decides. On repeating data:
    Muennighoff et al. 2023 (https://arxiv.org/abs/2305.16264) find little loss up to 4 epochs.

    A source is short where `max_epochs` of it are less than its share of the budget. By default the
    corpus then stops at the size that still honours the weights; it can give the lack to the other
    sources instead, or repeat the short source further, beyond `max_epochs`. A source that steps
    emptied leaves nothing to take, except where its lack is given to the others.
    """

    version: ClassVar[int] = 3
    bytes_per_row: ClassVar[int] = 80

    op: Literal["weighted_mix"] = "weighted_mix"
    weights: dict[str, Annotated[float, Field(ge=0, le=1_000_000, allow_inf_nan=False)]] = (
        source_weights(
            description="Weight of each source by name; one that is left out is not taken. "
            "Without any, sources count by their size.",
        )
    )
    temperature: float = Field(
        1.0, ge=0.1, le=10.0, description="Above 1 evens the weights out, below 1 sharpens them."
    )
    budget: Budget | None = corpus_size(
        description="The size of the corpus; without, as much as honours the weights."
    )
    max_epochs: int = Field(1, ge=1, le=100, description="How often a row may be taken.")
    source_epochs: dict[str, Annotated[int, Field(ge=1, le=100)]] = Field(
        default_factory=dict,
        description="How often a row of a source may be taken, by name, instead of max_epochs.",
    )
    shortage: Shortage = Field(
        "stop",
        # A policy tries many steps, of which some leave nothing of a source: that is not to cost it
        # the other sources.
        examples=["redistribute"],
        description="Where a source cannot fill its share of the budget: stop at the size that the "
        "weights allow, redistribute its lack to the others, or repeat it beyond max_epochs.",
    )

    @property
    def unit(self) -> Literal["tokens", "rows"]:
        return "rows" if self.budget is not None and self.budget.rows is not None else "tokens"

    def asked(self, sizes: Mapping[str, Size]) -> Mapping[str, float]:
        shares = self._shares(self._counted(sizes))
        return {name: float(shares.get(name, 0)) for name in sizes}

    def check(self, context: CheckContext) -> Iterator[tuple[str, str, str]]:
        if self.weights and not any(self.weights.values()):
            yield "weights", "every weight is 0, so nothing is taken", "give a source some weight"
        for name in self.source_epochs:
            if name not in context.sources:
                known = ", ".join(context.sources)
                yield f"source_epochs.{name}", f"there is no source {shortened(name)}", known

    def shortages(self, sizes: Mapping[str, Size]) -> Iterable[tuple[str, str, str]]:
        counted = self._counted(sizes)
        shares, taken = self._shares(counted), self._taken(counted)
        if self._amount is None:
            empty = [name for name in shares if not counted[name]]
            if empty:
                others = len(empty) < len(shares) and self.shortage == "redistribute"
                done = "the others are taken" if others else "nothing is taken"
                message = f"{', '.join(empty)} is weighed and holds nothing, so {done}"
                yield "weights", message, "leave it out of the weights"
            elif (most := sum(counted[name] for name in shares)) * _LITTLE > sum(taken.values()):
                least = min(shares, key=lambda name: counted[name] / shares[name])
                message = (
                    f"{least} holds {counted[least]:,} {self.unit}, so that by the weights "
                    f"{sum(taken.values()):,} of {most:,} are taken"
                )
                yield "weights", message, f"raise max_epochs, or weigh {least} less"
            return
        lacking = [
            self._lack(name, counted[name], share)
            for name, share in shares.items()
            if counted[name] * self._most_epochs(name) < share * self._amount * (1 - _TOLERANCE)
        ]
        if not lacking:
            return
        total = sum(taken.values())
        whole = f"{total:,} of {self._amount:,} {self.unit}"
        if self.shortage == "redistribute":
            real = ", ".join(
                f"{name} {taken[name] / total if total else 0:.1%} instead of {float(share):.1%}"
                for name, share in shares.items()
            )
            done = f"the others make up for it ({real}), the mix holds {whole}"
            hint = "raise max_epochs, lower the budget or change the weights"
        elif self.shortage == "repeat" and total:
            epochs = ", ".join(
                f"{name} {float(taken[name] / counted[name]):.1f} times"
                for name in shares
                if taken[name] > counted[name] * self._most_epochs(name)
            )
            done = f"more is repeated than max_epochs says: {epochs}"
            hint = "add data, lower the budget or change the weights"
        else:
            done = f"the mix stops at {whole}, as the weights allow"
            hint = (
                "raise max_epochs, lower the budget, change the weights, "
                "or say shortage: redistribute or repeat"
            )
        yield "budget", f"{'; '.join(lacking)}: {done}", hint

    def _lack(self, name: str, size: int, share: Fraction) -> str:
        assert self._amount is not None
        epochs = self._most_epochs(name)
        times = f" in {epochs} epochs" if epochs > 1 else ""
        return (
            f"{name} gives {size * epochs:,} {self.unit}{times} "
            f"of the {round(share * self._amount):,} that its share of {float(share):.1%} asks for"
        )

    def resolve(self, summaries: pl.LazyFrame, context: Context) -> pl.LazyFrame:
        counted = self._counted(self.sizes(summaries, context.sources))
        taken = self._taken(counted)
        self._refuse_endless(counted, taken)
        # Without weights, the rows of a source that holds no tokens are taken: they cost nothing.
        once = {name for name, size in counted.items() if taken.get(name, 0) == size}
        if self.weights:
            once = {name for name in once if counted[name]}
        wanted = {name: taken.get(name, 0) for name in counted if name not in once}
        if not wanted:
            return summaries.head(0).select("id", pl.lit(1, pl.UInt32).alias("copies"))
        copies = _copies(summaries, counted, wanted, context)
        return beside_ids(summaries, copies=copies).filter(pl.col("copies") != 1)

    def _refuse_endless(self, counted: Mapping[str, int], taken: Mapping[str, int]) -> None:
        """Whoever writes a budget by mistake, or means harm, does not fill the disk with copies."""
        for name, size in counted.items():
            if taken.get(name, 0) > size * MOST_EPOCHS:
                raise RunError(
                    f"the mix would repeat {name} {taken[name] // size:,} times, and it repeats a"
                    f" source at most {MOST_EPOCHS:,} times",
                    hint="lower the budget or its weight, or give it more data",
                )

    def epochs(self, sizes: Mapping[str, Size]) -> Mapping[str, float]:
        counted = self._counted(sizes)
        taken = self._taken(counted)
        return {name: taken.get(name, 0) / size if size else 0.0 for name, size in counted.items()}

    def without_repeats(self) -> Self:
        return self.changed({"max_epochs": 1, "source_epochs": {}, "shortage": "stop"})

    def _counted(self, sizes: Mapping[str, Size]) -> dict[str, int]:
        return {name: round(getattr(size, self.unit)) for name, size in sizes.items()}

    def _shares(self, counted: Mapping[str, int]) -> dict[str, Fraction]:
        return proportions(counted, self.weights, self.temperature)

    def _taken(self, counted: Mapping[str, int]) -> dict[str, int]:
        shares = self._shares(counted)
        limits = {name: counted[name] * self._most_epochs(name) for name in shares}
        return amounts(limits, shares, self._amount, self.shortage)

    def _most_epochs(self, name: str) -> int:
        return self.source_epochs.get(name, self.max_epochs)

    @property
    def _amount(self) -> int | None:
        return None if self.budget is None else self.budget.rows or self.budget.tokens


def _copies(
    summaries: pl.LazyFrame,
    sizes: Mapping[str, int],
    wanted: Mapping[str, int],
    context: Context,
) -> NDArray[np.uint32]:
    """How often each row is taken, of sources of these sizes of which so much is wanted; once of
    those that are not named."""
    names = list(wanted)
    number = pl.col("source").replace_strict(names, range(len(names)), default=None)
    known = summaries.select(number.cast(pl.Int32).fill_null(-1), "size").collect()
    source, size = known["source"].to_numpy(), known["size"].to_numpy()
    copies = np.ones(len(source), np.uint32)
    priority = None
    for place, (name, amount) in enumerate(wanted.items()):
        own = np.flatnonzero(source == place)
        epochs, rest = divmod(amount, sizes[name]) if sizes[name] else (0, 0)
        copies[own] = epochs
        if rest:
            if priority is None:
                priority = sampling_priorities(summaries, context.seed)
            drawn = own[np.argsort(priority[own], kind="stable")]
            copies[drawn] += _filled(size[drawn], rest)
    return copies


def _filled(sizes: NDArray[np.int64], room: int) -> NDArray[np.bool_]:
    """Which rows fill the room: the first ones, and of the others in their order those that fit
    into what is left, so that a long row does not leave a source short."""
    total = sizes.cumsum()
    taken = total <= room
    left = room - (int(sizes[taken].sum()))
    place = int(taken.sum())
    while left > 0 and place < len(sizes):
        fitting = np.flatnonzero((sizes[place:] <= left) & (sizes[place:] > 0))
        if not len(fitting):
            break
        place += int(fitting[0])
        taken[place] = True
        left -= int(sizes[place])
        place += 1
    return taken


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
    limits: Mapping[str, int],
    shares: Mapping[str, Fraction],
    budget: int | None,
    shortage: Shortage = "stop",
) -> dict[str, int]:
    """How much to take of each source: its share, and of a short one what `shortage` says.

    `limits` are what each source gives in the epochs that it may be taken. `stop` takes as much as
    honours the shares within them, which is also what is taken without a budget; `redistribute`
    gives what a source lacks to the others by their shares; `repeat` takes a short source beyond
    its limit. A source that holds nothing cannot be repeated, and nothing honours its share: where
    it is not redistributed, nothing is taken.
    """
    if budget is None and shortage == "redistribute":
        shares = {name: share for name, share in shares.items() if limits[name]}
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
