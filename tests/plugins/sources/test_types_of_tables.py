"""What becomes of values of every type, told by an independent reader: no row is lost, no value
changed."""

from __future__ import annotations

import datetime as dt
import decimal
import enum
import json
import uuid
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from datachef.core import Host, check_recipe
from datachef.core.files import parquet
from datachef.core.text.values import (
    NumberText,
    Unsupported,
    UnsupportedValueError,
    plain,
    text_of,
)

pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")

MakeCorpus = Callable[..., Any]
D = decimal.Decimal
UTC = dt.UTC
NAN = float("nan")


class Colour(enum.Enum):
    RED = "red"


class Level(enum.IntEnum):
    HIGH = 3


# What Python may hold, and what it is as text.
VALUES: list[tuple[Any, str | None]] = [
    (None, None),
    ("007", "007"),
    (True, "true"),
    (2**63, "9223372036854775808"),
    (-(10**5000), "-1" + "0" * 5000),
    (1.0, "1.0"),
    (-0.0, "-0.0"),
    (NAN, "NaN"),
    (float("-inf"), "-Infinity"),
    (NumberText("1e400"), "1e400"),
    (D("1.50"), "1.5"),
    (D("3"), "3"),
    (D("0.12345678901234567890"), "0.12345678901234567890"),
    (D("12345678901234567890"), "12345678901234567890"),
    (dt.date(2024, 1, 1), "2024-01-01"),
    (dt.datetime(2024, 1, 1), "2024-01-01T00:00:00"),
    (dt.datetime(2024, 1, 1, 2, 3, 4, 500_000, UTC), "2024-01-01T02:03:04.500+00:00"),
    (dt.time(9, 30), "09:30:00"),
    (dt.timedelta(days=1, hours=2), "P1DT2H"),
    (dt.timedelta(0), "PT0S"),
    (dt.timedelta(seconds=-1.5), "-PT1.5S"),
    (b"hello", "aGVsbG8="),
    (uuid.UUID(int=5), "00000000-0000-0000-0000-000000000005"),
    (Colour.RED, "red"),
    (Level.HIGH, "3"),
    (Path("a/b"), "a/b"),
    ((1, 2), "[1,2]"),
    ({"b", "a"}, '["a","b"]'),
    ({dt.date(2024, 1, 1): b"x", 1: D("1.5")}, '{"2024-01-01":"eA==","1":1.5}'),
    ({"n": 10**30, "f": NAN, "z": -0.0}, f'{{"n":{10**30},"f":null,"z":-0.0}}'),
    ([NumberText("1e400"), "1e400"], '[1e400,"1e400"]'),
    ([], "[]"),
    ({}, "{}"),
]


@pytest.mark.parametrize(("value", "text"), VALUES, ids=[str(t)[:30] for _, t in VALUES])
def test_a_value_as_text(value: Any, text: str | None) -> None:
    assert text_of(value) == text


def test_numbers_of_numpy_are_what_they_stand_for() -> None:
    numpy = pytest.importorskip("numpy")
    values = [numpy.int8(3), numpy.float16(1.5), numpy.bool_(True), numpy.str_("s")]
    assert [plain(value) for value in values] == [3, 1.5, True, "s"]
    assert plain(numpy.array([[1, 2], [3, 4]])) == [[1, 2], [3, 4]]
    moment = numpy.datetime64("2024-01-01T00:00:00.000000001")
    assert text_of(moment) == "2024-01-01T00:00:00.000000001"
    assert plain(numpy.datetime64("NaT", "s")) is None


@pytest.mark.parametrize("value", [object(), 1j, [object()], {"a": Unsupported("an image")}])
def test_what_is_no_data_is_no_address_in_memory(value: Any) -> None:
    with pytest.raises(UnsupportedValueError, match="not supported") as error:
        text_of(value)
    assert "0x" not in str(error.value)


def table(*values: Any, type: Any = None) -> Any:
    return pa.array([*values, None], type)


def extension(kind: Any, values: list[Any]) -> Any:
    return pa.ExtensionArray.from_storage(kind, pa.array(values, kind.storage_type))


LIST_VIEW = table([1, 2], type=pa.list_view(pa.int64()))
UUID = uuid.UUID("12345678-1234-5678-1234-567812345678")
MOMENT = 1_704_067_200
# Of every type of Arrow: values and a null, and what they are in a column of the corpus.
COLUMNS: dict[str, tuple[Any, list[Any]]] = {
    "date32": (table(dt.date(2024, 1, 1)), ["2024-01-01"]),
    "date64": (table(dt.date(2024, 1, 1), type=pa.date64()), ["2024-01-01T00:00:00"]),
    "timestamp in s": (table(MOMENT, type=pa.timestamp("s")), ["2024-01-01T00:00:00"]),
    "timestamp in ns": (
        table(MOMENT * 10**9 + 1, type=pa.timestamp("ns")),
        ["2024-01-01T00:00:00.000000001"],
    ),
    "timestamp with a zone": (
        table(MOMENT * 1000, type=pa.timestamp("ms", "Europe/Paris")),
        ["2024-01-01T01:00:00+01:00"],
    ),
    "time32": (table(34_200, type=pa.time32("s")), ["09:30:00"]),
    "time64": (table(1, type=pa.time64("ns")), ["00:00:00.000000001"]),
    "duration": (table(3600, type=pa.duration("s")), ["PT1H"]),
    "decimal": (table(D("1.50"), D("-0.01")), [1.5, -0.01]),
    "decimal without a scale": (table(D(7), type=pa.decimal128(10, 0)), [7]),
    "decimal of 38 digits": (
        table(D("0.12345678901234567890123456789012345678"), D("0.5")),
        ["0.12345678901234567890123456789012345678", "0.5"],
    ),
    "binary": (table(b"\xff\x00"), ["/wA="]),
    "fixed binary": (table(b"abcd", type=pa.binary(4)), ["YWJjZA=="]),
    "binary view": (table(b"ab", type=pa.binary_view()), ["YWI="]),
    "large string": (table("é", type=pa.large_string()), ["é"]),
    "string view": (table("é", type=pa.string_view()), ["é"]),
    "dictionary": (table("a", "b", "a").dictionary_encode(), ["a", "b", "a"]),
    "dictionary of numbers": (table(5, 5).dictionary_encode(), [5, 5]),
    "int8": (table(-128, type=pa.int8()), [-128]),
    "uint32": (table(2**32 - 1, type=pa.uint32()), [2**32 - 1]),
    "uint64": (table(2**64 - 1, 1, type=pa.uint64()), ["18446744073709551615", "1"]),
    "float16": (table(1.5, type=pa.float16()), [1.5]),
    "float32": (table(0.5, type=pa.float32()), [0.5]),
    "NaN and infinity": (table(NAN, float("inf")), [NAN, float("inf")]),
    "bool": (table(True, False), [True, False]),
    "list": (table([1, None], []), ["[1,null]", "[]"]),
    "list of lists": (table([["a"], []]), ['[["a"],[]]']),
    "list of a fixed size": (table([1, 2], type=pa.list_(pa.int64(), 2)), ["[1,2]"]),
    "map": (table([("k", 1)], type=pa.map_(pa.string(), pa.int64())), ['{"k":1}']),
    "struct": (
        table({"a": 1, "d": dt.date(2024, 1, 1), "b": b"x", "n": None}),
        ['{"a":1,"d":"2024-01-01","b":"eA==","n":null}'],
    ),
    "nested nanoseconds": (
        table([{"t": 1}], type=pa.list_(pa.struct([("t", pa.timestamp("ns"))]))),
        ['[{"t":"1970-01-01T00:00:00.000000001"}]'],
    ),
    "empty structs": (table([], type=pa.list_(pa.struct([("x", pa.int8())]))), ["[]"]),
    "list view": (LIST_VIEW, ["[1,2]"]),
    "decimal of 50 digits": (
        table(D("0.5"), D("1" * 48 + ".25"), type=pa.decimal256(50, 2)),
        ["0.5", "1" * 48 + ".25"],
    ),
    "timestamp with an offset": (
        table(MOMENT * 1000, type=pa.timestamp("ms", "+05:30")),
        ["2024-01-01T05:30:00+05:30"],
    ),
    "UUID": (extension(pa.uuid(), [UUID.bytes, None]), [str(UUID)]),
    "UUIDs inside": (
        pa.StructArray.from_arrays(
            [extension(pa.uuid(), [UUID.bytes, None])], ["u"], mask=pa.array([False, True])
        ),
        [f'{{"u":"{UUID}"}}'],
    ),
    "bool of 8 bits": (extension(pa.bool8(), [1, 0, None]), [True, False]),
    "JSON": (
        pa.ExtensionArray.from_storage(pa.json_(), pa.array(['{"a": [1]}', '"s"', "7", None])),
        ['{"a":[1]}', "s", "7"],
    ),
}


def write(path: Path, columns: dict[str, Any]) -> None:
    pq.write_table(pa.table(columns), path)


def texts(count: int) -> list[str]:
    return [f"text {n}" for n in range(count)]


class TestParquet:
    @pytest.mark.parametrize(("column", "expected"), COLUMNS.values(), ids=COLUMNS)
    def test_a_column_of_every_type(
        self, make_corpus: MakeCorpus, tmp_path: Path, column: Any, expected: list[Any]
    ) -> None:
        write(tmp_path / "a.parquet", {"v": column, "text": texts(len(column))})
        result = make_corpus("a.parquet", output={"columns": ["v"]})
        assert result.rows["text"].to_list() == texts(len(column))
        assert list(map(repr, result.rows["v"])) == list(map(repr, [*expected, None]))

    def test_a_field_of_the_format_is_the_same_text(
        self, make_corpus: MakeCorpus, tmp_path: Path
    ) -> None:
        days = [dt.date(2024, 1, day) for day in (1, 2, 3)]
        names = ["a", "b", "c"]
        write(tmp_path / "a.parquet", {"day": days, "name": [n.encode() for n in names]})
        source = {"path": "a.parquet", "format": {"prompt": "name", "completion": "on {day}"}}
        source["format"]["completion"] = "{day}"
        result = make_corpus({"s": source}, output={"schema": "messages"})
        turns = [[turn["content"] for turn in row] for row in result.rows["messages"]]
        assert turns == [[n, d.isoformat()] for n, d in zip(names, days, strict=True)]

    def test_bytes_that_are_no_text_cost_their_row(
        self, make_corpus: MakeCorpus, tmp_path: Path
    ) -> None:
        write(tmp_path / "a.parquet", {"text": pa.array([b"fine"] * 19 + [b"\xff"])})
        result = make_corpus("a.parquet")
        assert result.rows["text"].to_list() == ["fine"] * 19
        assert result.rejects["reason"].to_list() == ["not_utf8"]

    def test_row_groups_of_a_type_that_polars_does_not_read(
        self, make_corpus: MakeCorpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("datachef.core.contracts.reader.PART_BYTES", 500)
        names = [str(uuid.UUID(int=n)) for n in range(100)]
        column = extension(pa.uuid(), [uuid.UUID(name).bytes for name in names])
        content = pa.table({"v": column, "text": texts(100), "n": range(100)})
        pq.write_table(content, tmp_path / "a.parquet", row_group_size=7)
        rows = make_corpus("a.parquet", output={"columns": ["v", "n"], "order": "source"}).rows
        assert rows["text"].to_list() == texts(100)
        assert rows["v"].to_list() == names
        assert rows["n"].to_list() == list(range(100))

    def test_what_polars_breaks_on_is_a_problem_of_the_file(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(parquet, "is_foreign", lambda kind: False)
        write(tmp_path / "a.parquet", {"v": LIST_VIEW, "text": ["a", "b"]})
        (tmp_path / "r.yaml").write_text("name: r\nsources: {s: {path: a.parquet}}\n")
        (problem,) = check_recipe(tmp_path / "r.yaml", Host()).problems
        assert problem.code == "broken_file"
        assert "a.parquet" in problem.message

    def test_shards_of_different_types(self, make_corpus: MakeCorpus, tmp_path: Path) -> None:
        shards = {
            "a": pa.array([1, 2]),
            "b": pa.array([2.5]),
            "c": pa.array([D("0.25")]),
            "d": pa.array([None], pa.null()),
            "e": pa.array([3], pa.uint8()),
        }
        for name, values in shards.items():
            write(tmp_path / f"{name}.parquet", {"v": values, "text": [name] * len(values)})
        write(tmp_path / "f.parquet", {"text": ["f"], "w": [7]})
        result = make_corpus("*.parquet", output={"columns": ["v", "w"]})
        assert result.rows["v"].to_list() == [1.0, 2.0, 2.5, 0.25, None, 3.0, None]
        assert result.rows["w"].to_list() == [None] * 6 + [7]

    def test_names_of_labels_and_images_of_datasets(
        self, make_corpus: MakeCorpus, tmp_path: Path
    ) -> None:
        image = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
        label = {"_type": "ClassLabel", "names": ["bad", "good"]}
        features = {
            "text": {"_type": "Value", "dtype": "string"},
            "label": label,
            "tags": {"_type": "List", "feature": label},
            "inner": {"l": label},
            "picture": {"_type": "Image"},
        }
        columns = pa.table(
            {
                "text": ["a", "b"],
                "label": [1, -1],
                "tags": [[0, 1], []],
                "inner": [{"l": 1}, {"l": 0}],
                "picture": pa.array([{"bytes": b"\x89PNG", "path": None}] * 2, image),
            }
        )
        described = json.dumps({"info": {"features": features}})
        pq.write_table(
            columns.replace_schema_metadata({"huggingface": described}), tmp_path / "a.parquet"
        )
        result = make_corpus("a.parquet", output={"columns": ["label", "tags", "inner"]})
        assert result.rows["label"].to_list() == ["good", "-1"]
        assert result.rows["tags"].to_list() == ['["bad","good"]', "[]"]
        assert result.rows["inner"].to_list() == ['{"l":"good"}', '{"l":"bad"}']
        assert result.report.ignored_fields == {"s": {"picture": 2}}
        (tmp_path / "r.yaml").write_text(
            "name: r\nsources: {s: {path: a.parquet}}\noutput: {columns: [picture]}\n"
        )
        (problem,) = check_recipe(tmp_path / "r.yaml", Host()).problems
        assert (problem.code, problem.hint) == (
            "missing_column",
            "it holds an image, which is not supported",
        )


def dirty_lines(values: Sequence[str]) -> str:
    return "\n".join(f'{{"text": "{n}", "v": {value}}}' for n, value in enumerate(values))


MIXES = {
    "ints and floats": ["1", "2.5", "-3", "1e3"],
    "ids": ['"007"', '"7"', "7"],
    "everything": ["1", "2.5", '"x"', "true", "null", "[1]", '{"a": null}'],
    "long integers": ["1", "-99999999999999999999", "18446744073709551616"],
    "nested": ['{"a": {"b": [1, 2.0, 18446744073709551616]}}', '{"a": []}', "[]"],
}


@pytest.mark.parametrize("values", MIXES.values(), ids=MIXES)
def test_json_lines_of_mixed_types(
    make_corpus: MakeCorpus, tmp_path: Path, values: list[str]
) -> None:
    """Read again with every number as it was written."""
    (tmp_path / "a.jsonl").write_text(dirty_lines(values))
    result = make_corpus("a.jsonl", output={"columns": ["v"]})
    entry = result.report.ledger["sources.s"]
    assert entry.rows_in == len(values) == result.rows.height + entry.failed.total()
    for written, kept in zip(values, result.rows["v"], strict=True):
        before = json.loads(written, parse_int=D, parse_float=D)
        if isinstance(before, D) or before is None:
            assert before == (None if kept is None else D(str(kept)))
        elif isinstance(before, str):
            assert kept == before
        else:
            assert json.loads(kept, parse_int=D, parse_float=D) == before


def test_a_table_keeps_every_cell(make_corpus: MakeCorpus, tmp_path: Path) -> None:
    cells = ["007", "1", "2.5", "", "NaN", "true", "2024-01-01", "1e400"]
    lines = ["text,v", *(f"t{n},{cell}" for n, cell in enumerate(cells))]
    (tmp_path / "a.csv").write_text("\n".join(lines))
    rows = make_corpus("a.csv", output={"columns": ["v"]}).rows
    assert [cell or "" for cell in rows["v"]] == cells
