"""The engines we register."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from datachef.core import Engine, hookimpl


@hookimpl
def datachef_engines() -> Mapping[str, Callable[..., Engine]]:
    from datachef.core.run.executor import InlineEngine
    from datachef.core.run.local import LocalEngine

    return {"inline": InlineEngine, "local": LocalEngine}
