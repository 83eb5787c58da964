"""What operators may reach besides their rows, handed to them where they run."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from datachef.core.errors import DatachefError
from datachef.core.llm import LLMBackend, LLMClient
from datachef.core.problems import did_you_mean


@dataclass(frozen=True)
class Services:
    """The registered LLM backends and the folder in which their answers are remembered."""

    backends: Mapping[str, Callable[[], LLMBackend]]
    cache: Path
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
