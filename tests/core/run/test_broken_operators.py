"""An operator that breaks its contract while it runs is named with its step and its package."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest
from one_step import StepRunner

from datachef.core import (
    ChangedInputError,
    MissingPackageError,
    PluginError,
    RunError,
)


@pytest.fixture
def run(tmp_path: Path) -> StepRunner:
    return StepRunner(tmp_path, ("a", "bb", "ccc", "7"))


BROKEN = [
    ("Lengths", "def signals(self): return {'size': lambda batch: [1] * batch.height}",
     "the signal size of x gave a list, not a polars Series"),
    ("Lengths", "def signals(self): return {'size': lambda batch: None}",
     "the signal size of x gave None, not a polars Series"),
    ("Lengths", "def signals(self):\n    return {'size': lambda b: b['text'][:1].str.len_chars()}",
     "the signal size of x has 1 values, not 4"),
    ("Lengths", "def signals(self):\n    return {'size': lambda b: pl.Series([dict] * b.height)}",
     "the signal size of x gave Python objects"),
    ("Lengths", "def signals(self): return {'size': lambda batch: batch['text']}",
     "the rules of x (small) cannot be evaluated: ComputeError: cannot compare string"),
    ("Lengths", "def rules(self): return {'small': pl.col('size') + 1}",
     "the rules of x (small) cannot be evaluated: SchemaError: invalid series dtype"),
    ("Lengths", "def rules(self): return {'small': pl.col('size', 'text').is_null()}",
     "the rules of x (small) cannot be evaluated"),
    ("Transform", "def transform(self, batch): return None", "transform() gave None, not a polars"),
    ("Transform", "def transform(self, batch): return batch.lazy()",
     "transform() gave a LazyFrame, not a polars DataFrame"),
    ("Transform", "def transform(self, batch): return batch.drop('id')",
     "transform() gave rows without 'id'"),
    ("Transform", "def transform(self, batch): return batch.drop('text')",
     "transform() gave rows without 'text'"),
    ("Transform", "def transform(self, b):\n    return b.with_columns(pl.lit(3).alias('text'))",
     "transform() gave 'text' as Int32, not as String"),
    ("Transform", "def transform(self, b):\n    return b.with_columns(pl.lit('z').alias('id'))",
     "x returned rows that it was not given (id 'z')"),
    ("Transform", "def transform(self, batch): return pl.concat([batch, batch])",
     "x made 2 rows of one and promises at most 1"),
    ("Chooser", "def summarize(self, batch): return batch.lazy()",
     "summarize() gave a LazyFrame, not a polars DataFrame"),
    ("Chooser", "def summarize(self, batch): return {'id': 3}", "summarize() gave a dict"),
    ("Chooser", "def resolve(self, summaries, context): return summaries",
     "resolve() gave rows without 'reason'"),
    ("Chooser", "def resolve(self, summaries, context): return None", "resolve() gave None"),
    ("Chooser", "def resolve(self, summaries, context): return {}['x']",
     "resolve() of x raised KeyError: 'x'"),
    ("Chooser", "def resolve(self, summaries, context): raise SystemExit(2)",
     "resolve() of x raised SystemExit: 2"),
    ("Chooser", "def resolve(self, summaries, context): return summaries.collect()",
     "resolve() gave rows without 'reason'"),
    ("Chooser", "def resolve(self, summaries, context):\n"
                "    d = super().resolve(summaries, context)\n    return pl.concat([d, d])",
     "resolve() decides on the row"),
    ("MixOperator", "def summarize(self, batch):\n    return batch.select('id', 'source', size=1)\n"
                    "def resolve(self, summaries, context): return summaries.collect()",
     "resolve() gave rows without 'copies'"),
    ("Chooser", "def apply(self, b, decision): return b", "apply() gave a DataFrame, not an"),
    ("Chooser", "def apply(self, b, decision): return None", "apply() gave None, not an Outcome"),
    ("Chooser", "def apply(self, batch, decision): return Outcome(batch[:1])",
     "apply() took 4 rows and tells of 1"),
    ("Chooser", "def apply(self, batch, decision): return Outcome(batch[:3], batch[3:])",
     "apply() dropped gave rows without 'reason'"),
    ("Chooser", "def connect(self, services): return 1 / 0", "connect() of x raised ZeroDiv"),
    ("Chooser", "def connect(self, services): return None", "connect() of x gave None, no oper"),
    ("Lengths", "def signals(self):\n    longest = pl.col('text').str.len_chars().max()\n"
                "    return {'_most': longest, 'size': pl.col('_most') + 1}",
     "the signal _most of x has 1 values, not 4"),
    ("Lengths", "def details(self, dropped): return ['short']", "details() of x gave a list for 2"),
    ("Lengths", "def details(self, dropped): return dropped['text'].head(0)",
     "details() of x gave 0 values for 2 dropped rows"),
    ("Lengths", "def details(self, dropped): return {}['x']", "details() of x raised KeyError"),
]  # fmt: skip


@pytest.mark.parametrize(("base", "method", "cause"), BROKEN)
def test_a_broken_contract_is_located(
    run: StepRunner, tmp_path: Path, base: str, method: str, cause: str
) -> None:
    with pytest.raises(PluginError) as raised:
        run(base, method)
    place = "mix" if base == "MixOperator" else "steps[0]"
    where = "" if "connect()" in cause else f"{place} (x of {tmp_path / 'odd.py'}): "
    assert f"{where}{cause}" in raised.value.message
    assert raised.value.message.count(place) == (1 if where else 0)
    assert not (tmp_path / "out").exists()


NEIGHBOURS = [
    "{'size': pl.col('text').str.len_chars(), 'mean': pl.col('text').str.len_chars().mean()}",
    "{'size': pl.col('text').str.len_chars() - pl.col('text').str.len_chars().mean()}",
    "{'_more': pl.col('text').rank() + 1, 'size': pl.col('_more') + pl.lit(1)}",
    "{'size': pl.col('text').rank()}",
    "{'size': pl.col('text').shift(1).str.len_chars()}",
    "{'size': pl.len().over(pl.col('text').is_null())}",
    "{'size': lambda batch: pl.Series(range(batch.height))}",
    "{'size': lambda batch: batch['text'].str.len_chars().sort(descending=True)}",
]


@pytest.mark.parametrize("signals", NEIGHBOURS)
def test_a_signal_that_looks_at_other_rows_is_refused(run: StepRunner, signals: str) -> None:
    """It would depend on where batches are cut, and so would the corpus."""
    with pytest.raises(PluginError, match="gives a row another value when other rows are beside"):
        run("Lengths", f"def signals(self): return {signals}")


RULES = [
    "pl.col('size') < pl.col('size').mean()",
    "pl.col('size') == pl.col('size').max()",
    "pl.int_range(pl.len()) > 0",
]


@pytest.mark.parametrize("rule", RULES)
def test_a_rule_that_looks_at_other_rows_is_refused(run: StepRunner, rule: str) -> None:
    with pytest.raises(PluginError, match="one of the rules of x gives a row another value"):
        run("Lengths", f"def rules(self): return {{'small': {rule}}}")


ALONE = [
    "{'size': pl.col('text').str.len_chars() * pl.lit(1.5)}",
    "{'size': pl.when(pl.col('text') == '7').then(None).otherwise(pl.lit(2))}",
    "{'size': pl.col('text').is_in(pl.Series(['bb', 'ccc'])).cast(pl.Int8) + 1}",
    "{'size': pl.fold(pl.lit(1), lambda a, b: a + b, [pl.col('text').str.len_chars()])}",
    "{'size': pl.col('text').map_batches(lambda s: s.str.len_chars(), pl.UInt32)}",
    "{'size': lambda batch: batch['text'].str.len_chars() / 0.0}",
    "{'size': pl.col('text').str.len_chars(), 'words': pl.col('text').str.split(' ')}",
]


@pytest.mark.parametrize("signals", ALONE)
def test_a_signal_that_looks_at_its_own_row_is_taken(run: StepRunner, signals: str) -> None:
    assert run("Lengths", f"def signals(self): return {signals}").rows >= 2


RAISED = {
    "return None": (PluginError, 3),
    "from datachef.core import RunError; raise RunError('x')": (RunError, 4),
    "from datachef.core import ChangedInputError; raise ChangedInputError('x')": (
        ChangedInputError, 5,
    ),
    "from datachef.core import MissingPackageError; raise MissingPackageError('m', 'm', 'x')": (
        MissingPackageError, 1,
    ),
    "raise SystemExit(7)": (RunError, 4),
}  # fmt: skip


@pytest.mark.parametrize("engine", ["inline", "local"])
@pytest.mark.parametrize("body", RAISED)
def test_one_cause_has_one_exit_code_whatever_the_engine(
    run: StepRunner, body: str, engine: str
) -> None:
    kind, code = RAISED[body]
    with pytest.raises(kind) as raised:
        run("Transform", f"def transform(self, batch): {body}", engine=engine)
    assert raised.value.exit_code == code


def test_from_a_worker_it_comes_without_a_traceback(run: StepRunner, tmp_path: Path) -> None:
    with pytest.raises(PluginError) as raised:
        run("Transform", "def transform(self, batch): return None", engine="local")
    message = f"a/rows.jsonl: steps[0] (x of {tmp_path / 'odd.py'}): transform() gave None"
    assert message in raised.value.message
    assert not getattr(raised.value, "__notes__", [])


def test_rows_that_break_a_rule_cost_themselves_alone(run: StepRunner, tmp_path: Path) -> None:
    digits = "def rules(self): return {'small': pl.col('text').str.to_integer(strict=True) < 2}"
    with pytest.raises(RunError, match=r"3 of 4 rows failed \(ComputeError 3\)") as raised:
        run("Lengths", digits)
    assert f"x is of {tmp_path / 'odd.py'}" in raised.value.hint
    only_one = "def rules(self):\n    number = pl.col('text').str.replace('[bc]+', '5')\n"
    only_one += "    return {'small': number.str.to_integer(strict=True) < 6}"
    report = run("Lengths", only_one)
    entry = report.ledger["steps[0]"]
    assert (entry.failed, entry.dropped) == ({"ComputeError": 1}, {"small": 2})
    assert pl.read_parquet(tmp_path / "out" / "data" / "*.parquet")["text"].to_list() == ["7"]


def test_an_operator_that_ends_the_process_costs_the_rows_that_make_it(run: StepRunner) -> None:
    leaves = "def signals(self):\n    def size(batch):\n        if 'bb' in batch['text']:\n"
    leaves += "            raise SystemExit\n        return batch['text'].str.len_chars()\n"
    report = run("Lengths", leaves + "    return {'size': size}")
    entry = report.ledger["steps[0]"]
    assert (entry.failed, entry.dropped) == ({"SystemExit": 1}, {"small": 2})


MUTATIONS = [
    ("Lengths", "def signals(self):\n    def size(b):\n        n = b['text'].str.len_chars()\n"
                "        b.drop_in_place('text')\n        return n\n"
                "    return {'size': size, 'again': lambda batch: batch['text'].str.len_chars()}"),
    ("Transform", "def transform(self, b):\n    kept = b.filter(pl.col('text') > 'a')\n"
                  "    b.drop_in_place('source')\n    return kept"),
    ("Chooser", "def summarize(self, batch):\n    return batch.select(batch.drop_in_place('id'))\n"
                "def resolve(self, summaries, context):\n    return summaries.collect()[[0, 3]]"
                ".with_columns(pl.lit('bad').alias('reason'))"),
]  # fmt: skip


@pytest.mark.parametrize(("base", "method"), MUTATIONS)
def test_a_frame_that_is_changed_in_place_is_a_copy(
    run: StepRunner, tmp_path: Path, base: str, method: str
) -> None:
    assert run(base, method).rows == 2
    rows = pl.read_parquet(tmp_path / "out" / "data" / "*.parquet")
    assert sorted(rows["text"].to_list()) == ["bb", "ccc"]
    assert rows["source"].to_list() == ["a", "a"]


def test_a_text_that_is_null_is_dropped_as_emptied(run: StepRunner) -> None:
    pattern = "pl.col('text').str.extract('([bc]+)')"
    report = run("Transform", f"def transform(self, batch): return batch.with_columns({pattern})")
    assert report.ledger["steps[0]"].dropped == {"emptied": 2}


def test_signals_of_one_filter_may_differ_in_type_between_rows(
    run: StepRunner, tmp_path: Path
) -> None:
    """Such as all null in one batch: they come from the cache as they were."""
    method = "def signals(self):\n    return {'size': lambda b: pl.Series([None] * b.height)}"
    assert run("Lengths", method).rows == 4
    assert run("Lengths", method).rows == 4


OBSERVER = """
class Watcher(RunObserver):
    def partition_finished(self, event):
        raise KeyError("lost")

@hookimpl
def datachef_run_observers():
    return [Watcher()]
"""


def test_an_observer_that_breaks_is_told_no_more(run: StepRunner) -> None:
    report = run("Lengths", "pass", more=OBSERVER)
    assert report.rows == 2
    (broken,) = run.host.broken
    assert broken.error.startswith("partition_finished: KeyError: 'lost' (odd.py:")


ENGINE = """
@hookimpl
def datachef_engines():
    return {"odd": lambda setting, workers: "engine"}
"""


def test_an_engine_that_is_none(run: StepRunner) -> None:
    with pytest.raises(PluginError, match="the engine 'odd' is the str 'engine', not an Engine"):
        run("Lengths", "pass", more=ENGINE, engine="odd")
