"""The Ray engine keeps the contract of engines, on a real cluster of two CPUs on this machine."""

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

ray = pytest.importorskip("ray", reason="the extra ray is not installed")

from datachef.plugins.engines.ray_engine import LOCAL, RayEngine  # noqa: E402 - needs ray

pytestmark = pytest.mark.xdist_group("ray")  # one cluster


@pytest.fixture(scope="module", autouse=True)
def cluster() -> Iterator[None]:
    """A cluster that this program is connected to, as are programs that use Ray themselves."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    ray.init(**LOCAL, num_cpus=2, log_to_driver=False)
    yield
    assert ray.is_initialized(), "an engine has shut down a cluster that it did not start"
    ray.shutdown()


class TestRayEngine(EngineContract):
    steps = [{"op": "exact_dedup"}]  # noqa: RUF012 - as the contract has it

    def engine(self, config: WorkerConfig) -> Engine:
        return RayEngine(config, 2)


def tasks_of_ray() -> list[psutil.Process]:
    """The processes of Ray in which items are worked on; it names them by their labels."""
    children = psutil.Process().children(recursive=True)
    return [child for child in children if " ".join(child.cmdline()).startswith("ray::part_")]


def test_killed_workers_lose_nothing_and_nothing_finished_is_done_again(crawl: Crawl) -> None:
    expected = crawl.run("alone", "--workers", "1")
    crawl.units_done()
    killed: list[int] = []

    def kill() -> None:
        while not crawl.results("killed"):
            time.sleep(0.05)
        for process in tasks_of_ray()[:1]:
            process.send_signal(signal.SIGKILL)
            killed.append(process.pid)

    killer = threading.Thread(target=kill)
    killer.start()
    run: dict[str, Any] = {"engine": "ray", "cache": crawl.cache("killed")}
    host = Host([str(crawl.folder / "logging_plugin.py")])
    run_recipe(crawl.folder / "recipe.yaml", crawl.output("killed"), host=host, **run)
    killer.join()
    assert killed
    assert crawl.digests("killed") == expected
    assert FILES <= len(crawl.units_done()) <= FILES + 1


def test_rows_come_from_ray_data_and_go_there(tmp_path: Path) -> None:
    data = pytest.importorskip("ray.data")
    rows = [{"text": f"row number {number % 50} of the data set"} for number in range(200)]
    data.from_items(rows).write_parquet(str(tmp_path / "pages"))
    steps = "steps: [{op: exact_dedup}]"
    source = f"pages: {{path: pages/*.parquet, {steps}}}"
    (tmp_path / "recipe.yaml").write_text(f"name: handed\nsources: {{{source}}}")
    run_recipe(
        tmp_path / "recipe.yaml", tmp_path / "out", cache=tmp_path / "cache", engine="inline"
    )
    corpus = data.read_parquet(str(tmp_path / "out" / "data"))
    assert sorted(row["text"] for row in corpus.take_all()) == sorted({row["text"] for row in rows})


def test_a_cluster_that_is_not_there() -> None:
    from datachef.plugins.engines import ray_engine

    engine = object.__new__(ray_engine.RayEngine)
    engine._ray = ray
    with pytest.raises(UnavailableError, match=r"no cluster of Ray at 127\.0\.0\.1:9"):
        engine._connect("127.0.0.1:9", 1)
