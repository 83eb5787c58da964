"""Arrow files and folders that `datasets` saved."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from datasets import ClassLabel, Dataset, DatasetDict, Features, Value
from pyarrow import ipc

from datachef.core import BrokenFileError, RawRow, SourceError
from datachef.plugins.sources.files import FileSource

FEATURES = Features({"text": Value("string"), "label": ClassLabel(names=["good", "bad"])})
TEXTS = [f"row {number}" for number in range(2_500)]
LABELS = [number % 2 for number in range(2_500)]


@pytest.fixture(scope="module")
def dataset() -> Dataset:
    return Dataset.from_dict({"text": TEXTS, "label": LABELS}, features=FEATURES)


def read(path: Path, **options: Any) -> list[dict[str, Any]]:
    source = FileSource(path=str(path), **options)
    rows = []
    for partition in source.partitions():
        found = list(source.read(partition))
        assert partition.rows == len(found)
        rows += [(partition.name, raw.position, raw.data) for raw in found]
    assert len({row[:2] for row in rows}) == len(rows)
    return [data for *_, data in rows if data]


@pytest.mark.parametrize("part_bytes", [10**9, 4_000])
def test_a_saved_dataset_with_the_names_of_its_classes(
    tmp_path: Path, dataset: Dataset, monkeypatch: pytest.MonkeyPatch, part_bytes: int
) -> None:
    monkeypatch.setattr("datachef.core.contracts.reader.PART_BYTES", part_bytes)
    dataset.save_to_disk(tmp_path / "saved", num_shards=2)
    rows = read(tmp_path / "saved")
    assert [row["text"] for row in rows] == TEXTS
    assert [row["label"] for row in rows[:3]] == ["good", "bad", "good"]


def test_a_split_has_to_be_named(tmp_path: Path, dataset: Dataset) -> None:
    DatasetDict({"train": dataset, "test": dataset}).save_to_disk(tmp_path / "saved")
    with pytest.raises(SourceError, match="holds the splits train, test"):
        read(tmp_path / "saved")
    assert len(read(tmp_path / "saved" / "test")) == len(TEXTS)


@pytest.mark.parametrize("name", ["../other.arrow", "/etc/passwd", "a.parquet", 7])
def test_a_saved_dataset_names_its_own_files_alone(tmp_path: Path, name: Any) -> None:
    (tmp_path / "state.json").write_text(json.dumps({"_data_files": [{"filename": name}]}))
    with pytest.raises(SourceError, match="is no file of this dataset"):
        read(tmp_path)


def test_an_arrow_file_that_can_be_sought_in(tmp_path: Path) -> None:
    table = pa.table({"text": TEXTS})
    with ipc.new_file(tmp_path / "a.feather", table.schema) as writer:
        writer.write_table(table, max_chunksize=700)
    assert [row["text"] for row in read(tmp_path / "a.feather")] == TEXTS


def test_rows_before_a_damage_are_read(tmp_path: Path, dataset: Dataset) -> None:
    dataset.save_to_disk(tmp_path / "saved")
    file = tmp_path / "saved" / "data-00000-of-00001.arrow"
    whole = file.read_bytes()
    (partition,) = FileSource(path=str(file)).partitions()
    file.write_bytes(whole[: len(whole) * 2 // 3])
    rows: list[RawRow] = []
    with pytest.raises(BrokenFileError):
        rows.extend(FileSource(path=str(file)).read(partition))
    assert [raw.data["text"] for raw in rows if raw.data] == TEXTS[:1_000]


def test_offsets_that_lead_outside_are_refused(tmp_path: Path) -> None:
    """What a file says of where its texts lie is checked before one of them is looked at."""
    file = tmp_path / "a.arrow"
    batch = pa.record_batch([pa.array(["abc", "def"])], names=["text"])
    with ipc.new_stream(file, batch.schema) as writer:
        writer.write_batch(batch)
    offsets = b"".join(n.to_bytes(4, "little") for n in (0, 3, 6))
    assert offsets in file.read_bytes()
    outside = b"".join(n.to_bytes(4, "little") for n in (0, 2**30, 6))
    file.write_bytes(file.read_bytes().replace(offsets, outside))
    source = FileSource(path=str(file))
    (partition,) = source.partitions()
    with pytest.raises(BrokenFileError):
        list(source.read(partition))
