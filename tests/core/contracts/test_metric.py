"""Metrics are registered, ours as well as others', and tasks name them."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from datachef.core import (
    BenchmarkItem,
    Choices,
    DatachefError,
    Host,
    Metric,
    PluginError,
    Problem,
    RecipeError,
    check_recipe,
)
from datachef.core.recipe.resolving import read_task
from datachef.core.registry.installed import installed_metric
from datachef.core.registry.vocabulary import task_schema
from datachef.policy.prompt.sections import task_block
from datachef.reward.evaluation.evaluate import require_checker
from datachef.reward.evaluation.harness import LocalTask
from datachef.reward.metrics import metric_for, our_metrics
from datachef.reward.verifier.checkers import gold_checker

PLUGIN = """
from datachef.core import Choices, Metric, hookimpl

class Contains(Metric):
    name = "contains"
    criterion = "the answer must contain the expected text"
    answer_tokens = 40

    def score(self, response, item):
        return float(item.answer in response)

class Nearest(Metric):
    name = "nearest"
    criterion = "the answer must be the nearest colour"

    def score(self, response, item):
        return float(response == item.answer)

    @classmethod
    def choices(cls, items):
        return [Choices(("red", "blue"))] * len(items)

@hookimpl
def datachef_metrics():
    return [Contains, Nearest]
"""
RECIPE = "name: r\ntask: task.yaml\nsources: {web: {path: web.jsonl}}\n"


@pytest.fixture
def host(workspace: Path) -> Host:
    (workspace / "colours.py").write_text(PLUGIN)
    return Host([str(workspace / "colours.py")])


@pytest.fixture
def write(workspace: Path) -> Callable[[str], Path]:
    def task(metric: str) -> Path:
        (workspace / "recipe.yaml").write_text(RECIPE)
        text = f"name: t\nmetric: {metric}\nbenchmark: {{path: bench.jsonl}}\n"
        (workspace / "task.yaml").write_text(text)
        return workspace / "task.yaml"

    return task


def test_a_task_names_a_metric_of_a_plugin(host: Host, write: Callable[[str], Path]) -> None:
    path = write("contains")
    assert check_recipe(path.with_name("recipe.yaml"), host).problems == ()
    task = read_task(path, host)
    require_checker(task, allow_code=False)
    metric = metric_for(task)
    assert metric.score("it is a b c", BenchmarkItem("q", "b")) == 1
    assert metric.score("it is a c", BenchmarkItem("q", "b")) == 0
    assert "contains; the answer must contain the expected text" in task_block(task)
    assert gold_checker(task, [BenchmarkItem("q", "b")]) is not None


def test_its_choices_compete_in_an_evaluation(host: Host, write: Callable[[str], Path]) -> None:
    items = [BenchmarkItem("sky?", "blue"), BenchmarkItem("rose?", "red")]
    local = LocalTask.of(read_task(write("nearest"), host), items, allow_code=False)
    assert local.choices == [Choices(("red", "blue"))] * 2
    written = LocalTask.of(read_task(write("contains"), host), items, allow_code=False)
    assert written.choices == [None, None]


def test_an_unknown_metric_is_a_problem_with_its_place(
    host: Host, installed: Host, write: Callable[[str], Path]
) -> None:
    path = write("contain")
    problem = _of_metric(check_recipe(path.with_name("recipe.yaml"), host).problems)
    assert (problem.code, problem.path, problem.line) == ("unknown_metric", "metric", 2)
    assert problem.message == "there is no metric 'contain'"
    assert problem.hint == "did you mean contains?"
    problem = _of_metric(check_recipe(path.with_name("recipe.yaml"), installed).problems)
    assert problem.hint == "known here: " + ", ".join(sorted(installed.vocabulary.metrics))
    with pytest.raises(RecipeError, match="there is no metric 'contain'"):
        read_task(path, installed)
    with pytest.raises(DatachefError, match="there is no metric 'contain'"):
        installed_metric("contain")


def _of_metric(problems: Sequence[Problem]) -> Problem:
    (found,) = (problem for problem in problems if problem.path == "metric")
    return found


def test_the_schema_names_the_metrics(host: Host, sample_host: Host) -> None:
    known = task_schema(host.vocabulary)["properties"]["metric"]["enum"]
    assert known == sorted([*(metric.name for metric in our_metrics()), "contains", "nearest"])
    assert task_schema(sample_host.vocabulary)["properties"]["metric"]["type"] == "string"


BROKEN = """
from datachef.core import Metric, hookimpl

class Good(Metric):
    name = "good"
    criterion = "it must be good"

    def score(self, response, item):
        return 1.0

class Nameless(Good):
    name = "No Name"

class Silent(Good):
    name = "silent"
    criterion = " "

class Abstract(Metric):
    name = "abstract"
    criterion = "it must be abstract"

@hookimpl
def datachef_metrics():
    return [Good, Good(), Nameless, Silent, Abstract, 3]
"""


def test_what_is_no_metric_is_named_and_the_rest_is_there(tmp_path: Path) -> None:
    (tmp_path / "broken.py").write_text(BROKEN)
    host = Host([str(tmp_path / "broken.py")], only=())
    assert list(host.vocabulary.metrics) == ["good"]
    (plugin,) = host.broken
    for told in (
        "Good(...) is an object: register the class",
        "Nameless: name must be in snake_case, got 'No Name'",
        "Silent: criterion must say when an answer is right",
        "Abstract does not define score()",
        "3 is no Metric class",
    ):
        assert told in plugin.error


def test_two_packages_cannot_give_one_metric(tmp_path: Path) -> None:
    for name in ("one.py", "two.py"):
        (tmp_path / name).write_text(PLUGIN)
    host = Host([str(tmp_path / "one.py"), str(tmp_path / "two.py")], only=())
    with pytest.raises(PluginError, match="two packages register the metric 'contains'"):
        _ = host.vocabulary


def test_ours_are_registered_with_words(installed: Host) -> None:
    ours = {metric.name: metric for metric in our_metrics()}
    assert dict(installed.vocabulary.metrics) == ours
    assert all(issubclass(m, Metric) and m.criterion.startswith("the ") for m in ours.values())
    assert [name for name, metric in ours.items() if metric.runs_code] == ["unit_tests"]


def test_secret_answers_are_told_as_before(
    host: Host, workspace: Path, write: Callable[[str], Path]
) -> None:
    """The benchmark of a task says what it says itself, and not what is so by default."""
    path = write("contains")
    (workspace / "bench.jsonl").write_text(json.dumps({"prompt": "q"}) + "\n")
    loaded = check_recipe(path.with_name("recipe.yaml"), host)
    assert loaded.problems == ()
    assert [warning.code for warning in loaded.warnings] == ["bad_benchmark"]
