"""Answers that a metric finds right stay; code is run where the user allows it, and confined."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from command import chef

from datachef.core import DatachefError, check_recipe, document, turns_column
from datachef.core.cli.state import take_code
from datachef.core.contracts.code_permission import ALLOWED
from datachef.core.run.signals import decide, measure
from datachef.core.system.confinement import missing_layers
from datachef.core.text.conversations import with_text
from datachef.operators.filters.conversations.answer_check_filter import AnswerCheckFilter

Rows = list[dict[str, Any]]
confining = pytest.mark.skipif(bool(missing_layers()), reason=f"no layer: {missing_layers()}")


def conversations(rows: Rows) -> pl.DataFrame:
    """Rows with a question and an answer, or neither, as conversations with all other columns."""
    frame = pl.DataFrame([{k: v for k, v in r.items() if k not in ("q", "a")} for r in rows])
    talks: list[list[dict[str, Any]] | None] = []
    for row in rows:
        said = [("user", row["q"]), ("assistant", row["a"])] if "q" in row else None
        talks.append(said and [{"role": r, "content": c} for r, c in said if c is not None])
    return with_text(frame.with_columns(pl.lit("a page").alias("text"), turns_column(talks)))


def reasons(operator: AnswerCheckFilter, rows: Rows) -> pl.DataFrame:
    batch = conversations(rows)
    reason = decide(operator, batch.hstack(measure(operator, batch)))
    found = batch.with_columns(pl.Series("reason", reason))
    dropped = found.filter(found["reason"].is_not_null())
    return dropped.with_columns(operator.details(dropped).alias("detail"))


def test_worked_answers_against_those_of_other_problems(shared_data: Path) -> None:
    with gzip.open(shared_data / "pool" / "gsm8k_train.jsonl.gz", "rt") as lines:
        problems = [json.loads(next(lines)) for _ in range(101)]
    golds = [row["answer"].rpartition("#### ")[2] for row in problems]
    right = [
        {"q": row["question"], "a": row["answer"], "gold": gold}
        for row, gold in zip(problems, golds, strict=True)
    ]
    wrong = [
        {**row, "gold": other}
        for row, other in zip(right, golds[1:], strict=False)
        if row["gold"] != other
    ]
    for checker in ("number_match", "math_match"):
        operator = AnswerCheckFilter(checker=checker, gold="gold")
        few = 101 if checker == "number_match" else 8
        assert reasons(operator, right[:few]).is_empty()
        found = reasons(operator, wrong[:few])
        assert found["reason"].to_list() == ["wrong_answer"] * len(wrong[:few])
    assert found["detail"][0].startswith(f"not '{wrong[0]['gold']}': ...")


def test_what_cannot_be_compared_has_a_reason_of_its_own() -> None:
    rows: Rows = [
        {"gold": "4"},
        {"q": "2 + 2?", "a": None, "gold": "4"},
        {"q": "2 + 2?", "a": "It is 4.", "gold": " "},
        {"q": "2 + 2?", "a": "It is 4.", "gold": "four"},
        {"q": "2 + 2?", "a": "It is 4.", "gold": "2 + 2 = 4\n#### 4"},
    ]
    found = reasons(AnswerCheckFilter(gold="gold"), rows)
    assert found["reason"].to_list() == [
        "no_answer", "no_answer", "no_gold_answer", "cannot_be_checked"
    ]  # fmt: skip
    assert "four" in found["detail"][3]


HOSTILE = """
import os, sys
class Everything(int):
    def __eq__(self, other): return True
    __hash__ = None
def f(x):
    for attempt in (
        lambda: open({path!r}, "w").write("x"), lambda: os.kill(os.getppid(), 9),
        lambda: __import__("socket").create_connection(("127.0.0.1", {port})),
        lambda: os.fork(),
    ):
        try: attempt()
        except Exception: continue
        os.write(1, b"out")
    return Everything()
"""


@confining
def test_programs_of_mbpp_and_a_hostile_one(
    shared_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(ALLOWED, "1")
    written = (shared_data / "pool" / "mbpp_train.jsonl").read_text().splitlines()[1:4]
    problems = [json.loads(line) for line in written]
    tests = ["\n".join(row["test_list"]) for row in problems]
    rows: Rows = [
        {"q": row["text"], "a": f"Here:\n```python\n{row['code']}\n```", "tests": of}
        for row, of in zip(problems, tests, strict=True)
    ]
    rows[1]["tests"] = tests[2]  # of another problem
    spoil = HOSTILE.format(path=str(tmp_path / "spoiled"), port=9)
    rows.append({"q": "Write f.", "a": spoil, "tests": "assert f(1) == 2"})
    rows.append({"q": "Write f.", "a": "f = 1", "tests": ""})
    operator = AnswerCheckFilter(checker="unit_tests")
    assert operator.reads() == {"text", "messages", "tests"} and operator.runs_code()
    found = reasons(operator, rows)
    assert found["tests"].to_list() == [
        rows[1]["tests"], "assert f(1) == 2", ""
    ]  # fmt: skip
    assert found["reason"].to_list() == ["wrong_answer", "wrong_answer", "cannot_be_checked"]
    assert "nothing tests it" in found["detail"][2]
    assert not (tmp_path / "spoiled").exists()


@pytest.fixture
def recipe(tmp_path: Path) -> Callable[..., Path]:
    rows = tmp_path / "rows.jsonl"
    code = "def f(x):\n    return 2 * x"
    line = {"prompt": "Double.", "completion": code, "tests": "assert f(2) == 4"}
    rows.write_text(f"{json.dumps(line)}\n" * 2)

    def write(**step: Any) -> Path:
        steps = [{"op": "answer_check_filter", **step}]
        source = {"path": str(rows), "format": {"prompt": "prompt"}, "steps": steps}
        data = {"name": "r", "sources": {"s": source}, "output": {"format": "jsonl"}}
        (tmp_path / "recipe.yaml").write_text(document.dump(data))
        return tmp_path / "recipe.yaml"

    return write


def test_code_that_nobody_allowed_is_refused_with_the_option(
    recipe: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(ALLOWED, raising=False)
    (problem,) = check_recipe(recipe(checker="unit_tests")).problems
    assert (problem.code, problem.path) == ("code_not_allowed", "sources.s.steps[0]")
    assert "--allow-code" in problem.hint and f"{ALLOWED}=1" in problem.hint
    monkeypatch.setenv(ALLOWED, "unconfined")
    assert not check_recipe(recipe(checker="unit_tests")).problems
    (problem,) = check_recipe(recipe(checker="unit_tests", program="{answer}\n{check}")).problems
    assert problem.code == "missing_column" and "'check'" in problem.message
    (problem,) = check_recipe(recipe()).problems
    assert problem.path == "sources.s.steps[0].gold"


def test_a_recipe_grants_itself_nothing(recipe: Callable[..., Path]) -> None:
    path = recipe(checker="unit_tests", allow_code=True)
    path.write_text(path.read_text() + "allow_code: true\n")
    assert {problem.code for problem in check_recipe(path).problems} >= {"unknown_field"}


@confining
def test_the_command_line_grants_it_to_the_workers(
    recipe: Callable[..., Path], tmp_path: Path
) -> None:
    path = recipe(checker="unit_tests")
    asked = ("--allow-code", "run", path.name, "-o", "corpus", "--workers", 2)
    done = chef(*asked, folder=tmp_path)
    assert "2 rows" in done.stdout, done.stderr


def test_the_option_is_taken_off_the_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(ALLOWED, "")
    assert take_code(["run", "r.yaml", "--allow-code=unconfined"]) == ["run", "r.yaml"]
    for line in (["--allow-code", "unconfined"], ["--allow-code=maybe"]):
        with pytest.raises(DatachefError) as caught:
            take_code(line)
        assert "--allow-code=unconfined" in caught.value.hint
