from __future__ import annotations

import json
import signal
import sqlite3
import subprocess
import sys
import time
from dataclasses import asdict, replace

import polars as pl
import pytest
from hypothesis import given, settings, strategies as st
from scipy import stats

from datachef.core import DatachefError
from datachef.reward.history import History
from datachef.reward.measurement import FIRST_COLUMNS, MeasurementRecord, row_of
from datachef.reward.score_kinds import SCORE_KINDS

WRITER = """
import json, sys
from dataclasses import asdict, replace
from pathlib import Path
from datachef.reward.history import History
from datachef.reward.measurement import MeasurementRecord

path, first, last, one = sys.argv[1:]
history = History(Path(path))
for seed in range(int(first), int(last)):
    history.add(replace(MeasurementRecord(**json.loads(one)), seed=seed))
    print(seed, flush=True)
"""


def measured(**changes) -> MeasurementRecord:
    values = {
        "recipe_name": "one",
        "recipe": "name: one\n",
        "recipe_key": "r1",
        "task": "sums",
        "task_key": "t1",
        "base_model": "tiny",
        "seed": 0,
        "score": 0.5,
        "scores": {"likelihood": 0.5, "bits_per_byte": 1.0},
        "features": {"log_tokens": 9.5, "share.a": 1.0, "unknown": None},
        "versions": {"torch": "2.13.0"},
        "seconds": 41.5,
        "corpus": {"rows": 10, "tokens": 1000},
        "training": {"epochs": 1, "lora": None},
        "vocabulary": "abc",
        "created": "2025-01-01T00:00:00.000+00:00",
    }
    return MeasurementRecord(**values | changes)


def write(path, first, last, recipe) -> subprocess.Popen[str]:
    one = json.dumps(asdict(measured(recipe_key=recipe, recipe="x" * 5000)))
    arguments = [str(path), str(first), str(last), one]
    return subprocess.Popen(
        [sys.executable, "-c", WRITER, *arguments], stdout=subprocess.PIPE, text=True
    )


@pytest.fixture
def history(tmp_path) -> History:
    return History(tmp_path / "history.sqlite")


def test_what_is_added_is_read(history):
    first, second = measured(), measured(seed=1, features={"other": 2.0})
    ids = [history.add(first), history.add(second)]
    found = History(history.path).measurements()
    assert found == [first, second]
    assert [m.id for m in found] == ids


def test_a_measurement_is_kept_once(history):
    first = history.add(measured())
    assert history.add(measured(score=0.9, created="later")) == first
    assert [m.score for m in history.measurements()] == [0.5]
    for change in (
        {"recipe_key": "r2"}, {"task_key": "t2"}, {"base_model": "big"}, {"seed": 1},
        {"training": {"epochs": 2, "lora": None}}, {"score_name": "choice_probability"},
    ):  # fmt: skip
        assert history.add(measured(**change)) != first
    assert history.add(measured(training={"lora": None, "epochs": 1})) == first


def test_filters(history):
    for recipe in ("r1", "r2"):
        for task in ("t1", "t2"):
            history.add(measured(recipe_key=recipe, task_key=task))
    assert len(history.measurements(task_key="t1")) == 2
    assert len(history.measurements(task_key="t1", recipe_key="r2")) == 1
    assert history.measurements(base_model="big") == []


def test_reading_makes_no_file(tmp_path):
    history = History(tmp_path / "folder" / "history.sqlite")
    assert history.measurements() == []
    assert history.best("sums") == []
    assert list(tmp_path.iterdir()) == []
    history.add(measured())
    assert len(history.measurements()) == 1


@pytest.mark.parametrize(
    "changes",
    [
        {"score": 1.5}, {"score": float("nan")}, {"scores": {"x": float("inf")}},
        {"score_name": "other"}, {"base": -0.1}, {"chance": float("nan")},
        {"seconds": float("nan")}, {"seed": -1}, {"seed": 2**63}, {"training": {"x": object()}},
        {"training": {1: 2}}, {"base_model": "\ud800"}, {"recipe_name": "\udc00"},
    ],
)  # fmt: skip
def test_what_cannot_be_kept(changes):
    with pytest.raises(DatachefError, match="cannot be kept") as caught:
        measured(**changes)
    caught.value.message.encode()


def test_features_that_are_no_numbers_are_unknown(history):
    history.add(measured(features={"a": float("nan"), "b": float("-inf"), "c": 3}))
    assert history.measurements()[0].features == {"a": None, "b": None, "c": 3.0}


def test_export_and_import(history, tmp_path):
    kept = [measured(seed=seed, score=seed / 7) for seed in range(5)]
    for one in kept:
        history.add(one)
    parquet = tmp_path / "deep" / "history.parquet"
    assert history.export(parquet) == 5
    raw = parquet.read_bytes()
    other = History(tmp_path / "other.sqlite")
    other.add(kept[3])
    assert other.import_(parquet) == 4
    assert other.import_(parquet) == 0
    assert sorted(other.measurements(), key=lambda m: m.seed) == kept
    fresh = History(tmp_path / "fresh.sqlite")
    assert fresh.import_(parquet) == 5
    assert fresh.measurements() == kept
    fresh.export(parquet)
    assert parquet.read_bytes() == raw


def test_an_empty_history_travels(history, tmp_path):
    assert history.export(tmp_path / "h.parquet") == 0
    assert history.import_(tmp_path / "h.parquet") == 0


def test_foreign_parquet_files(history, tmp_path):
    path = tmp_path / "h.parquet"
    with pytest.raises(DatachefError, match="cannot read"):
        history.import_(path)
    path.write_bytes(b"PAR1 no")
    with pytest.raises(DatachefError, match="cannot read"):
        history.import_(path)
    pl.DataFrame({"a": [1]}).write_parquet(path)
    with pytest.raises(DatachefError, match="something else"):
        history.import_(path)
    history.add(measured())
    before = path.read_bytes()
    with pytest.raises(DatachefError, match="is not a table of measurements of datachef"):
        history.export(path)
    with pytest.raises(DatachefError, match="is not a table of measurements of datachef"):
        history.export(history.path)
    assert path.read_bytes() == before
    path.unlink()
    history.export(path)
    history.export(path)
    good = pl.read_parquet(path)
    for column in (pl.lit("{").alias("features"), pl.lit("[1]").alias("features")):
        good.with_columns(column).write_parquet(path)
        with pytest.raises(DatachefError, match="something else"):
            History(tmp_path / "new.sqlite").import_(path)
    good.with_columns(score=pl.lit(2.0)).write_parquet(path)
    with pytest.raises(DatachefError, match="between 0 and 1"):
        History(tmp_path / "new.sqlite").import_(path)
    assert not (tmp_path / "new.sqlite").exists()


def test_foreign_files(tmp_path):
    text = tmp_path / "text"
    text.write_text("name: recipe\n" * 100)
    with pytest.raises(DatachefError, match="not a database"):
        History(text)
    other = tmp_path / "other.sqlite"
    with sqlite3.connect(other) as database:
        database.execute("CREATE TABLE photo (id INTEGER)")
    database.close()
    before = other.read_bytes()
    with pytest.raises(DatachefError, match="something else"):
        History(other)
    assert other.read_bytes() == before
    with pytest.raises(DatachefError, match="cannot use"):
        History(tmp_path)
    with pytest.raises(DatachefError, match="cannot use"):
        History(text / "below").add(measured())
    assert text.read_text() == "name: recipe\n" * 100


def test_a_later_version_is_refused(history):
    history.add(measured())
    with sqlite3.connect(history.path) as database:
        database.execute("PRAGMA user_version = 3")
    database.close()
    with pytest.raises(DatachefError, match="version 3"):
        History(history.path)
    with pytest.raises(DatachefError, match="version 3"):
        history.add(measured(seed=9))


def of_version_1(path, kept) -> None:
    """A file as version 1 wrote it, and an export beside it."""
    rows = [{name: row_of(one)[name] for name in FIRST_COLUMNS} for one in kept]
    pl.DataFrame(rows, schema=FIRST_COLUMNS).write_parquet(path.with_suffix(".parquet"))
    types = {pl.String: "TEXT", pl.Int64: "INTEGER", pl.Float64: "REAL"}
    columns = ", ".join(f"{name} {types[kind]} NOT NULL" for name, kind in FIRST_COLUMNS.items())
    unique = "UNIQUE (recipe_key, task_key, base_model, seed, training)"
    with sqlite3.connect(path) as database:
        database.execute(f"CREATE TABLE measurement (id INTEGER PRIMARY KEY, {columns}, {unique})")
        database.execute(f"PRAGMA application_id = {int.from_bytes(b'chef', 'big')}")
        database.execute("PRAGMA user_version = 1")
        holes = ", ".join("?" * len(FIRST_COLUMNS))
        insert = f"INSERT INTO measurement VALUES (NULL, {holes})"  # noqa: S608 - question marks
        database.executemany(insert, [tuple(row.values()) for row in rows])
    database.close()


def test_a_history_of_version_1_is_read_and_becomes_one_of_today(tmp_path):
    old = [measured(seed=seed, score=seed / 7) for seed in range(3)]
    path = tmp_path / "old.sqlite"
    of_version_1(path, old)
    raw = path.read_bytes()
    history = History(path)
    assert history.measurements() == old
    assert {(m.score_name, m.base, m.chance) for m in old} == {("likelihood", None, None)}
    assert path.read_bytes() == raw  # reading changes nothing
    ids = [m.id for m in history.measurements()]
    new = measured(score_name="choice_probability", score=0.3, chance=0.25, base=0.26, ceiling=1.0)
    assert history.add(new) > max(ids)  # the same recipe, measured in another way
    assert [m.id for m in History(path).measurements()][:3] == ids
    assert History(path).measurements() == [*old, new]
    assert [s.first.score_name for s in history.best("sums")] == [
        "choice_probability",
        "likelihood",
    ]
    export = path.with_suffix(".parquet")
    other = History(tmp_path / "other.sqlite")
    assert other.import_(export) == 3
    assert other.measurements() == old
    assert other.export(export) == 3  # an export of version 1 may be written over
    assert len(pl.read_parquet(export).columns) > len(FIRST_COLUMNS)


def test_an_empty_file_becomes_a_history(tmp_path):
    path = tmp_path / "history.sqlite"
    path.touch()
    history = History(path)
    assert history.measurements() == []
    history.add(measured())
    assert len(history.measurements()) == 1


TEXT = st.text(max_size=20)
NUMBER = st.floats(allow_nan=False, allow_infinity=False)
PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | NUMBER | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=5,
)
MEASURED = st.builds(
    measured,
    recipe_name=TEXT, recipe=TEXT, recipe_key=TEXT, task=TEXT, task_key=TEXT, base_model=TEXT,
    seed=st.integers(0, 2**63 - 1), score=st.floats(0, 1),
    score_name=st.sampled_from(sorted(SCORE_KINDS)), chance=st.none() | st.floats(0, 1),
    base=st.none() | st.floats(0, 1), tuned=st.dictionaries(TEXT, PLAIN, max_size=2),
    scores=st.dictionaries(TEXT, NUMBER, max_size=3),
    features=st.dictionaries(TEXT, st.none() | st.floats(), max_size=5),
    versions=st.dictionaries(TEXT, TEXT, max_size=3),
    seconds=st.floats(0, 1e9),
    corpus=st.dictionaries(TEXT, st.integers(0, 2**63 - 1), max_size=2),
    training=st.dictionaries(TEXT, PLAIN, max_size=3),
    vocabulary=TEXT, created=TEXT,
)  # fmt: skip


@settings(max_examples=25)
@given(added=st.lists(MEASURED, max_size=4, unique_by=lambda m: m.seed))
def test_round_trip(tmp_path_factory, added):
    folder = tmp_path_factory.mktemp("history")
    history = History(folder / "a?b#c%20.sqlite")
    for one in added:
        history.add(one)
    assert history.measurements() == added
    history.export(folder / "h.parquet")
    other = History(folder / "other.sqlite")
    other.import_(folder / "h.parquet")
    assert other.measurements() == added


@pytest.mark.slow
def test_a_killed_writer_loses_nothing_it_finished(tmp_path):
    path = tmp_path / "history.sqlite"
    finished = 0
    for pause in (0.0, 0.003, 0.011, 0.023):
        writer = write(path, finished, finished + 100_000, "r1")
        assert writer.stdout is not None
        seen = [int(writer.stdout.readline())]  # it is at work
        time.sleep(pause)
        writer.send_signal(signal.SIGKILL)
        seen += [int(line) for line in writer.stdout.read().splitlines()]
        writer.wait()
        writer.stdout.close()
        found = [m.seed for m in History(path).measurements()]
        assert found == list(range(len(found)))
        assert seen[0] == finished
        assert len(found) in (seen[-1] + 1, seen[-1] + 2)  # killed between commit and print
        finished = len(found)
    with sqlite3.connect(path) as database:
        assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    database.close()


@pytest.mark.slow
def test_two_writers_at_once(tmp_path):
    path = tmp_path / "history.sqlite"
    writers = [write(path, 0, 60, name) for name in ("r1", "r2")]
    for writer in writers:
        output, _ = writer.communicate(timeout=60)
        assert writer.returncode == 0
        assert output.split() == [str(seed) for seed in range(60)]
    found = History(path).measurements()
    assert {(m.recipe_key, m.seed) for m in found} == {
        (name, seed) for name in ("r1", "r2") for seed in range(60)
    }
    assert len(found) == 120


def test_best(history):
    for key, scores in {"r1": (0.5, 0.6, 0.7), "r2": (0.65,), "r3": (0.1, 0.2)}.items():
        for seed, score in enumerate(scores):
            one = measured(recipe_key=key, recipe_name=key, seed=seed, score=score)
            history.add(replace(one, scores={"likelihood": score, f"only{seed}": 1.0}))
    history.add(measured(recipe_key="r4", score=1.0, task="other", task_key="t2"))
    best = history.best("sums", 2)
    assert [(s.first.recipe_name, s.mean) for s in best] == [
        ("r2", 0.65),
        ("r1", pytest.approx(0.6)),
    ]
    assert best[0].interval is None
    expected = stats.t.interval(0.95, 2, loc=0.6, scale=0.1 / 3**0.5)
    assert best[1].interval == pytest.approx(expected)
    assert best[1].scores == {"likelihood": pytest.approx(0.6)}
    assert history.best("t1", 2) == best
    assert history.best("nothing") == []
    low, high = history.best("sums")[2].interval or (None, None)
    assert low == 0.0  # clipped: 0.15 less 12.7 standard errors
    assert high == pytest.approx(0.15 + stats.t.ppf(0.975, 1) * 0.05)


def test_other_training_is_another_summary(history):
    history.add(measured(score=0.2))
    history.add(measured(score=0.8, training={"epochs": 9}))
    assert [summary.mean for summary in history.best("sums")] == [0.8, 0.2]


def test_compare(history):
    gains = (0.1, 0.2, 0.15)
    for seed, gain in enumerate(gains):
        history.add(measured(seed=seed, score=0.3 + seed / 10))
        two = measured(recipe_name="two", recipe_key="r2", seed=seed, score=0.3 + seed / 10 + gain)
        last = history.add(two)
    history.add(measured(seed=7, score=1.0))
    history.add(measured(recipe_name="three", recipe_key="r3", base_model="big"))
    found = history.compare(["one", last, "three"])
    assert [s.first.recipe_name for s in found.summaries] == ["one", "two", "three"]
    (difference,) = found.differences
    assert difference.seeds == 3
    assert difference.mean == pytest.approx(0.15)
    assert difference.interval == pytest.approx(
        stats.t.interval(0.95, 2, loc=0.15, scale=stats.sem(gains))
    )
    assert (difference.first.first.recipe_key, difference.second.first.recipe_key) == ("r1", "r2")
    with pytest.raises(DatachefError, match="'thre'") as caught:
        history.compare(["one", "thre"])
    assert "three" in caught.value.hint
