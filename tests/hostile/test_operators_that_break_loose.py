"""Steps and observers that would end, fork or change the process they run in."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest
from one_step import StepRunner

from datachef.core import DatachefError, PluginError, RunError
from datachef.core.run import local


@pytest.fixture
def run(tmp_path: Path) -> StepRunner:
    return StepRunner(tmp_path)


RUDE = [
    "raise KeyboardInterrupt",
    "raise SystemExit(0)",
    "sys.exit('bye')",
    "raise BaseException('rude')",
    "raise type('Odd', (BaseException,), {})()",
    "raise GeneratorExit",
]


@pytest.mark.parametrize("rude", RUDE)
def test_what_would_end_a_process_costs_the_row_that_makes_it(run: StepRunner, rude: str) -> None:
    body = f"def rewrite(self, text):\n    if 'bb' in text:\n        {rude}\n    return text"
    report = run("TextTransform", body, engine="local")
    (failed,) = report.ledger["steps[0]"].failed.items()
    assert failed[1] == 1
    assert report.rows == 3


# Exceptions whose words cannot be had, or not be kept, and what is told in their place.
UNSPEAKABLE = {
    r"raise ValueError('half \ud800')": r"half \ud800",
    "raise type('Mute', (Exception,), {'__str__': lambda self: 1 / 0})": "(it cannot be printed)",
    "raise type('Odd', (Exception,), {'__str__': lambda self: 7})": "(it cannot be printed)",
    "raise type('Left', (Exception,), {'__str__': lambda self: sys.exit(0)})":
        "(it cannot be printed)",
}  # fmt: skip


@pytest.mark.parametrize(("unspeakable", "told"), UNSPEAKABLE.items())
def test_an_exception_without_words_costs_the_row_that_raises_it(
    run: StepRunner, tmp_path: Path, unspeakable: str, told: str
) -> None:
    raising = f"    if (batch['text'] == 'bb').any():\n        {unspeakable}\n    return batch"
    report = run("Transform", f"def transform(self, batch):\n{raising}", engine="local")
    assert report.rows == 3
    (rejects,) = (tmp_path / "out").rglob("rejects/**/*.parquet")
    assert pl.read_parquet(rejects)["detail"].to_list() == [told]


@pytest.mark.parametrize(
    "rude", ["raise KeyboardInterrupt", "raise BaseException('x')", "sys.exit(0)"]
)
def test_in_a_decision_it_ends_the_run_by_name(run: StepRunner, rude: str) -> None:
    with pytest.raises(DatachefError) as raised:
        run("Chooser", f"def resolve(self, summaries, context): {rude}", engine="local")
    assert "odd.py" in raised.value.message
    assert not getattr(raised.value, "__notes__", [])


def test_a_process_that_forks_itself_is_refused(run: StepRunner) -> None:
    with pytest.raises(PluginError, match=r"os.fork\(\)") as raised:
        run(
            "TextTransform",
            "def rewrite(self, text):\n    os.fork()\n    return text",
            engine="local",
        )
    assert "steps[0]" in raised.value.message


POOLS = {
    "a pool": "with multiprocessing.Pool(2) as pool:\n        return pl.Series(pool.map(up, text))",
    "a pool that is left": "return pl.Series(multiprocessing.Pool(2).map(up, text))",
    "an executor": "with concurrent.futures.ProcessPoolExecutor(2) as pool:\n"
                   "        return pl.Series(list(pool.map(up, text)))",
    "another program": "return pl.Series([subprocess.run(['tr', 'a-z', 'A-Z'], input=t, text=True,"
                       " capture_output=True).stdout for t in text])",
    "a spawned program": "assert os.spawnvp(os.P_WAIT, 'true', ['true']) == 0\n"
                         "    return text.str.to_uppercase()",
}  # fmt: skip


@pytest.mark.parametrize("kind", POOLS)
def test_a_step_may_work_in_processes_of_its_own(
    run: StepRunner, tmp_path: Path, kind: str
) -> None:
    more = "import concurrent.futures, multiprocessing, subprocess\ndef up(t): return t.upper()\n"
    run("TextTransform", f"def rewrite(self, text):\n    {POOLS[kind]}", engine="local", more=more)
    written = pl.read_parquet(tmp_path / "out" / "data" / "*.parquet")
    assert sorted(written["text"]) == ["A", "BB", "CCC", "DDDD"]


def test_a_worker_that_dies_is_noticed_though_its_children_live(
    run: StepRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(local, "ATTEMPTS", 1)
    body = (
        "def rewrite(self, text):\n    left = multiprocessing.Pool(2)\n    os.kill(os.getpid(), 9)"
    )
    with pytest.raises(RunError, match="it was killed"):
        run("TextTransform", body, engine="local", more="import multiprocessing\n")


def test_a_worker_draws_no_bars(run: StepRunner, capfd: pytest.CaptureFixture[str]) -> None:
    body = (
        "def rewrite(self, text):\n"
        "    for n in range(3): print(f'\\r{n}0% of it', end='', file=sys.stderr)\n"
        "    print('\\r    \\r', file=sys.stderr)\n    return text"
    )
    run("TextTransform", body, engine="local")
    said = capfd.readouterr().err
    assert "20% of it\n" in said
    assert "10%" not in said
    assert "\\r" not in said


def test_what_a_step_does_to_its_process_ends_with_it(run: StepRunner) -> None:
    body = "def rewrite(self, text):\n    os.chdir('/'); sys.stdout = None\n    return text"
    assert run("TextTransform", body, engine="local").rows == 4


OBSERVER = """
class Watcher(RunObserver):
    told = 0
    def {event}(self, *arguments):
        Watcher.told += 1
        assert Watcher.told == 1, "told again"
        {rude}

@hookimpl
def datachef_run_observers():
    return [Watcher()]
"""


@pytest.mark.parametrize(
    "event", ["run_started", "progressed", "partition_finished", "run_finished"]
)
@pytest.mark.parametrize(
    "rude",
    [
        "raise KeyError('x')", "sys.exit(0)", "raise BaseException('x')", "raise KeyboardInterrupt",
        "raise __import__('datachef.core').core.DatachefError('x')", "os._exit(0)",
        "sys.stdout = None; os.chdir('/'); raise ValueError", "os.fork()",
    ],
)  # fmt: skip
def test_an_observer_costs_itself_alone(run: StepRunner, event: str, rude: str) -> None:
    here = Path.cwd()
    report = run("TextTransform", "def rewrite(self, text): return text",
                 more=OBSERVER.format(event=event, rude=rude))  # fmt: skip
    assert report.rows == 4
    (broken,) = run.host.broken
    assert broken.error.startswith(f"{event}: ")
    assert broken.error.count("it gets no more events") == 1
    assert Path.cwd() == here


def test_an_observer_may_start_processes(run: StepRunner) -> None:
    tells = (
        "import multiprocessing; queue = multiprocessing.Queue()\n"
        "        child = multiprocessing.Process(target=queue.put, args=('told',)); child.start()\n"
        "        assert queue.get() == 'told'; child.join()"
    )
    run("TextTransform", "def rewrite(self, text): return text",
        more=OBSERVER.format(event="run_finished", rude=tells))  # fmt: skip
    assert run.host.broken == []
