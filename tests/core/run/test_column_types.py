"""The types of columns: nothing that nobody reads fails a row, and no value is changed."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from datachef.core import Host, RunError, check_recipe, run_recipe
from datachef.core.rows import reader
from datachef.core.run import partition

MakeCorpus = Callable[..., Any]

THRESHOLD = """
from typing import Literal
import polars as pl
from datachef.core import Filter, hookimpl

class ScoreFilter(Filter):
    \"\"\"Keeps rows with a score above 2.\"\"\"
    op: Literal["score_filter"] = "score_filter"
    def reads(self):
        return {"score"}
    def signals(self):
        return {"double_score": pl.col("score") * 2}
    def rules(self):
        return {"low": pl.col("double_score") <= 4}

@hookimpl
def datachef_operators():
    return [ScoreFilter]
"""


def write(path: Path, name: str, values: list[Any], text: str = "row") -> Path:
    """A file of rows, each with one of the values in the given field, written as it is."""
    lines = [
        f'{{"text": "{text} {n}", {json.dumps(name)}: {value}}}' for n, value in enumerate(values)
    ]
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


MIXED: dict[str, tuple[list[str], Any, list[Any]]] = {
    "int, then float": (["3"] * 300 + ["2.5"], pl.Float64, [3.0] * 300 + [2.5]),
    "int, then text": (["3"] * 300 + ['"n/a"'], pl.String, ["3"] * 300 + ["n/a"]),
    "float, then int": (["2.5"] * 300 + ["3"], pl.Float64, [2.5] * 300 + [3.0]),
    "null, then int": (["null"] * 300 + ["7"], pl.Int64, [None] * 300 + [7]),
    "null, then text": (["null"] * 300 + ['"x"'], pl.String, [None] * 300 + ["x"]),
    "text, then int": (['"007"'] * 300 + ["7"], pl.String, ["007"] * 300 + ["7"]),
    "bool, then int": (["true"] * 300 + ["1"], pl.String, ["true"] * 300 + ["1"]),
    "int, then bool": (["1"] * 300 + ["true"], pl.String, ["1"] * 300 + ["true"]),
    "int, float and text": (["1", "2.5", '"x"'], pl.String, ["1", "2.5", "x"]),
    "int, then object": (
        ["1"] * 300 + ['{"a": [1.0, 1]}'],
        pl.String,
        ["1"] * 300 + ['{"a":[1.0,1]}'],
    ),
    "objects of any shape": (
        ['{"a": 1}', "[]", '"s"', "{}"],
        pl.String,
        ['{"a":1}', "[]", "s", "{}"],
    ),
    "beyond 64 bits": (
        ["1"] * 300 + ["123456789012345678901234567890"],
        pl.String,
        ["1"] * 300 + ["123456789012345678901234567890"],
    ),
    "the last 64 bits": (["9223372036854775807", "1"], pl.Int64, [2**63 - 1, 1]),
    "just beyond signed": (["9223372036854775808", "-1"], pl.String, ["9223372036854775808", "-1"]),
    "an integer that is no double, and a fraction": (
        ["9007199254740993", "2.5"],
        pl.String,
        ["9007199254740993", "2.5"],
    ),
    "beyond a double": (["1.5", "1e400"], pl.String, ["1.5", "1e400"]),
    "digits inside": (
        ['{"n": 18446744073709551617, "m": [-99999999999999999999]}'],
        pl.String,
        ['{"n":18446744073709551617,"m":[-99999999999999999999]}'],
    ),
    "NaN and infinity": (
        ["1.5", "NaN", "Infinity"],
        pl.Float64,
        [1.5, float("nan"), float("inf")],
    ),
    "NaN beside text": (['"x"', "NaN", "-Infinity"], pl.String, ["x", "NaN", "-Infinity"]),
    "a number of 5,000 digits": (["9" * 5000], pl.String, ["9" * 5000]),
    "a zero with a sign": (["-0.0", "1"], pl.Float64, [-0.0, 1.0]),
}


class TestColumnsThatNobodyReads:
    @pytest.mark.parametrize(("written", "_", "__"), MIXED.values(), ids=MIXED)
    def test_no_row_is_lost(
        self, make_corpus: MakeCorpus, tmp_path: Path, written: list[str], _: Any, __: Any
    ) -> None:
        result = make_corpus(write(tmp_path / "a.jsonl", "v", written))
        entry = result.report.ledger["sources.s"]
        assert (entry.rows_in, entry.rows_out) == (len(written), len(written))

    def test_a_field_nested_too_deeply_to_be_kept(
        self, make_corpus: MakeCorpus, tmp_path: Path
    ) -> None:
        deep = "[" * 900 + "]" * 900
        write(tmp_path / "a.jsonl", "meta", ["[]", deep, "[" * 400 + "]" * 400])
        assert make_corpus("a.jsonl").rows["text"].to_list() == ["row 0", "row 1", "row 2"]
        columns = {"columns": ["meta"]}
        with pytest.raises(RunError, match="unsupported_value 1") as error:
            make_corpus("a.jsonl", output=columns)
        assert "'meta' holds a value that is nested too deeply" in error.value.hint
        kept = make_corpus({"s": {"path": "a.jsonl", "max_failed": 0.5}}, output=columns)
        assert kept.rows["meta"].to_list() == ["[]", "[" * 400 + "]" * 400]


class TestColumnsOfTheOutput:
    @pytest.mark.parametrize(("written", "dtype", "expected"), MIXED.values(), ids=MIXED)
    def test_every_value_is_kept(
        self,
        make_corpus: MakeCorpus,
        tmp_path: Path,
        written: list[str],
        dtype: Any,
        expected: list[Any],
    ) -> None:
        result = make_corpus(write(tmp_path / "a.jsonl", "v", written), output={"columns": ["v"]})
        assert result.rows.schema["v"] == dtype
        assert list(map(repr, result.rows["v"])) == list(map(repr, expected))

    @pytest.mark.parametrize("partition_bytes", [60, 10**7])
    @pytest.mark.parametrize(
        ("shards", "dtype", "expected"),
        [
            ([["1"], ["2.5"]], pl.Float64, [1.0, 2.5]),
            ([["1"], ["2.5"], ['"x"']], pl.String, ["1", "2.5", "x"]),
            ([["null"], ["true"], ["null"]], pl.Boolean, [None, True, None]),
            ([["9007199254740993"], ["2.5"]], pl.String, ["9007199254740993", "2.5"]),
            ([["true"], ["1"]], pl.String, ["true", "1"]),
            ([['{"a": 1}'], ["[1]"], ["null"]], pl.String, ['{"a":1}', "[1]", None]),
        ],
    )
    def test_one_schema_over_all_files(
        self,
        make_corpus: MakeCorpus,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        partition_bytes: int,
        shards: list[list[str]],
        dtype: Any,
        expected: list[Any],
    ) -> None:
        """Each file alone is of one type; what is read first does not decide."""
        monkeypatch.setattr("datachef.core.contracts.reader.PART_BYTES", partition_bytes)
        monkeypatch.setattr(reader, "SAMPLE_FILES", 1)
        for number, values in enumerate(shards):
            write(tmp_path / f"{number}.jsonl", "v", values, f"file {number}")
        result = make_corpus("*.jsonl", output={"columns": ["v"], "shard_bytes": 1000})
        assert result.rows.schema["v"] == dtype
        assert result.rows["v"].to_list() == expected
        schemas = {
            tuple(pl.read_parquet_schema(path).items())
            for path in (result.report.folder / "data").iterdir()
        }
        assert len(schemas) == 1

    @pytest.mark.parametrize("batch_bytes", [1, 3000, 10**7])
    def test_text_of_numbers_does_not_depend_on_what_is_read_with_them(
        self,
        make_corpus: MakeCorpus,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        batch_bytes: int,
    ) -> None:
        """Integers and fractions meet in some batches, and text in none of theirs."""
        monkeypatch.setattr(partition, "BATCH_BYTES", batch_bytes)
        values = ["3"] * 300 + ["2.5", "3", "-0.0"] + ["3"] * 300 + ['"x"']
        write(tmp_path / "a.jsonl", "v", values)
        write(tmp_path / "b.jsonl", "v", ["3", "2.5"], "other")
        rows = make_corpus("*.jsonl", output={"columns": ["v"], "order": "source"}).rows
        expected = ["3"] * 300 + ["2.5", "3", "-0.0"] + ["3"] * 300 + ["x", "3", "2.5"]
        assert rows["v"].to_list() == expected

    def test_sources_of_different_types(self, make_corpus: MakeCorpus, tmp_path: Path) -> None:
        for name, values in {"a": ["1", "2"], "b": ['"x"'], "c": ["1.5"]}.items():
            write(tmp_path / f"{name}.jsonl", "v", values, name)
        sources = {name: {"path": f"{name}.jsonl"} for name in "abc"}
        result = make_corpus(sources, output={"columns": ["v"]})
        assert result.rows["v"].to_list() == ["1", "2", "x", "1.5"]

    def test_a_column_of_some_files(self, make_corpus: MakeCorpus, tmp_path: Path) -> None:
        write(tmp_path / "a.jsonl", "other", ["1"] * 3)
        write(tmp_path / "b.jsonl", "v", ["5"] * 2)
        result = make_corpus("*.jsonl", output={"columns": ["v", "other"]})
        assert result.rows["v"].to_list() == [None, None, None, 5, 5]
        assert result.rows["other"].to_list() == [1, 1, 1, None, None]

    def test_a_column_that_comes_late(self, make_corpus: MakeCorpus, tmp_path: Path) -> None:
        rows = [{"text": f"row {n}"} for n in range(300)] + [{"text": "last", "late": 7}]
        (tmp_path / "a.jsonl").write_text("\n".join(map(json.dumps, rows)))
        result = make_corpus("a.jsonl", output={"columns": ["late"]})
        assert result.rows["late"].to_list() == [None] * 300 + [7]
        assert result.report.ignored_fields == {}

    def test_a_column_that_never_comes(self, tmp_path: Path) -> None:
        write(tmp_path / "a.jsonl", "v", ["1"] * 300)
        (tmp_path / "r.yaml").write_text(
            "name: r\nsources: {s: {path: a.jsonl}}\noutput: {columns: [w]}\n"
        )
        (problem,) = check_recipe(tmp_path / "r.yaml", Host()).problems
        assert problem.code == "missing_column"

    def test_the_same_bytes_for_any_number_of_workers(
        self,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        corpus_bytes: Callable[[Path], dict[str, str]],
    ) -> None:
        monkeypatch.setattr("datachef.core.contracts.reader.PART_BYTES", 3000)
        values = ["3"] * 300 + ["2.5"] * 50 + ["null"] * 50 + ["9007199254740993"] + ["4"] * 300
        write(tmp_path / "a.jsonl", "v", values)
        (tmp_path / "r.yaml").write_text(
            "name: r\nsources: {s: {path: a.jsonl}}\noutput: {columns: [v], shard_bytes: 5000}\n"
        )
        digests = []
        for workers in (1, 3):
            run_recipe(
                tmp_path / "r.yaml",
                tmp_path / f"corpus-{workers}",
                workers=workers,
                cache=tmp_path / f"cache-{workers}",
            )
            digests.append(corpus_bytes(tmp_path / f"corpus-{workers}"))
        assert digests[0] == digests[1]
        assert len(digests[0]) > 4


class TestColumnsThatAStepReads:
    @pytest.fixture
    def plugin(self, tmp_path: Path) -> Path:
        path = tmp_path / "score_filter.py"
        path.write_text(THRESHOLD)
        return path

    def test_int_and_float_are_numbers(
        self, make_corpus: MakeCorpus, tmp_path: Path, plugin: Path
    ) -> None:
        write(tmp_path / "a.jsonl", "score", ["3"] * 300 + ["1", "2.5", "2.0", "null"])
        result = make_corpus(
            {"s": {"path": "a.jsonl", "steps": [{"op": "score_filter"}]}}, plugins=[plugin]
        )
        assert result.rows.height == 302
        assert dict(result.report.ledger["sources.s.steps[0]"].dropped) == {"low": 2}

    @pytest.mark.parametrize("place", [0, 250])
    def test_a_value_that_is_no_number_costs_its_row(
        self, make_corpus: MakeCorpus, tmp_path: Path, plugin: Path, place: int
    ) -> None:
        values = ["3"] * 300
        values[place] = '"n/a"'
        write(tmp_path / "a.jsonl", "score", values)
        source = {"path": "a.jsonl", "steps": [{"op": "score_filter"}]}
        result = make_corpus({"s": source}, plugins=[plugin])
        assert result.rows.height == 299
        row = result.rejects.row(0, named=True)
        assert (row["line"], row["reason"]) == (place + 1, "schema_mismatch")
        assert row["detail"] == (
            "'score' is 'n/a', where sources.s.steps[0] (score_filter) reads numbers"
        )

    def test_digits_are_not_lost_for_a_step(
        self, make_corpus: MakeCorpus, tmp_path: Path, plugin: Path
    ) -> None:
        values = ["3"] * 300 + ["2.5", "9007199254740993"]
        write(tmp_path / "a.jsonl", "score", values)
        source = {"path": "a.jsonl", "steps": [{"op": "score_filter"}]}
        result = make_corpus({"s": source}, plugins=[plugin], output={"columns": ["score"]})
        assert result.rejects["line"].to_list() == [302]
        assert result.rows["score"].to_list() == [3.0] * 300 + [2.5]

    def test_text_where_numbers_are_selected_is_a_problem(self, tmp_path: Path) -> None:
        write(tmp_path / "a.jsonl", "score", ['"007"', '"8"'])
        (tmp_path / "r.yaml").write_text(
            "name: r\nsources:\n  s:\n    path: a.jsonl\n    steps:\n"
            "    - {op: top_selection, by: score, rows: 1}\n"
        )
        (problem,) = check_recipe(tmp_path / "r.yaml", Host()).problems
        assert problem.message == "top_selection: the column 'score' holds text, not numbers"


class TestNames:
    NAMES = (
        "", "a\0b", "_row", "row", "\0row", "reason", "detail", "step", "priority", "copies",
        "_words", "_text", "x" * 10_000, "original_id", "id", "source", "tokens", "messages",
        "outcome", "file", "line", "double_score",
    )  # fmt: skip

    @pytest.mark.parametrize("name", NAMES)
    def test_a_field_of_any_name_is_kept(
        self, make_corpus: MakeCorpus, tmp_path: Path, name: str
    ) -> None:
        plugin = tmp_path / "score_filter.py"
        plugin.write_text(THRESHOLD)
        rows = [{"text": f"row {n}", "score": n, name: f"v{n}"} for n in range(5)]
        (tmp_path / "a.jsonl").write_text("\n".join(map(json.dumps, rows)))
        stored = {"a\0b": "a\\0b", "\0row": "\\0row"}.get(name, name)
        if name in ("id", "source", "tokens", "messages"):
            stored = f"original_{name}"
        signal = {"op": "score_filter", "keep_signals": True}
        shown = f"original_{stored}" if name == "double_score" else stored
        result = make_corpus(
            {"s": {"path": "a.jsonl", "format": {"text": "text"}, "steps": [signal]}},
            plugins=[plugin],
            output={"columns": [shown]},
            rejects={"keep": "all"},
        )
        assert result.rows[shown].to_list() == ["v3", "v4"]
        assert result.rejects["detail"].to_list() == [""] * 3
        assert result.rejects["text"].to_list() == ["row 0", "row 1", "row 2"]
        columns = set(result.rows.columns)
        assert not any("\0" in column for column in columns)

    def test_two_fields_that_would_be_kept_under_one_name(
        self, make_corpus: MakeCorpus, tmp_path: Path
    ) -> None:
        row = {"text": "t", "a\0b": 1, "a\\0b": 2, "id": 3, "original_id": 4}
        (tmp_path / "a.jsonl").write_text(json.dumps(row))
        columns = ["original_a\\0b", "a\\0b", "original_original_id", "original_id"]
        rows = make_corpus("a.jsonl", output={"columns": columns}).rows
        assert rows.select(columns).row(0) == (1, 2, 3, 4)


FRAMES = """
from typing import Literal
import polars as pl
from datachef.core import Filter, hookimpl

class FrameFilter(Filter):
    \"\"\"Looks at the batch as other libraries do.\"\"\"
    op: Literal["frame_filter"] = "frame_filter"
    def signals(self):
        def length(batch):
            dicts = batch.to_dicts()
            assert [row["text"] for row in dicts] == batch["text"].to_list()
            assert batch.to_numpy().shape == (batch.height, batch.width)
            assert batch.to_arrow().num_rows == batch.height
            return pl.Series(batch.to_pandas()["text"].str.len())
        return {"length": length}
    def rules(self):
        return {"long": pl.col("length") > 5}

@hookimpl
def datachef_operators():
    return [FrameFilter]
"""

PANICS = """
from typing import Literal
import polars as pl
from datachef.core import CorpusOperator, Filter, hookimpl

def panic(batch):
    if batch["text"].str.contains("row 7").any():
        raise pl.exceptions.PanicException("called `Option::unwrap()` on a `None` value")
    return batch["text"].str.len_chars()

class PanicFilter(Filter):
    \"\"\"Panics on a row.\"\"\"
    op: Literal["panic_filter"] = "panic_filter"
    def signals(self):
        return {"panics": panic}
    def rules(self):
        return {}

class PanicCorpus(CorpusOperator):
    \"\"\"Panics where it decides.\"\"\"
    op: Literal["panic_corpus"] = "panic_corpus"
    def summarize(self, batch):
        return batch.select("id")
    def resolve(self, summaries, context):
        raise pl.exceptions.PanicException("index out of bounds")

@hookimpl
def datachef_operators():
    return [PanicFilter, PanicCorpus]
"""


class TestOtherLibraries:
    @pytest.mark.parametrize("engine", ["inline", "local"])
    def test_a_signal_may_use_the_batch_as_it_likes(
        self, make_corpus: MakeCorpus, tmp_path: Path, engine: str
    ) -> None:
        pytest.importorskip("pandas")
        pytest.importorskip("pyarrow")
        (tmp_path / "frames.py").write_text(FRAMES)
        rows = [{"text": "x" * n, "a\0b": n, "meta": [n]} for n in range(1, 11)]
        (tmp_path / "a.jsonl").write_text("\n".join(map(json.dumps, rows)))
        source = {"path": "a.jsonl", "steps": [{"op": "frame_filter"}]}
        result = make_corpus({"s": source}, plugins=[tmp_path / "frames.py"], engine=engine)
        assert result.rows["text"].to_list() == ["x" * n for n in range(1, 6)]

    @pytest.mark.parametrize("engine", ["inline", "local"])
    @pytest.mark.parametrize(
        ("op", "where"),
        [("panic_filter", "sources.s.steps[0]"), ("panic_corpus", "sources.s.steps[0]")],
    )
    def test_a_panic_is_one_failure_of_the_step(
        self, make_corpus: MakeCorpus, tmp_path: Path, engine: str, op: str, where: str
    ) -> None:
        (tmp_path / "panics.py").write_text(PANICS)
        write(tmp_path / "a.jsonl", "v", ["1"] * 50)
        source = {"path": "a.jsonl", "steps": [{"op": op}]}
        with pytest.raises(Exception, match="panicked") as error:
            make_corpus({"s": source}, plugins=[tmp_path / "panics.py"], engine=engine)
        assert where in str(error.value)
        assert "workers" not in error.value.hint
        assert "library" in error.value.hint
