"""Every engine keeps the contract of engines: those of one machine."""

from __future__ import annotations

from datachef.core import Engine, WorkerConfig
from datachef.core.run.executor import InlineEngine
from datachef.core.run.local import LocalEngine
from datachef.core.testing import EngineContract

STEPS = [{"op": "exact_dedup"}]


class TestInlineEngine(EngineContract):
    steps = STEPS

    def engine(self, config: WorkerConfig) -> Engine:
        return InlineEngine(config)


class TestLocalEngine(EngineContract):
    steps = STEPS

    def engine(self, config: WorkerConfig) -> Engine:
        return LocalEngine(config, 2)
