"""What operators may reach besides their rows, handed to them where they run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from datachef.core.errors import DatachefError, RunError
from datachef.core.llm import LLMBackend, LLMClient
from datachef.core.problems import did_you_mean


@dataclass
class FailureLimit:
    """How many rows may fail before nothing more is paid for: a run that fails anyway stops early.

    `most` is what `max_failed` leaves of the rows of a step; None sets no limit.
    """

    place: str = ""
    most: int | None = None
    reasons: Counter[str] = field(default_factory=Counter)
    first: str = ""

    def begin(self, place: str, most: int | None) -> None:
        """Counts anew, for rows at another place."""
        self.place, self.most = place, most
        self.reasons.clear()

    def add(self, reason: str, detail: str) -> None:
        """Counts a row that failed. Raises `RunError` where there are too many."""
        if not self.reasons:
            self.first = detail
        self.reasons[reason] += 1
        if self.most is not None and self.reasons.total() > self.most:
            told = ", ".join(f"{name} {count:,}" for name, count in self.reasons.most_common(5))
            raise RunError(
                f"{self.place}: {self.reasons.total():,} rows failed ({told}), more than "
                "max_failed allows of all that arrive; nothing more was asked",
                f"the first: {self.first[:300]}; what was answered is kept and not asked again: "
                "for other answers change the prompt, the seed or the model",
            )


@dataclass(frozen=True)
class Services:
    """The registered LLM backends and the folder in which their answers are remembered.

    `failures` bounds what is paid for in vain.
    """

    backends: Mapping[str, Callable[[], LLMBackend]]
    cache: Path
    failures: FailureLimit = field(default_factory=FailureLimit, compare=False)
    _clients: dict[str, LLMClient] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    def llm(self, name: str) -> LLMClient:
        """The client of a backend, the same at every call; an unknown name is a `DatachefError`."""
        if name not in self.backends:
            raise DatachefError(
                f"there is no LLM backend {name!r}",
                hint=did_you_mean(name, self.backends)
                or "install a plugin that has datachef_llm_backends",
            )
        if name not in self._clients:
            self._clients[name] = LLMClient(name, self.backends[name], self.cache)
        return self._clients[name]
