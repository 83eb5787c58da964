"""Wrong names of fields in the files of a task are found by `check`, and not by the run."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from datachef.core import Host, Problem, check_recipe

RECIPE = "name: r\ntask: task.yaml\nsources:\n  web: {path: web.jsonl}\n"
ITEMS = [
    {"question": f"How much is {n} and {n}?", "solution": str(2 * n), "options": ["1", "2"]}
    for n in range(5)
]

Checked = tuple[list[Problem], list[Problem]]


@pytest.fixture
def check(tmp_path: Path, installed: Host) -> Callable[..., Checked]:
    """Problems and warnings of a recipe with this task; its files are beside it."""
    (tmp_path / "web.jsonl").write_text('{"text": "a page"}\n' * 3)
    (tmp_path / "recipe.yaml").write_text(RECIPE)

    def checked(task: str, recipe: str = RECIPE) -> Checked:
        (tmp_path / "task.yaml").write_text(task)
        (tmp_path / "recipe.yaml").write_text(recipe)
        found = check_recipe(tmp_path / "recipe.yaml", installed)
        return list(found.problems), list(found.warnings)

    return checked


@pytest.fixture
def items(tmp_path: Path) -> Callable[..., None]:
    def write(name: str, rows: list[dict[str, Any]] = ITEMS) -> None:
        path = tmp_path / name
        lines = "".join(json.dumps(row) + "\n" for row in rows)
        if path.suffix == ".gz":
            path.write_bytes(gzip.compress(lines.encode()))
        else:
            path.write_text(json.dumps(rows, indent=1) if path.suffix == ".json" else lines)

    return write


@pytest.mark.parametrize("file", ["b.jsonl", "b.json", "b.jsonl.gz"])
def test_the_right_names_are_no_problem(check: Any, items: Any, file: str) -> None:
    items(file)
    fields = "prompt: question, answer: solution, choices: options, reference: solution"
    assert check(f"name: t\nbenchmark: {{path: {file}, {fields}}}\n") == ([], [])


@pytest.mark.parametrize("file", ["b.jsonl", "b.json", "b.jsonl.gz"])
@pytest.mark.parametrize(
    ("parameter", "wrong", "meant"),
    [
        ("prompt", "qestion", "question"),
        ("answer", "solutoin", "solution"),
        ("reference", "solutions", "solution"),
        ("choices", "option", "options"),
    ],
)
def test_a_wrong_name_is_found_where_it_is_written(
    check: Any, items: Any, file: str, parameter: str, wrong: str, meant: str
) -> None:
    items(file)
    fields = {"prompt": "question", "answer": "solution"} | {parameter: wrong}
    lines = "".join(f"  {name}: {value}\n" for name, value in fields.items())
    ((problem,), warnings) = check(f"name: t\nbenchmark:\n  path: {file}\n{lines}")
    assert problem.code == "bad_benchmark"
    assert wrong in problem.message
    assert problem.hint.startswith(f"did you mean {meant}")
    assert (problem.path, Path(problem.file).name) == (f"benchmark.{parameter}", "task.yaml")
    assert problem.line == 4 + list(fields).index(parameter)
    assert warnings == []


def test_all_wrong_names_are_found_at_once(check: Any, items: Any) -> None:
    items("b.jsonl")
    problems, _ = check(
        "name: t\nbenchmark: {path: b.jsonl, prompt: q, answer: a}\n"
        "examples: {path: b.jsonl, prompt: question, answer: reply}\n"
    )
    assert [one.path for one in problems] == [
        "benchmark.prompt",
        "benchmark.answer",
        "examples.answer",
    ]


def test_composed_fields_are_taken_apart(check: Any, items: Any) -> None:
    items("b.jsonl", [{"a": {"stem": "What?"}, "b": "ctx", "answer": "x"}])
    good = '"{b} {a.stem}"'
    assert check(f"name: t\nbenchmark: {{path: b.jsonl, prompt: {good}}}\n") == ([], [])
    ((problem,), _) = check('name: t\nbenchmark: {path: b.jsonl, prompt: "{b} {a.stern}"}\n')
    assert "'a.stern', which `prompt` names" in problem.message


def test_one_row_without_a_question_is_told(check: Any, items: Any) -> None:
    items("b.jsonl", [*ITEMS, {"questions": "?", "solution": "1"}])
    ((problem,), _) = check(
        "name: t\nbenchmark: {path: b.jsonl, prompt: question, answer: solution}\n"
    )
    assert problem.message.startswith("row 6 of ")
    assert problem.hint.startswith("did you mean questions")


def test_secret_answers_are_a_warning_and_examples_without_answers_a_problem(
    check: Any, items: Any
) -> None:
    items("good.jsonl", [{"prompt": "What?", "answer": "this"}])
    items("b.jsonl", [{"prompt": "What is the capital of the country?", "label": "x"}])
    problems, (warning,) = check("name: t\nbenchmark: {path: b.jsonl}\n")
    assert problems == []
    assert (warning.path, warning.code) == ("benchmark.answer", "bad_benchmark")
    ((problem,), _) = check("name: t\nbenchmark: {path: good.jsonl}\nexamples: {path: b.jsonl}\n")
    assert problem.path == "examples.answer"


def test_programs_are_checked_where_code_is_run(check: Any, items: Any) -> None:
    items("b.jsonl", [{"prompt": "Write f.", "answer": "def f(): pass", "test": "f()"}])
    text = "name: t\nbenchmark: {path: b.jsonl}\n"
    assert check(text) == ([], [])
    problems, (warning,) = check(text + "metric: unit_tests\n")
    assert problems == []
    assert "'tests', which `program` names" in warning.message
    assert warning.hint == "did you mean test?"
    own = 'benchmark: {path: b.jsonl, program: "{answer}\\n{tset}"}'
    ((problem,), _) = check(f"name: t\n{own}\nmetric: unit_tests\n")
    assert problem.path == "benchmark.program"


def test_files_that_are_missing_empty_or_broken(check: Any, items: Any, tmp_path: Path) -> None:
    items("good.jsonl", [{"prompt": "What?", "answer": "this"}])
    ((problem,), _) = check(
        "name: t\nbenchmark: {path: good.jsonl}\nexamples: {path: gone.jsonl}\n"
    )
    assert (problem.code, problem.path) == ("no_file", "examples.path")
    items("b.jsonl", [])
    ((problem,), _) = check("name: t\nbenchmark: {path: b.jsonl}\n")
    assert (problem.code, problem.path) == ("bad_benchmark", "benchmark.path")
    (tmp_path / "b.jsonl").write_text('{"prompt": "a"}\n{"prompt": \n')
    ((problem,), _) = check("name: t\nbenchmark: {path: b.jsonl}\n")
    assert (problem.code, problem.path) == ("bad_benchmark", "benchmark.path")
    assert "line 2" in problem.message


def test_a_step_with_a_benchmark_of_its_own(check: Any, items: Any) -> None:
    items("b.jsonl")
    recipe = (
        "name: r\nsources:\n  web: {path: web.jsonl}\nsteps:\n  - op: decontaminate\n"
        "    benchmark:\n      path: b.jsonl\n      prompt: qestion\n"
    )
    ((problem,), _) = check("", recipe)
    assert (problem.path, problem.line) == ("steps[0].benchmark.prompt", 8)
    assert problem.hint.startswith("did you mean question")


def test_a_file_that_changed_is_read_again(check: Any, items: Any) -> None:
    task = "name: t\nbenchmark: {path: b.jsonl, answer: solution}\n"
    items("b.jsonl")
    ((problem,), _) = check(task)
    assert problem.path == "benchmark.prompt"
    items("b.jsonl", [{"prompt": item["question"], "solution": "1"} for item in ITEMS])
    assert check(task) == ([], [])
