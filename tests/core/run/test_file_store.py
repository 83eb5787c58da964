"""What a store of files promises where another machine wrote, or somebody else did."""

from __future__ import annotations

import threading
from pathlib import Path

import polars as pl
import pytest

from datachef.core.errors import RunError
from datachef.core.run.file_store import FileStore
from datachef.core.system import folder as folders
from datachef.core.system.folder import LocalFolder

KEY = "ab" * 16
MOUNTS = """\
22 1 8:1 / / rw,relatime - ext4 /dev/sda1 rw
40 22 0:40 / {shared} rw,relatime shared:1 - nfs4 server:/export rw
41 40 0:41 / {shared}/scratch rw,relatime - tmpfs tmpfs rw
"""


def finished(store: FileStore) -> dict[str, object]:
    facts = store.write(KEY, "0.parquet", pl.DataFrame({"id": ["a"]}))
    return dict(store.finish(KEY, {"files": [facts], "parts": [facts]}))


def test_a_record_that_another_machine_wrote_is_awaited(tmp_path: Path) -> None:
    late, other = (FileStore(LocalFolder(tmp_path)) for _ in range(2))
    late.folder.late = 60.0
    assert late.record(KEY) is None
    writing = threading.Timer(0.3, finished, [other])
    writing.start()
    record = late.awaited(KEY)
    writing.join()
    assert record is not None
    assert late.rows(KEY)["id"].to_list() == ["a"]


def test_what_is_gone_is_not_awaited_on_a_disk_of_this_machine(tmp_path: Path) -> None:
    store = FileStore(LocalFolder(tmp_path))
    assert store.folder.late == 0.0
    with pytest.raises(RunError, match="are gone from the cache"):
        store.rows(KEY)
    finished(store)
    (file,) = tmp_path.rglob("*.parquet")
    record = store.record(KEY)
    file.unlink()
    assert record is not None
    assert store.record(KEY) is None
    with pytest.raises(RunError, match=r"the cached file .*\.parquet is gone"):
        store.read(KEY, record["parts"][0])


@pytest.mark.parametrize(
    ("name", "late"), [("", 60.0), ("a/b", 60.0), ("scratch/c", 0.0), ("../beside", 0.0)]
)
def test_a_shared_disk_is_known_by_its_mount(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, late: float
) -> None:
    shared = tmp_path / "shared"
    mounts = tmp_path / "mountinfo"
    mounts.write_text(MOUNTS.format(shared=str(shared).replace(" ", r"\040")))
    monkeypatch.setattr(folders, "_MOUNTS", mounts)
    monkeypatch.setattr("sys.platform", "linux")
    assert LocalFolder(shared / name).late == late
