"""The engines we register."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from datachef.core import Engine, WorkerConfig, hookimpl


@hookimpl
def datachef_engines() -> Mapping[str, Callable[..., Engine]]:
    return {"dask": _dask, "inline": _inline, "local": _local, "ray": _ray, "slurm": _slurm}


def _dask(config: WorkerConfig, workers: int, *, address: str = "local") -> Engine:
    from datachef.plugins.engines.dask_engine import DaskEngine

    return DaskEngine(config, workers, address=address)


def _inline(config: WorkerConfig, workers: int) -> Engine:
    from datachef.core.run.executor import InlineEngine

    return InlineEngine(config, workers)


def _local(config: WorkerConfig, workers: int) -> Engine:
    # What is slow to import the workers import first, all at the same time.
    from datachef.core.run.local import LocalEngine

    return LocalEngine(config, workers)


def _ray(config: WorkerConfig, workers: int, *, address: str = "local") -> Engine:
    from datachef.plugins.engines.ray_engine import RayEngine

    return RayEngine(config, workers, address=address)


def _slurm(config: WorkerConfig, workers: int, *, partition: str | None = None) -> Engine:
    from datachef.plugins.engines.slurm_engine import SlurmEngine

    return SlurmEngine(config, workers, partition=partition)
