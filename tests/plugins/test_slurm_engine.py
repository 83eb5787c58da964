"""The Slurm engine keeps the contract of engines, on a real Slurm of one node: this machine."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from crawl import FILES, Crawl
from slurm_cluster import array_tasks, slurm, slurm_cluster, slurm_is_installed, until

from datachef.core import DatachefError, Engine, WorkerConfig
from datachef.core.testing import EngineContract
from datachef.plugins.engines import slurm_engine
from datachef.plugins.engines.slurm_engine import SlurmEngine


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    if not slurm_is_installed():
        pytest.skip("Slurm is not installed: the Debian packages slurmctld, slurmd, slurm-client")
    with slurm_cluster(tmp_path_factory.mktemp("slurm")):
        yield


pytestmark = [
    pytest.mark.slow,
    pytest.mark.usefixtures("cluster"),
    pytest.mark.xdist_group("slurm"),
]


class TestSlurmEngine(EngineContract):
    steps = [{"op": "exact_dedup"}]  # noqa: RUF012 - as the contract has it

    def engine(self, config: WorkerConfig) -> Engine:
        return SlurmEngine(config, 2)


def test_killed_and_requeued_tasks_lose_nothing_and_nothing_finished_is_done_again(
    crawl: Crawl,
) -> None:
    expected = crawl.run("alone", "--workers", "1")
    crawl.units_done()
    options = ("--engine", "slurm", "--partition", "main", "--workers", "2")
    running = crawl.start("slurm", *options)
    until(lambda: crawl.results("slurm") and set(array_tasks(crawl.folder)) == {0, 1})
    (job,) = set(slurm("squeue", "--noheader", "--format=%F").split())
    slurm("scontrol", "requeue", f"{job}_1")  # as preemption does
    array_tasks(crawl.folder)[0].send_signal(signal.SIGKILL)
    _, said = running.communicate()
    assert running.returncode == 0, said
    assert "ended before it was done (attempt 1 of 2" in said
    assert crawl.digests("slurm") == expected
    assert FILES <= len(crawl.units_done()) <= FILES + 2  # two were being done


def test_an_interrupted_run_leaves_nothing_in_the_queue(crawl: Crawl) -> None:
    running = crawl.start("stopped", "--engine", "slurm", "--workers", "7")
    until(lambda: array_tasks(crawl.folder))
    assert max(array_tasks(crawl.folder)) < 3, "no array is larger than the site allows"
    running.send_signal(signal.SIGINT)
    running.communicate()
    assert running.returncode == 130
    until(lambda: not slurm("squeue", "--noheader"))
    assert not crawl.output("stopped").exists()


def test_a_task_that_always_ends_says_where_its_log_is(
    crawl: Crawl, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(slurm_engine.sys, "executable", "/no/python")
    monkeypatch.setattr(slurm_engine, "_GRACE", 1.0)
    items = TestSlurmEngine()._items(tmp_path)[:1]
    engine = SlurmEngine(WorkerConfig((), tmp_path / "cache"), 1)
    with pytest.raises(DatachefError, match=r"pages_0.*attempt 2 of 2; .*ExitCode 127") as failed:
        list(engine.map(items, lambda *_: None))
    assert "0.log" in failed.value.hint and "/no/python" in failed.value.hint
