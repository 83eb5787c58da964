"""The shards of a run that several processes share, and what they tell each other in the cache."""

from __future__ import annotations

import hashlib
import re
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from datachef.core.errors import DatachefError

if TYPE_CHECKING:
    from datachef.core.run.store import Store

# Seconds without a sign of life after which others do what a shard was to do.
PATIENCE = 600.0
# Between signs of life, and between looks for those of others.
_LONGEST_BEAT = 15.0
_LOOK = 0.1


@dataclass(frozen=True)
class Shard:
    """One of the processes that share a run: number `index` `of` so many.

    The others do its part when they have seen no sign of it for `patience` seconds.
    """

    index: int
    of: int
    patience: float = PATIENCE

    @classmethod
    def parse(cls, text: str, patience: float | None = None) -> Shard:
        """A shard as it is written on a command line: `0/4`."""
        found = re.fullmatch(r"(\d+)/(\d+)", text)
        if found is None or not int(found[1]) < int(found[2]):
            raise DatachefError(
                f"--shard {text} is not a shard of a run",
                "write its number and how many there are: 0/4, 1/4, 2/4 and 3/4 are one run",
            )
        return cls(int(found[1]), int(found[2]), PATIENCE if patience is None else patience)

    def run_of(self, output: str) -> str:
        """The name of the run that all shards with this output are of."""
        return hashlib.blake2b(f"{self.of}:{output}".encode(), digest_size=16).hexdigest()

    @property
    def publishes(self) -> bool:
        """Whether it writes the corpus."""
        return self.index == 0


class SignsOfLife:
    """What the shards of a run tell each other through the cache: that they live, and where they
    are in the plan. Clocks are not compared: a sign is one that changed since the last look."""

    def __init__(self, store: Store, shard: Shard) -> None:
        self._store = store
        self._shard = shard
        self._began = time.monotonic()
        self._seen: dict[int, tuple[dict[str, Any] | None, float]] = {
            other: (self._read(other), 0.0) for other in range(shard.of)
        }
        self._looked: dict[int, float] = {}
        self._place = 0
        self._ended = False
        self._changed = threading.Event()
        self._thread = threading.Thread(target=self._beat, daemon=True)
        self._thread.start()

    def reached(self, place: int) -> None:
        """This shard will do what is its own from this place in the plan on."""
        self._place = place
        self._changed.set()

    def end(self) -> None:
        """This shard does nothing more."""
        self._ended = True
        self._changed.set()
        self._thread.join()

    def came(self, other: int) -> bool:
        """Whether another shard has given a sign since this one began."""
        return bool(self._look(other)[1])

    def lives(self, other: int) -> bool:
        """Whether another shard gave a sign lately and has not ended; or may yet begin."""
        sign, seen = self._look(other)
        ended = bool(seen and sign and sign["ended"])
        return not ended and self.silence(other) < self._shard.patience

    def will_do(self, other: int, place: int) -> bool:
        """Whether another shard lives and has not passed a place in the plan."""
        sign, seen = self._look(other)
        return self.lives(other) and not (seen and sign and sign["place"] > place)

    def silence(self, other: int) -> float:
        """The seconds since the last sign of another shard, or since there could be one."""
        return time.monotonic() - max(self._seen[other][1], self._began)

    def _look(self, other: int) -> tuple[dict[str, Any] | None, float]:
        now = time.monotonic()
        known, seen = self._seen[other]
        if now - self._looked.get(other, 0.0) >= _LOOK:
            self._looked[other] = now
            found = self._read(other)
            if found is not None and found != known:
                known, seen = self._seen[other] = found, now
        return known, seen

    def _beat(self) -> None:
        every = min(_LONGEST_BEAT, self._shard.patience / 4)
        while True:
            self._changed.clear()
            ended = self._ended
            sign = {"time": time.time(), "place": self._place, "ended": ended}
            with suppress(OSError):  # the others do our part, if it goes on like this
                self._store.remember(self._name(self._shard.index), sign)
            if ended:
                return
            self._changed.wait(every)

    def _read(self, other: int) -> dict[str, Any] | None:
        sign: dict[str, Any] | None = self._store.recall(self._name(other))
        return sign

    def _name(self, index: int) -> str:
        return f"shards/{self._store.run}-{index}"
