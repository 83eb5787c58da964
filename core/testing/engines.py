"""The contract of engines."""

from __future__ import annotations

import json
import pickle
from collections.abc import Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any, ClassVar

import yaml

from datachef.core.api import plan_recipe
from datachef.core.contracts.engine import Engine, WorkerConfig, WorkItem
from datachef.core.errors import DatachefError
from datachef.core.recipe.checked import CheckedRecipe
from datachef.core.registry.host import Host
from datachef.core.run.destination import FolderDestination
from datachef.core.run.executor import InlineEngine
from datachef.core.run.file_store import FileStore
from datachef.core.run.plan import Plan
from datachef.core.run.runner import Runner
from datachef.core.run.stage import PartitionWork, work_item

_FILES = 5
_ROWS = 40


class EngineContract:
    """Subclass it in a test module and write `engine`.

    `steps` are run on a small corpus; the plugins that they come from must be installed.
    """

    steps: ClassVar[Sequence[Mapping[str, Any]]] = ()

    def engine(self, config: WorkerConfig) -> Engine:
        """The engine to test, as its factory builds it for two workers."""
        raise NotImplementedError("return the engine to test")

    def test_every_item_is_done_once(self, tmp_path: Path) -> None:
        """`map` gives the index of each item with its record, which then lies in the cache too."""
        config, items = _config(tmp_path), self._items(tmp_path)
        with self.engine(config) as engine:
            records = list(engine.map(items, _no_progress))
        store = FileStore.of(config)
        assert sorted(index for index, _ in records) == list(range(len(items)))
        for index, record in records:
            assert json.loads(json.dumps(record)) == record, "records are plain JSON"
            assert _told(record) == _told(store.record(items[index].key))

    def test_what_is_done_is_not_done_again(self, tmp_path: Path) -> None:
        """Carry out items by `TaskExecutor.perform`, which looks into the cache first."""
        config, items = _config(tmp_path), self._items(tmp_path)
        with self.engine(config) as engine:
            first = dict(engine.map(items[:2], _no_progress))
            made = _times(config.cache / "partitions")
            again = dict(engine.map(items[:2], _no_progress))
        assert {i: _told(r) for i, r in again.items()} == {i: _told(r) for i, r in first.items()}
        assert _times(config.cache / "partitions") == made

    def test_items_travel_as_plain_data(self, tmp_path: Path) -> None:
        """What is sent to a worker is an item or the data of it, and the config."""
        config = _config(tmp_path)
        assert pickle.loads(pickle.dumps(config)) == config  # noqa: S301 - our own bytes
        for item in self._items(tmp_path):
            sent = json.loads(json.dumps(item.to_data()))
            assert json.loads(json.dumps(work_item(sent).to_data())) == sent
            assert pickle.loads(pickle.dumps(item)) == item  # noqa: S301 - our own bytes

    def test_a_failure_names_its_item_and_ends_no_engine(self, tmp_path: Path) -> None:
        """Raise what `perform` raised, as the same kind of error; the next `map` starts afresh."""
        config, items = _config(tmp_path), self._items(tmp_path)
        (tmp_path / "pages_1.jsonl").unlink()
        expected = _failure(InlineEngine(_config(tmp_path / "beside")), items[1:2])
        with self.engine(config) as engine:
            failed = _failure(engine, items)
            rest = [item for index, item in enumerate(items) if index != 1]
            assert len(list(engine.map(rest, _no_progress))) == len(rest)
        assert type(failed) is type(expected), f"{failed!r} is not like {expected!r}"
        assert "pages_1" in str(failed)

    def test_nothing_to_do_and_closed_twice(self, tmp_path: Path) -> None:
        """`close` is called in the end, after a failure too, and again where a `with` ends."""
        with self.engine(_config(tmp_path)) as engine:
            assert list(engine.map([], _no_progress)) == []
            engine.close()

    def test_the_corpus_has_the_same_bytes(self, tmp_path: Path) -> None:
        """Order, barriers and accounts are not the engine's business: give records as they are."""
        expected, config = _config(tmp_path / "inline"), _config(tmp_path / "here")
        checked, plan = self._plan(tmp_path)
        for engine, given in ((InlineEngine(expected), expected), (self.engine(config), config)):
            with engine:
                place = FolderDestination(given.cache.parent / "corpus")
                runner = Runner(checked, plan, Host(), engine, FileStore.of(given))
                runner.run(place, given.cache)
        assert _digests(tmp_path / "here" / "corpus") == _digests(tmp_path / "inline" / "corpus")

    def _items(self, folder: Path) -> list[PartitionWork]:
        return [*self._plan(folder)[1].phases[0].partitions]

    def _plan(self, folder: Path) -> tuple[CheckedRecipe, Plan]:
        for number in range(_FILES):
            texts = [f"page {row} of {number}, or {row % 3}" for row in range(_ROWS + number)]
            rows = "".join(json.dumps({"text": text}) + "\n" for text in [*texts, "the same"])
            (folder / f"pages_{number}.jsonl").write_text(rows)
        recipe = {
            "name": "contract",
            "sources": {name: {"path": f"{name}.jsonl"} for name in _names()},
            "steps": [*self.steps],
            "output": {"shard_bytes": 2_000},
        }
        (folder / "recipe.yaml").write_text(yaml.safe_dump(recipe))
        return plan_recipe(folder / "recipe.yaml", Host())


def _names() -> list[str]:
    """One source a file, so that each is an item."""
    return [f"pages_{number}" for number in range(_FILES)]


def _config(folder: Path) -> WorkerConfig:
    return WorkerConfig((), folder / "cache")


def _no_progress(_label: str, _bytes: int, _rows: int) -> None:
    """Nobody looks."""


def _failure(engine: Engine, items: Sequence[WorkItem]) -> DatachefError:
    try:
        list(engine.map(items, _no_progress))
    except DatachefError as error:
        return error
    raise AssertionError("map() gave records of an item that cannot be carried out")


def _told(record: Mapping[str, Any] | None) -> dict[str, Any]:
    """A record without the time that the item took."""
    assert record is not None, "the record is not in the cache"
    return {name: value for name, value in record.items() if name != "seconds"}


def _times(folder: Path) -> dict[str, int]:
    return {str(path): path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}


def _digests(folder: Path) -> dict[str, str]:
    """All files of a corpus but the one with the times."""
    return {
        str(path.relative_to(folder)): sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != "effort.json"
    }
