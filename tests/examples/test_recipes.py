"""The recipes in `examples/recipes` run as they are, and drop what they say they drop."""

from __future__ import annotations

import importlib.util
import json
import re
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from command import chef

from datachef.core import Host, RecipeError, document, run_recipe
from datachef.core.system.confinement import missing_layers

ROOT = Path(__file__).parents[2]
Reasons = Counter[str]
Run = Callable[[str], tuple[Reasons, pl.DataFrame]]


@pytest.fixture(scope="module")
def examples(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the recipes, with the data that they make."""
    folder = tmp_path_factory.mktemp("examples") / "recipes"
    ignored = shutil.ignore_patterns("data")
    shutil.copytree(ROOT / "examples" / "recipes", folder, ignore=ignored)
    subprocess.run([sys.executable, folder / "make_data.py"], check=True, capture_output=True)
    return folder


@pytest.fixture
def run(examples: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs a recipe as the README says, named from another folder: why rows went, and the rows."""
    monkeypatch.chdir(examples.parent)

    def run(name: str) -> tuple[Reasons, pl.DataFrame]:
        recipe, output, cache = Path("recipes", name), tmp_path / "corpus", tmp_path / "cache"
        report = run_recipe(recipe, output, host=Host(), engine="inline", cache=cache)
        reasons: Reasons = Counter()
        for entry in json.loads((report.folder / "ledger.json").read_bytes()):
            assert not entry["failed"]
            reasons.update(entry["dropped"])
        files = sorted((report.folder / "data").iterdir())
        read = pl.read_parquet if files[0].suffix == ".parquet" else pl.read_ndjson
        return reasons, pl.concat(map(read, files))

    return run


@pytest.mark.parametrize("name", ["c4", "fineweb"])
def test_what_is_imported_by_name_has_the_same_steps(name: str, examples: Path) -> None:
    from datachef.plugins import importing

    preset = document.read(Path(importing.__file__).parent / "presets" / f"{name}.yaml")
    example = document.read(examples / f"{name}.yaml")
    mine, theirs = (
        [step["op"] for step in written.data["sources"]["crawl"]["steps"]]
        for written in (example, preset)
    )
    assert mine == theirs


def test_fineweb_from_a_web_archive(run: Run) -> None:
    reasons, rows = run("fineweb.yaml")
    assert reasons["listed_host"] == 4
    assert reasons["banned_word"] == 4
    assert reasons["other_language"] >= 10  # German, and lists
    assert reasons["lorem_ipsum"] == 1
    assert reasons["near_duplicate"] >= 10
    assert 60 < len(rows) < 100
    text = "\n".join(rows["text"])
    assert "Items in cart" not in text
    assert "jane.doe" not in text and "email@example.com" in text


def test_dclm_with_a_classifier_that_is_trained_first(run: Run, examples: Path) -> None:
    if importlib.util.find_spec("fasttext") is None:
        pytest.skip("fasttext is not installed")
    command = (
        "train-classifier --positive conversations.jsonl --negative web.jsonl --output quality.bin"
    )
    assert f"chef {command}" in (examples / "README.md").read_text()
    small = ["--buckets", "10000", "--dimensions", "10"]
    done = chef(*command.split(), *small, folder=examples / "data")
    assert done.returncode == 0, done.stderr
    reasons, rows = run("dclm.yaml")
    assert reasons["near_duplicate"] >= 10
    assert reasons["not_in_top"] > 8 * len(rows)
    assert sum("Great question!" in text for text in rows["text"]) > len(rows) / 2


def test_c4_from_the_texts_of_a_web_archive(run: Run) -> None:
    reasons, rows = run("c4.yaml")
    assert reasons["emptied"] == 12  # lists and spam, which end no sentence
    assert reasons["bad_words"] == 1
    assert reasons["lorem_ipsum"] == 1
    assert not any(text.startswith("Home") for text in rows["text"])


def test_math_in_one_form_of_answer(
    run: Run, llm_server: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def answer(prompt: str) -> str:
        boxes, each, more = map(int, re.findall(r"\d+", prompt)[:3])
        wrong = boxes % 5 == 0
        return f"{boxes} times {each} and {more}.\nThe answer is {boxes * each + more + wrong}."

    llm_server.answer = answer
    monkeypatch.setenv("DATACHEF_LLM_BASE_URL", llm_server.url)
    reasons, rows = run("math_sft.yaml")
    assert reasons["contaminated"] >= 5
    assert reasons["no_single_number"] + reasons["no_final_answer"] >= 8  # "It is a lot."
    assert reasons["wrong_answer"] > 0
    answers = [turns[-1]["content"] for turns in rows["messages"]]
    assert all(re.search(r"\n#### \d+$", said) for said in answers)
    assert set(rows["source"]) == {"worked", "unsolved"}


def test_code_that_passes_its_tests(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(RecipeError, match="was not allowed"):
        run("code_sft.yaml")
    if missing := missing_layers():
        pytest.skip(f"code cannot be confined here: no layer around {missing}")
    monkeypatch.setenv("DATACHEF_ALLOW_CODE", "1")
    reasons, rows = run("code_sft.yaml")
    assert reasons["refusal"] == 5 and reasons["no_code"] == 5 and reasons["syntax_error"] >= 4
    assert reasons["wrong_answer"] >= 5
    assert len(rows) > 30
    answers = [completion[0]["content"] for completion in rows["completion"]]
    assert not any("+ 1" in answer for answer in answers)


def test_languages_by_rules_that_fit_them(run: Run) -> None:
    reasons, rows = run("multilingual.yaml")
    assert set(reasons) <= {"duplicate", "over_budget"}
    assert reasons["duplicate"] == 15
    assert set(rows["source"]) == {"english", "german", "chinese", "arabic", "thai"}
