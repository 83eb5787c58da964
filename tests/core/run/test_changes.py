"""`chef plan` says what changed since a recipe was run."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from datachef.core import Host, run_recipe
from datachef.core.api import plan_recipe
from datachef.core.cli.state import set_host
from datachef.core.run import plan as planning
from datachef.core.run.changes import changes
from datachef.core.run.file_store import FileStore
from datachef.core.system.folder import LocalFolder

WriteRows = Callable[..., Path]
Plan = Callable[..., tuple[list[str], list[dict[str, Any]]]]

FILTER = """
from typing import Literal
from pydantic import Field
from datachef.core import Filter, hookimpl

class Short(Filter):
    "Drops nothing."
    op: Literal["short"] = "short"
    least: int = Field(2, description="Of no use.")
    def signals(self): return {{"one": lambda batch: batch["text"].str.len_bytes()}}
    def rules(self): return {{}}  # {}

@hookimpl
def datachef_operators(): return [Short]
"""
RECIPE = """
name: plain
task: task.yaml
sources:
  pages:
    path: "*.jsonl"
    steps:
      - {op: length_filter, min_chars: 1}
      - {op: short}
steps:
  - {op: exact_dedup}
"""


@pytest.fixture
def folder(tmp_path: Path, write_rows: WriteRows) -> Path:
    write_rows("a.jsonl", ["one text", "two texts"])
    (tmp_path / "bench").mkdir()
    write_rows("bench/items", ["what is the name of the river"])
    (tmp_path / "bench" / "items").rename(tmp_path / "bench" / "items.jsonl")
    (tmp_path / "task.yaml").write_text(
        "name: t\nbenchmark: {path: bench/items.jsonl, prompt: text, answer: text}\n"
    )
    (tmp_path / "short.py").write_text(FILTER.format("first"))
    (tmp_path / "recipe.yaml").write_text(RECIPE)
    return tmp_path


@pytest.fixture
def run(folder: Path) -> Callable[[], None]:
    def run_it() -> None:
        host = Host([str(folder / "short.py")])
        run_recipe(
            folder / "recipe.yaml", folder / "out", host=host, engine="inline",
            cache=folder / "cache",
        )  # fmt: skip

    return run_it


@pytest.fixture
def plan(folder: Path, capsysbinary: pytest.CaptureFixture[bytes]) -> Plan:
    """What `chef plan` prints of changes below its table, and its JSON."""
    from datachef.core.cli.checking import plan as command

    def plan_it() -> tuple[list[str], list[dict[str, Any]]]:
        set_host(Host([str(folder / "short.py")]))
        capsysbinary.readouterr()
        command(folder / "recipe.yaml", cache=folder / "cache")
        printed = capsysbinary.readouterr().out.decode()
        command(folder / "recipe.yaml", cache=folder / "cache", as_json=True)
        rows = json.loads(capsysbinary.readouterr().out)["result"]["stages"]
        below = printed.rpartition("┘\n")[2].splitlines()
        return [line for line in below if "a decision on up to" not in line], rows

    return plan_it


def test_before_the_first_run_and_after_it_there_is_nothing_to_say(
    run: Callable[[], None], plan: Plan
) -> None:
    said, rows = plan()
    assert (said, {tuple(row["changed"]) for row in rows}) == ([], {()})
    run()
    said, rows = plan()
    assert (said, {tuple(row["changed"]) for row in rows}) == ([], {()})
    assert all(row["cached"] == row["partitions"] for row in rows)


@pytest.mark.parametrize(
    ("file", "old", "new", "expected"),
    [
        ("short.py", "first", "second", "sources.pages.steps[1] short: code changed (short.py)"),
        ("a.jsonl", "two", "2.0", "sources.pages read: input changed (a.jsonl)"),
        ("recipe.yaml", "min_chars: 1", "min_chars: 2",
         "sources.pages.steps[0] length_filter: parameters changed (min_chars 1 → 2)"),
        ("recipe.yaml", "op: short}", "op: short, least: 5}",
         "sources.pages.steps[1] short: parameters changed (least 2 → 5)"),
        ("recipe.yaml", "op: short", "op: fix_unicode",
         "sources.pages.steps[1] fix_unicode: was short"),
        ("bench/items.jsonl", "river", "ocean",
         "task.decontaminate decontaminate: a file that it reads changed"),
        ("recipe.yaml", "      - {op: short}\n", "", "sources.pages.steps[1]: removed"),
        ("recipe.yaml", "name: plain\n", "name: plain\nseed: 3\n", None),
    ],
)  # fmt: skip
def test_what_changed_is_said_where_it_changed(
    folder: Path, run: Callable[[], None], plan: Plan, file: str, old: str, new: str,
    expected: str | None,
) -> None:  # fmt: skip
    run()
    path = folder / file
    path.write_text(path.read_text().replace(old, new))
    said, rows = plan()
    if expected is None:
        (expected,) = (line for line in said if line.startswith("steps[0] exact_dedup: seed "))
    assert said == [expected]
    if "removed" not in expected:
        assert any(expected in row["changed"] for row in rows)
    assert all(row["changed"] == [] for row in rows if row["cached"] == row["partitions"])
    run()
    assert plan()[0] == []


def test_a_new_version_is_said_once(
    run: Callable[[], None], plan: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    run()
    monkeypatch.setattr(planning, "version", lambda: "9.9.9")
    assert [line for line in plan()[0] if "9.9.9" in line] == ["datachef 0.1.0 → 9.9.9"]


def test_a_package_that_was_upgraded_is_named(
    folder: Path, run: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    run()
    host = Host([str(folder / "short.py")])
    short = host.vocabulary["short"]
    monkeypatch.setattr(
        "datachef.core.run.stage.code_of",
        lambda cls: {"acme": "2.0"} if cls is short else {},
    )
    loaded, planned = plan_recipe(folder / "recipe.yaml", host)
    found = changes(FileStore(LocalFolder(folder / "cache")), loaded, planned)
    assert found is not None
    assert "acme not used → 2.0" in found["sources.pages.steps[1]"]


def test_results_that_are_gone_are_told(folder: Path, run: Callable[[], None], plan: Plan) -> None:
    run()
    for record in (folder / "cache" / "partitions").glob("*/*.json"):
        record.unlink()
    (said,) = plan()[0]
    assert said.startswith("nothing changed since the last run")
