"""Formats of corpora are registered, ours as well as others'."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from datachef.core import Host, PluginError, check_recipe, document, run_recipe
from datachef.core.registry.vocabulary import recipe_schema

PLUGIN = """
import csv
import json
from datachef.core import Writer, hookimpl, json_lines

class CsvWriter(Writer):
    name = "csv"
    suffix = "csv"

    def write(self, rows, schema, path):
        with path.open("w", newline="") as file:
            writer = csv.DictWriter(file, list(schema))
            writer.writeheader()
            for line in json_lines(rows, schema).splitlines():
                writer.writerow(json.loads(line))

class FailingWriter(CsvWriter):
    name = "failing"

    def write(self, rows, schema, path):
        raise KeyError("whatever")

class Unnamed(CsvWriter):
    name = "No Name"

class Slanted(CsvWriter):
    name = "slanted"
    suffix = "../csv"

class Wanting(CsvWriter):
    name = "wanting"

    def __init__(self, level):
        pass

@hookimpl
def datachef_writers():
    return [CsvWriter, FailingWriter, Unnamed, Slanted, Wanting]
"""


@pytest.fixture
def host(workspace: Path) -> Host:
    (workspace / "formats.py").write_text(PLUGIN)
    return Host([str(workspace / "formats.py")], only={"sources", "engines"})


def recipe(workspace: Path, name: str) -> Path:
    data: dict[str, Any] = {
        "name": "r", "sources": {"web": {"path": "web.jsonl"}}, "output": {"format": name}
    }  # fmt: skip
    (workspace / "recipe.yaml").write_text(document.dump(data))
    return workspace / "recipe.yaml"


def test_a_corpus_in_a_format_of_a_plugin(workspace: Path, host: Host) -> None:
    path = recipe(workspace, "csv")
    written = []
    for number in range(2):
        folder = workspace / f"out{number}"
        report = run_recipe(path, folder, host=host, workers=1, cache=workspace / f"cache{number}")
        assert report.rows == 30
        (file,) = (folder / "data").iterdir()
        assert file.name == "train-00000-of-00001.csv"
        written.append(file.read_bytes())
    assert written[0] == written[1]
    lines = written[0].decode().splitlines()
    assert lines[0] == "id,source,text"
    assert [line.rpartition(",")[2] for line in lines[1:]] == [f"page {n}" for n in range(30)]
    assert "data/train-*.csv" in (workspace / "out0" / "README.md").read_text()
    (stated,) = json.loads((workspace / "out0" / "manifest.json").read_text())["outputs"]
    assert stated["file"] == "data/train-00000-of-00001.csv"


def test_a_format_that_nobody_writes_is_a_problem(
    workspace: Path, host: Host, sample_host: Host
) -> None:
    path = recipe(workspace, "csv")
    assert check_recipe(path, host).problems == ()
    (problem,) = check_recipe(path, sample_host).problems
    assert problem.path == "output.format"
    assert "'jsonl', 'jsonl.zst' or 'parquet', got 'csv'" in problem.message
    known = recipe_schema(host.vocabulary)["$defs"]["Output"]["properties"]["format"]["enum"]
    assert known == ["csv", "failing", "jsonl", "jsonl.zst", "parquet"]


def test_what_is_no_writer_is_named_and_what_a_writer_raises_too(
    workspace: Path, host: Host
) -> None:
    _ = host.vocabulary
    (plugin,) = host.broken
    assert "Unnamed: name is" in plugin.error
    assert "Slanted: suffix is" in plugin.error
    assert "Wanting cannot be made without arguments" in plugin.error
    with pytest.raises(PluginError, match=r"plugin formats .*KeyError: 'whatever'"):
        run_recipe(
            recipe(workspace, "failing"), workspace / "out", host=host, workers=1,
            cache=workspace / "cache",
        )  # fmt: skip


def test_without_a_writer_nothing_is_run(workspace: Path, operators_file: str) -> None:
    host = Host([operators_file], only=())
    with pytest.raises(PluginError, match="nothing registered writes the format 'csv'"):
        host.vocabulary.writer("csv")
