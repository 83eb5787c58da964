"""What is damaged in the cache is not there: it is made anew, by the same run."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from datachef.core import Completion, Host, LLMBackend, Request
from datachef.core.api import plan_recipe
from datachef.core.language_models.client import LLMClient
from datachef.core.run.changes import changes
from datachef.core.run.file_store import FileStore
from datachef.core.system.atomic import beside, read_record, write_atomically, write_record
from datachef.core.system.folder import LocalFolder

MakeCorpus = Callable[..., Any]


def flip(path: Path) -> None:
    raw = bytearray(path.read_bytes())
    raw[random.Random(path.name).randrange(len(raw))] ^= 4
    path.write_bytes(raw)


def cut(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def zeros(path: Path) -> None:
    """As after a crash of the machine: the name and the size are there, the content is not."""
    path.write_bytes(bytes(path.stat().st_size))


def folder(path: Path) -> None:
    path.unlink()
    (path / "within").mkdir(parents=True)
    (path / "within" / "file").touch()


def pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def link(path: Path) -> None:
    path.unlink()
    path.symlink_to(path.with_name("nowhere"))


def loop(path: Path) -> None:
    path.unlink()
    path.symlink_to(path)


def another(path: Path) -> None:
    """What belongs to another key, whole in itself."""
    others = [o for o in path.parents[1].rglob(f"*{path.suffix}") if o.is_file() and o != path]
    shutil.copy(min(others), path)


def rehung(path: Path) -> None:
    """The folder of the file is a file."""
    if path.parent.is_dir():
        shutil.rmtree(path.parent)
        path.parent.write_text("in the way")


def holding(raw: bytes) -> Callable[[Path], None]:
    def damage(path: Path) -> None:
        path.write_bytes(raw)

    return damage


DAMAGES: dict[str, Callable[[Path], Any]] = {
    "flipped": flip, "cut": cut, "zeros": zeros, "folder": folder, "pipe": pipe, "link": link,
    "loop": loop, "gone": Path.unlink, "another": another, "rehung": rehung,
    "empty": holding(b""), "null": holding(b"null"), "list": holding(b"[]"),
    "object": holding(b"{}"), "files of no form": holding(b'{"files": [1, null]}'),
    "number": holding(b"7"), "binary": holding(bytes(range(256))), "text": holding(b"PAR1{"),
    "deep": holding(b"[" * 100_000),
    "unsealed": holding(b'{"key": "k", "files": [], "parts": [], "ledger": [], "summary": null}'),
}  # fmt: skip


@pytest.fixture
def run(
    make_corpus: MakeCorpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Any]:
    monkeypatch.setenv("DATACHEF_PLUGINS", "engines,sources,filters,dedup")
    path = tmp_path / "a.jsonl"
    rows = [{"text": f"row {number % 40} " + "x" * (number % 7)} for number in range(120)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))

    def run(shortest: int = 8, **more: Any) -> Any:
        steps = [{"op": "length_filter", "min_chars": shortest}, {"op": "exact_dedup"}]
        return make_corpus({"s": {"path": str(path), "steps": steps}}, **more)

    return run


def files(cache: Path, suffix: str) -> list[Path]:
    return sorted((cache / "partitions").rglob(f"*{suffix}"))


def ledger(made: Any) -> Any:
    return json.loads((made.report.folder / "ledger.json").read_bytes())


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_damaged_files_are_made_anew(
    run: Callable[..., Any], tmp_path: Path, damage: Callable[[Path], Any]
) -> None:
    first = run()
    accounts = ledger(first)
    for suffix in (".json", ".parquet"):
        for path in files(tmp_path / "cache", suffix):
            damage(path)
        again = run()
        assert again.rows.equals(first.rows)
        assert again.rejects.equals(first.rejects)
        assert ledger(again) == accounts
        assert run().report.partitions_cached == again.report.partitions


def test_any_flipped_bit_is_noticed(run: Callable[..., Any], tmp_path: Path) -> None:
    """Also where only a part of the cache is read again: a threshold is changed."""
    cache, kept = tmp_path / "cache", tmp_path / "kept"
    run()
    cache.rename(kept)
    expected = run(9)
    paths = [path.relative_to(cache.parent / "kept") for path in sorted(kept.rglob("*.*"))]
    assert {path.suffix for path in paths} == {".json", ".parquet"}
    for path in paths:
        shutil.rmtree(cache)
        shutil.copytree(kept, cache)
        flip(cache / path)
        found = run(9)
        assert found.rows.equals(expected.rows), path
        assert found.rejects.equals(expected.rejects), path


def test_workers_have_it_made_anew(run: Callable[..., Any], tmp_path: Path) -> None:
    first = run()
    for path in files(tmp_path / "cache", ".parquet"):
        flip(path)
    assert run(engine="local").rows.equals(first.rows)


def test_what_changed_is_told_without_the_record_of_before(
    run: Callable[..., Any], tmp_path: Path
) -> None:
    run()
    cache = tmp_path / "cache"
    (known,) = (cache / "recipes").iterdir()
    store = FileStore(LocalFolder(cache))
    for damage in (holding(b"null"), flip, folder, pipe):
        damage(known)
        assert changes(store, *plan_recipe(tmp_path / "recipe.yaml", Host())) is None
        run()
        assert changes(store, *plan_recipe(tmp_path / "recipe.yaml", Host())) == {}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_a_damaged_answer_is_asked_for_again(tmp_path: Path, damage: Callable[[Path], Any]) -> None:
    asked = []

    class Backend(LLMBackend):
        def complete(self, request: Request) -> Completion:
            asked.append(request)
            return Completion(f"answer to {request.messages[0][1]}")

    client = LLMClient("b", Backend, tmp_path / "llm")
    one, other = (Request("m", (("user", text),), 9) for text in ("one", "other"))
    for request in (one, other):
        client.complete(request)
    (path,) = (p for p in tmp_path.rglob("*.json") if b"answer to one" in p.read_bytes())
    damage(path)
    for _ in range(2):
        assert client.complete(one).text == "answer to one"
    assert asked == [one, other, one]


def test_a_record_is_that_of_its_name(tmp_path: Path) -> None:
    path = tmp_path / "a" / "one.json"
    for data in ({"a": [1, None]}, None, [], "é"):
        write_record(path, tmp_path, "one", data)
        assert read_record(path, "one") == data
        assert read_record(path, "other") is None
        assert json.loads(path.read_bytes())["content"] == data
    raw = path.read_bytes()
    for place in range(len(raw)):
        path.write_bytes(raw[:place] + bytes([raw[place] ^ 1]) + raw[place + 1 :])
        assert read_record(path, "one") is None
        path.write_bytes(raw[:place])
        assert read_record(path, "one") is None


HOLDS = """
import sys
from pathlib import Path
from datachef.core.api import plan_recipe
from datachef.core.system.atomic import scratch as beside
from datachef.core.system.atomic import cache_scratch, scratch_folder

root = Path(sys.argv[1])
with cache_scratch(root, root / "partitions" / "file"), scratch_folder(root, "merging") as folder:
    (folder / "0.parquet").write_text("half")
    with beside(root / "beside") as temporary:
        temporary.write_text("half")
        print("held", flush=True)
        sys.stdin.read()
"""


def half_written(root: Path) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDS, str(root)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def test_what_the_dead_left_is_removed_and_what_the_living_write_is_not(
    run: Callable[..., Any], tmp_path: Path
) -> None:
    cache = tmp_path / "cache"
    dead = half_written(cache)
    left = set(cache.rglob(".*.tmp"))
    living = half_written(cache)
    held = set(cache.rglob(".*.tmp")) - left
    assert len(left) == len(held) == 3
    dead.send_signal(signal.SIGKILL)
    run()
    write_atomically(cache / "beside", b"")
    assert set(cache.rglob(".*.tmp")) == held
    living.communicate("")
    dead.communicate()
    assert not set(cache.rglob(".*.tmp"))


def test_what_another_machine_writes_is_left_alone_for_days(
    run: Callable[..., Any], tmp_path: Path
) -> None:
    scratch = tmp_path / "cache" / "tmp"
    scratch.mkdir(parents=True)
    ours = beside(scratch / "file", "tmp").name
    new, old = (scratch / f".{name}.{'f' * 32}.tmp" for name in ("new", "old"))
    foreign = scratch / "file.tmp"
    for path in (scratch / ours, new, old, foreign):
        path.touch()
    long_ago = time.time() - 8 * 24 * 3600
    os.utime(old, (long_ago, long_ago))
    run()
    assert sorted(scratch.iterdir()) == sorted([new, foreign])
