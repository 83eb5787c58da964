"""Steps of datatrove as operators: of a small package that looks like it, and of itself."""

from __future__ import annotations

import importlib.util
import json
import os
import pickle
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import polars as pl
import pytest

from datachef.core import Host, Operator
from datachef.core.run.signals import decide, measure

ROOT = Path(__file__).parents[3]
Found = Mapping[str, type[Operator]]
FILTERS = '''
from .base_filter import BaseFilter

class LengthFilter(BaseFilter):
    """Drops short documents."""
    def __init__(self, least: int = 5, most: float | None = None, exclusion_writer=None,
                 language: str = Languages.english, mode: Literal["a", "b"] = "a"):
        self.least = least

    def filter(self, doc):
        if len(doc.text) < self.least:
            return False, "too_short"
        if doc.text == "odd":
            return False, "unheard_of" + "!"
        for n in (2,):
            if "again" in doc.text:
                return False, f"top_{n}_words"
        return doc.text != "no"

class LineFilter(BaseFilter):
    """Removes lines."""
    def filter(self, doc):
        doc.text = doc.text.splitlines()[0]
        return (False, "empty_line") if not doc.text else True

class LambdaFilter(BaseFilter):
    """Runs code."""
'''


@pytest.fixture
def found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Found]:
    """The operators of a package that cannot be imported as a whole, only parsed."""
    from datachef.plugins.datatrove.operators import operators

    folder = tmp_path / "datatrove" / "pipeline" / "filters"
    folder.mkdir(parents=True)
    for place in (folder, folder.parent, folder.parent.parent):
        (place / "__init__.py").write_text("")
    (folder / "base_filter.py").write_text("class BaseFilter:\n    pass\n")
    names = "from typing import Literal\nclass Languages:\n    english = 'en'\n"
    (folder / "some_filters.py").write_text(names + FILTERS)
    (folder / "broken.py").write_text("raise RuntimeError('imported')\n")
    (tmp_path / "datatrove" / "data.py").write_text(
        "class Document:\n    def __init__(self, text, id):\n        self.text = text\n"
    )
    known = {name for name in sys.modules if name.split(".")[0] == "datatrove"}
    for name in known:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.syspath_prepend(tmp_path)
    operators.cache_clear()
    yield Host(only=["datatrove"]).vocabulary
    for name in [name for name in sys.modules if name.split(".")[0] == "datatrove"]:
        del sys.modules[name]
    operators.cache_clear()


def test_parameters_and_reasons_are_those_of_the_source(
    found: Found,
) -> None:
    assert list(found) == ["datatrove_length_filter", "datatrove_line_filter"]
    assert not any(name.startswith("datatrove.pipeline") for name in sys.modules)
    kind = found["datatrove_length_filter"]
    schema = kind.model_json_schema()["properties"]
    assert {name: value.get("default") for name, value in schema.items() if name != "op"} == {
        "keep_signals": False, "least": 5, "most": None, "language": None, "mode": "a",
    }  # fmt: skip
    assert schema["least"]["type"] == "integer" and "maximum" in schema["least"]
    assert schema["mode"]["enum"] == ["a", "b"]
    reasons = kind(op=kind.name()).reasons()
    assert reasons[0] == "too_short" and reasons[-1] == "rejected" and "top_2_words" in reasons


def test_a_filter_drops_by_its_reasons(found: Found) -> None:
    kind = found["datatrove_length_filter"]
    operator = pickle.loads(pickle.dumps(kind(op=kind.name(), least=2)))  # noqa: S301
    batch = pl.DataFrame({"id": list("abcdef"), "text": ["x", "odd", "no", "again", "fine", None]})
    assert decide(operator, batch.hstack(measure(operator, batch))).to_list() == [
        "too_short", "rejected", "rejected", "top_2_words", None, "too_short",
    ]  # fmt: skip


def test_a_filter_that_rewrites_keeps_what_it_leaves(found: Found) -> None:
    kind = found["datatrove_line_filter"]
    batch = pl.DataFrame({"id": ["a", "b"], "text": ["one\ntwo", "\nthree"]})
    outcome = kind(op=kind.name()).process(batch)  # type: ignore[attr-defined]
    assert outcome.rows["text"].to_list() == ["one"]
    assert outcome.dropped["reason"].to_list() == ["empty_line"]


def test_without_datatrove_there_is_nothing() -> None:
    if importlib.util.find_spec("datatrove") is not None:
        pytest.skip("datatrove is installed")
    assert not list(Host(only=["datatrove"]).vocabulary)


RECIPE = """
name: bridge
sources:
  pages:
    path: pages.jsonl
    steps:
      - {op: datatrove_gopher_quality_filter, min_doc_words: 20}
      - op: datatrove_gopher_repetition_filter
      - {op: datatrove_c4_quality_filter, filter_no_terminal_punct: false, min_num_sentences: 3}
      - op: datatrove_fineweb_quality_filter
      - op: datatrove_symbol_lines_formatter
  web:
    path: web.html
    steps:
      - op: datatrove_trafilatura
output: {format: jsonl}
"""
PROSE = [
    "The old bridge in the north was built by the people of that town before the war.",
    "Nobody who came to see it on foot had known what was left of the road behind the hill.",
    "It stands there with all its stones, and we have come to like the view from the river.",
    "Many of those who live near the water take their boats out when the evening is warm.",
]


@pytest.mark.slow
def test_datatrove_itself(tmp_path: Path) -> None:
    """In an environment of its own, made here unless `DATACHEF_DATATROVE_ENV` names one."""
    environment = Path(os.environ.get("DATACHEF_DATATROVE_ENV", tmp_path / "environment"))
    if not environment.is_dir():
        copy = tmp_path / "project"  # building leaves files in the folder that is built
        ignored = shutil.ignore_patterns(
            ".*", "__pycache__", "build", "dist", "tests", "benchmarks"
        )
        shutil.copytree(ROOT, copy, ignore=ignored)
        subprocess.run([sys.executable, "-m", "venv", environment], check=True)
        pip = [environment / "bin" / "pip", "install", "-q", "-c", ROOT / "constraints.txt"]
        command = [*pip, f"{copy}[datatrove,html]"]
        done = subprocess.run(command, check=False, capture_output=True, text=True)
        if done.returncode:
            pytest.skip(f"datatrove cannot be installed: {done.stderr.strip()[-300:]}")
    cited = "\n".join([*PROSE, "Terms of use apply here.", "****"])
    texts = [cited, "Too short.", "Buy now and be happy. " * 40]
    rows = [json.dumps({"text": text}) for text in texts]
    (tmp_path / "pages.jsonl").write_text("\n".join(rows) + "\n")
    paragraphs = "".join(f"<p>{sentence}</p>" for sentence in PROSE * 2)
    page = f"<html><body><nav>Home</nav><article>{paragraphs}</article></body></html>"
    (tmp_path / "web.html").write_text(page)
    (tmp_path / "recipe.yaml").write_text(RECIPE)
    chef = [environment / "bin" / "chef", "run", "recipe.yaml", "--output", "corpus"]
    subprocess.run([*chef, "--workers", "1"], cwd=tmp_path, check=True)
    corpus = tmp_path / "corpus"
    ledger = json.loads((corpus / "ledger.json").read_bytes())
    dropped = {entry["op"]: entry["dropped"] for entry in ledger if entry["dropped"]}
    assert dropped.pop("datatrove_gopher_quality_filter") == {"gopher_short_doc": 1}
    assert sum(dropped.pop("datatrove_gopher_repetition_filter").values()) == 1
    assert not dropped
    lines = (corpus / "data" / "train-00000-of-00001.jsonl").read_text().splitlines()
    kept = {row["source"]: row["text"] for row in map(json.loads, lines)}
    assert kept["pages"] == "\n".join(PROSE)
    assert kept["web"].startswith(PROSE[0]) and "Home" not in kept["web"]
