"""The Dask engine keeps the contract of engines, on real clusters on this machine."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from crawl import FILES, Crawl

from datachef.core import Engine, Host, UnavailableError, WorkerConfig, run_recipe
from datachef.core.testing import EngineContract

distributed = pytest.importorskip("distributed", reason="the extra dask is not installed")

from datachef.plugins.engines import dask_engine  # noqa: E402 - needs distributed
from datachef.plugins.engines.dask_engine import DaskEngine  # noqa: E402


class TestDaskEngine(EngineContract):
    steps = [{"op": "exact_dedup"}]  # noqa: RUF012 - as the contract has it

    def engine(self, config: WorkerConfig) -> Engine:
        return DaskEngine(config, 2)


@pytest.fixture
def cluster() -> Iterator[Any]:
    """Two workers, each a process that is started again when it dies."""
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None
    ) as cluster:
        yield cluster


def test_killed_workers_lose_nothing_and_nothing_finished_is_done_again(
    crawl: Crawl, cluster: Any
) -> None:
    expected = crawl.run("alone", "--workers", "1")
    crawl.units_done()
    processes = [worker.process.pid for worker in cluster.workers.values()]

    def kill() -> None:
        while not crawl.results("killed"):
            time.sleep(0.05)
        psutil.Process(processes[0]).send_signal(signal.SIGKILL)

    killer = threading.Thread(target=kill)
    killer.start()
    run: dict[str, Any] = {
        "engine": "dask",
        "engine_options": {"address": cluster.scheduler_address},
        "cache": crawl.cache("killed"),
    }
    host = Host([str(crawl.folder / "logging_plugin.py")])
    run_recipe(crawl.folder / "recipe.yaml", crawl.output("killed"), host=host, **run)
    killer.join()
    assert not psutil.pid_exists(processes[0])
    assert crawl.digests("killed") == expected
    assert FILES <= len(crawl.units_done()) <= FILES + 1
    assert cluster.status.name == "running"


def test_a_cluster_that_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dask_engine, "_PATIENCE", "1s")
    with pytest.raises(UnavailableError, match=r"no scheduler of Dask at tcp://127\.0\.0\.1:9"):
        DaskEngine(WorkerConfig((), tmp_path), 1, address="tcp://127.0.0.1:9")


def test_keys_stay_where_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATACHEF_LLM_API_KEY", "secret")
    monkeypatch.setenv("DATACHEF_LLM_BASE_URL", "http://model")
    sent = dask_engine.sent_variables()
    assert sent["DATACHEF_LLM_BASE_URL"] == "http://model"
    assert "DATACHEF_LLM_API_KEY" not in sent
    assert os.environ["DATACHEF_LLM_API_KEY"] == "secret"
