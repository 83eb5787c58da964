"""Several processes share a run by their cache alone: nothing is lost, changed or done twice."""

from __future__ import annotations

import signal
import subprocess
import time
from collections import Counter
from pathlib import Path

import pytest
from crawl import FILES, Crawl

from datachef.core import DatachefError, WorkerConfig
from datachef.core.run.file_store import FileStore
from datachef.core.run.shards import Shard, SignsOfLife

pytestmark = pytest.mark.xdist_group("shards")  # one corpus to compare with

ONE = ("--workers", "1")


@pytest.fixture(scope="module")
def expected(crawl: Crawl) -> dict[str, str]:
    """The corpus of one process."""
    return crawl.run("alone", *ONE)


def ended(process: subprocess.Popen[str]) -> str:
    _, said = process.communicate()
    assert process.returncode == 0, said
    return said


def test_two_shards_give_the_bytes_of_one_process(crawl: Crawl, expected: dict[str, str]) -> None:
    crawl.units_done()
    shards = [crawl.start("two", *ONE, "--shard", f"{index}/2") for index in range(2)]
    for shard in shards:
        ended(shard)
    assert crawl.digests("two") == expected
    assert sorted(Counter(crawl.units_done()).values()) == [1] * FILES


def test_the_work_of_a_killed_shard_is_taken_over_and_nothing_finished_is_done_again(
    crawl: Crawl, expected: dict[str, str]
) -> None:
    crawl.units_done()
    options = (*ONE, "--shard-patience", "3", "--shard")
    victim = crawl.start("killed", *options, "1/2")
    while not crawl.results("killed"):
        assert victim.poll() is None, victim.communicate()
        time.sleep(0.02)
    victim.send_signal(signal.SIGKILL)
    victim.communicate()
    said = ended(crawl.start("killed", *options, "0/2"))
    assert "shard 1/2 is not there to do it" in said
    assert crawl.digests("killed") == expected
    assert FILES <= len(crawl.units_done()) <= FILES + 1  # one was being done when it was killed

    ended(crawl.start("killed", *options, "1/2"))
    assert crawl.units_done() == []
    assert crawl.digests("killed") == expected


def test_without_the_shard_that_writes_the_corpus_there_is_none(crawl: Crawl) -> None:
    _, said = (shard := crawl.start("headless", *ONE, "--shard", "1/2", "--shard-patience", "1")
               ).communicate()  # fmt: skip
    assert shard.returncode == 5
    assert "shard 0, which writes the corpus" in said and "start it again" in said
    assert not crawl.output("headless").exists()


@pytest.mark.parametrize("text", ["", "1", "2/2", "-1/2", "0/0", "a/b", "1/2/3"])
def test_what_is_no_shard_is_refused(text: str) -> None:
    with pytest.raises(DatachefError, match="is not a shard of a run"):
        Shard.parse(text)


def test_a_shard_that_has_ended_or_passed_a_place_does_not_do_it(tmp_path: Path) -> None:
    config = WorkerConfig((), tmp_path, run="run")
    stores = [FileStore.of(config) for _ in range(2)]
    first = SignsOfLife(stores[0], Shard(0, 2))
    assert first.will_do(1, 5) and not first.came(1)  # it may yet come
    second = SignsOfLife(stores[1], Shard(1, 2))
    second.reached(3)
    while not first.came(1) or first.will_do(1, 2):
        time.sleep(0.05)
    assert first.will_do(1, 3)
    second.end()
    while first.lives(1):
        time.sleep(0.05)
    first.end()
    again = SignsOfLife(stores[0], Shard(0, 2))
    assert again.lives(1), "what was left by an earlier run is no sign"
    again.end()
