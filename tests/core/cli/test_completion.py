"""What a shell offers: it asks `chef` by a variable, and is answered on standard output."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from datachef.core import Host
from datachef.core.cli import build
from datachef.core.cli.state import set_host

RECIPE = """\
name: web
sources:
  pages: {path: data/*.jsonl, take: 1000, steps: [{op: length_filter, min_chars: 40}]}
  notes: {path: my notes.jsonl, max_failed: null}
"""
FILES = {
    "web.yaml": RECIPE,
    "whales.yml": "# of the sea\nname: whales\nsources: {sea: {path: sea.jsonl}}\n",
    "pool.yaml": "sources: {sea: {path: sea.jsonl}}\n",
    "task.yaml": "name: whales\nbenchmark: {path: questions.jsonl}\n",
    "words.txt": RECIPE,
    "examples/quick/deep/recipe.yaml": RECIPE,
    "examples/quick/deep/task.yaml": "name: whales\nbenchmark: {path: questions.jsonl}\n",
    "corpus/web/manifest.json": "{}",
    "corpus/web/data/rows.parquet": "",
    "corpus/whales/manifest.json": "{}",
    "notes/today.txt": "",
    ".hidden/recipe.yaml": RECIPE,
}


@pytest.fixture(scope="module")
def app() -> typer.Typer:
    host = Host()
    set_host(host)
    return build(host)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def asked(typed: str) -> dict[str, str]:
    """What bash tells of a line on which the cursor stands at the end."""
    count = len(typed.split()) - (not typed.endswith(" "))
    words = {"COMP_WORDS": typed, "COMP_CWORD": str(count)}
    return {**words, "_CHEF_COMPLETE": "complete_bash"}


FOLDERS = ["corpus/", "examples/", "notes/"]


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        ("chef run ", [*FOLDERS, "web.yaml", "whales.yml"]),
        ("chef check wh", ["whales.yml"]),
        ("chef run ex", ["examples/quick/deep/recipe.yaml"]),
        ("chef run .h", [".hidden/recipe.yaml"]),
        ("chef score web.yaml wh", ["whales.yml"]),
        ("chef plan web.yaml --pool p", ["pool.yaml"]),
        ("chef score web.yaml --task t", ["task.yaml"]),
        ("chef report c", ["corpus/web", "corpus/whales"]),
        ("chef diff corpus/web corpus/wh", ["corpus/whales"]),
        ("chef report nowhere/", []),
        (
            "chef run web.yaml --set sources.pages.",
            [
                "sources.pages.path=",
                "sources.pages.take=1000",
                "sources.pages.steps[0].op=length_filter",
                "sources.pages.steps[0].min_chars=40",
            ],
        ),
        (
            "chef run web.yaml --set sources.notes",
            ["sources.notes.path=", "sources.notes.max_failed=null"],
        ),
        ("chef run --set ", []),
        ("chef run web.yaml --engine l", ["local"]),
        ("chef score web.yaml --reward p", ["proxy"]),
        ("chef assets get mini", ["minilm"]),
        ("chef schema --kind p", ["pool"]),
        ("chef new op", ["operator"]),
        ("chef plugins check datachef-c", ["datachef-core"]),
        ("chef ops gopher", ["gopher_quality_filter", "gopher_repetition_filter"]),
        ("chef ops --group ded", ["dedup"]),
    ],
)
def test_a_shell_is_offered(typed: str, offered: list[str], app: typer.Typer) -> None:
    answer = CliRunner().invoke(app, env=asked(typed), prog_name="chef")
    assert answer.stdout.split() == offered, answer.output


def test_a_shell_is_answered_soon(folder: Path) -> None:
    """Without what takes longest to import."""
    program = """
import atexit, sys
atexit.register(lambda: print("polars" in sys.modules))
sys.argv[0] = "chef"
from datachef.core.cli import main
main()
"""
    done = subprocess.run(
        [sys.executable, "-P", "-c", program],
        cwd=folder,
        env=os.environ | asked("chef run wh"),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.split() == ["whales.yml", "False"], done.stderr
