"""The development tasks, their recipes and the order of a campaign."""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from datachef.core import DatachefError, Host, check_recipe, document, read_benchmark, run_recipe
from datachef.core.recipe.resolving import read_task
from datachef.core.text.values import composed_text

SCRIPTS = Path(__file__).parents[2] / "benchmarks" / "reward"
Module = Callable[[str], Any]


@pytest.fixture(scope="module")
def module() -> Iterator[Module]:
    """Imports a script of the benchmark by its name, as the others of its folder do."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(SCRIPTS))
        yield importlib.import_module


@pytest.fixture(scope="module")
def host() -> Host:
    return Host()


@pytest.fixture(scope="module")
def tasks(
    module: Module, shared_data: Path, tmp_path_factory: pytest.TempPathFactory
) -> list[Path]:
    """The folders of all tasks, written."""
    script, root = module("tasks"), tmp_path_factory.mktemp("tasks")
    names = script.task_names(shared_data)
    return [script.write_task(shared_data, name, root / name).parent for name in names]


def test_a_recipe_of_all_sources_bound_to_its_pool_has_no_problem(
    tasks: list[Path], host: Host
) -> None:
    for folder in tasks:
        names = document.read(folder / "pool.yaml").data["sources"]
        recipe = folder / "all.yaml"
        sources = {name: {} for name in names}
        recipe.write_text(document.dump({"name": "all", "task": "task.yaml", "sources": sources}))
        checked = check_recipe(recipe, host, folder / "pool.yaml").passed()
        assert checked.source_info.keys() == names.keys()


def test_benchmark_and_examples_of_every_task_can_be_read(tasks: list[Path]) -> None:
    for folder in tasks:
        task = read_task(folder / "task.yaml")
        assert task.examples is not None
        assert task.instruction
        for part in (task.benchmark, task.examples):
            items = read_benchmark(part)  # type: ignore[arg-type]
            assert items
            assert all(item.prompt.strip() for item in items), (folder.name, part)
            assert all(item.answer.strip() for item in items), (folder.name, part)
        assert task.examples.path != task.benchmark.path  # type: ignore[union-attr]


def test_the_options_of_a_choice_hold_the_gold_answer(tasks: list[Path]) -> None:
    for folder in tasks:
        task = read_task(folder / "task.yaml")
        items = read_benchmark(task.benchmark)  # type: ignore[arg-type]
        if task.metric == "multiple_choice":
            assert all(0 <= ord(item.answer) - ord("A") < len(item.choices) for item in items)
        if task.metric == "label":
            assert all(item.answer in item.choices for item in items)


def test_what_a_pool_says_of_a_source_does_not_tell_its_worth(tasks: list[Path]) -> None:
    telling = ("contam", "clean", "spam", "noise", "noisy", "off-topic", "duplicate", "wrong")
    for folder in tasks:
        for name, source in document.read(folder / "pool.yaml").data["sources"].items():
            said = source["description"].lower()
            assert said, name
            assert not [word for word in telling if word in said], name


def test_licences_come_from_the_table_of_the_data(module: Module, tmp_path: Path) -> None:
    script = module("tasks")
    entry = {
        "name": "math_gsm8k", "test": "test.jsonl", "dev": "dev.jsonl", "metric": "mc: a letter",
        "pool": [
            {
                "name": "asdiv", "file": "pool/a.jsonl", "role": "on-topic clean",
                "prompt": "{body} {question}", "response": "answer", "text": None,
            },
            {
                "name": "sms_spam", "file": "pool/s.jsonl.gz", "role": "spam/noise",
                "prompt": None, "response": None, "text": "words",
            },
        ],
    }  # fmt: skip
    data = tmp_path / "data"
    (data / "pool").mkdir(parents=True)
    (data / "pool/a.jsonl").write_text("x" * 400)
    (data / "tasks.json").write_text(json.dumps([entry]))
    (data / "README.md").write_text(
        "| file | rows | licence |\n|---|---|---|\n| pool/a.jsonl | 3 | MIT (repo) | en |\n"
    )
    script.write_task(data, "math_gsm8k", tmp_path / "task")
    sources = document.read(tmp_path / "task/pool.yaml").data["sources"]
    assert sources["asdiv"]["licence"] == "MIT (repo)"
    assert sources["asdiv"]["format"] == {"prompt": "{body} {question}", "completion": "answer"}
    assert sources["sms_spam"]["licence"] == ""
    assert sources["sms_spam"]["format"] == {"text": "words"}
    task = document.read(tmp_path / "task/task.yaml").data
    assert (task["metric"], task["benchmark"]["choices"]) == ("multiple_choice", "choices")
    knowledge = script.read_knowledge(tmp_path / "task")
    assert knowledge.most_tokens == {"asdiv": 100, "sms_spam": None}
    assert knowledge.documents == ["sms_spam"]
    with pytest.raises(DatachefError, match="no task 'math_gsm9k'"):
        script.write_task(data, "math_gsm9k", tmp_path / "task")


@pytest.mark.slow
def test_recipes_of_every_task_are_many_different_and_right(
    module: Module, tasks: list[Path], host: Host
) -> None:
    write_recipes = module("recipes").write_recipes
    for folder in tasks:
        paths = write_recipes(folder, 0, tokens=10_000)
        assert len(paths) == len(set(paths)) >= 26
        recipes = [document.read(path).data for path in paths]
        made = {document.dump({k: v for k, v in r.items() if k != "name"}) for r in recipes}
        assert len(made) == len(recipes), folder.name
        assert all(r["mix"]["budget"]["tokens"] <= 10_000 for r in recipes)
        for path in paths:
            assert not (problems := check_recipe(path, host).problems), (path, problems)


def test_recipes_follow_the_seed(module: Module, tasks: list[Path]) -> None:
    recipes = module("recipes").recipes
    assert recipes(tasks[0], 3) == recipes(tasks[0], 3)
    first, second = ({r["name"]: r for r in recipes(tasks[0], seed)} for seed in (3, 4))
    assert first.keys() == second.keys()
    assert first["random-0"]["mix"] != second["random-0"]["mix"]


@pytest.mark.slow
def test_every_recipe_of_a_task_leaves_rows(
    module: Module, tasks: list[Path], host: Host, tmp_path: Path
) -> None:
    folder = next(folder for folder in tasks if folder.name == "finance_sentiment")
    for path in module("recipes").write_recipes(folder, 1, tokens=50_000):
        report = run_recipe(
            path, tmp_path / "corpus" / path.stem, host=host, engine="inline", workers=1,
            cache=tmp_path / "cache",
        )  # fmt: skip
        assert report.rows > 0, path.stem
        assert report.tokens <= 50_000


def test_roles_come_down_to_kinds(module: Module) -> None:
    kind = module("recipes").kind
    assert kind("on-topic clean (label noise)") == "clean"
    assert kind("on-topic noisy/augmented, near-duplicate of csqa_train") == "noisy"
    assert kind("near-duplicate in topic of thealgorithms_py") == "copy"
    assert kind("near-duplicate across languages") == "off-topic"
    assert kind("contaminated in the wild: duplicates of fpb_train") == "contaminated"
    assert kind("wrong programming language + cross-language contaminated") == "foreign"
    assert kind("multi-task mix") == "general"


def test_tasks_take_turns_and_noise_comes_last(module: Module) -> None:
    names = ["all", "only-a", "random-0", "sensible-clean", "absurd-off-topic"]
    recipes = {Path(t): [Path(t, name) for name in names] for t in ("x", "y")}
    jobs = module("jobs").ordered_jobs(recipes, 1, 2, 0)
    assert len(jobs) == 2 * (5 + 4 * 2)
    assert len(set(jobs)) == len(jobs)
    assert [job.seed for job in jobs] == [0] * 10 + [1] * 8 + [2] * 8
    assert [job.folder.name for job in jobs] == ["x", "y"] * 13
    assert {job.recipe.name for job in jobs[10:18]} == set(names) - {"only-a"}
    assert module("jobs").ordered_jobs(recipes, 1, 2, 1) != jobs


def test_unit_tests_of_every_code_task_pass_with_the_gold_answer(tasks: list[Path]) -> None:
    from datachef.reward.metrics.unit_tests import UnitTests

    for folder in tasks:
        task = read_task(folder / "task.yaml")
        if task.metric != "unit_tests":
            continue
        program = task.benchmark.program  # type: ignore[union-attr]
        metric = UnitTests(program, allow_code=True)
        for item in read_benchmark(task.benchmark)[:2]:  # type: ignore[arg-type]
            assert metric.run(item.answer, item).passed, (folder.name, item.row["id"])
            assert not metric.run("pass", item).passed, (folder.name, item.row["id"])


def test_a_format_of_a_source_fills_its_first_row(tasks: list[Path]) -> None:
    task = next(folder for folder in tasks if folder.name == "commonsense_csqa")
    source = document.read(task / "pool.yaml").data["sources"]["csqa_train"]
    row = {
        "question": {"stem": "Where?", "choices": [{"text": text} for text in "vwxyz"]},
        "answerKey": "B",
    }
    asked = composed_text(row, source["format"]["prompt"])
    assert asked == "Question: Where?\nA. v\nB. w\nC. x\nD. y\nE. z\nAnswer:"
    assert composed_text(row, source["format"]["completion"]) == "B"


def test_what_the_history_has_is_not_measured_again(module: Module, tmp_path: Path) -> None:
    from datachef.reward.history import History
    from datachef.reward.measurement import MeasurementRecord

    script, job_type = module("measure"), module("jobs").Job
    recipe = tmp_path / "tasks" / "fruit" / "recipes" / "all.yaml"
    recipe.parent.mkdir(parents=True)
    (recipe.parent / "a.jsonl").write_text('{"text": "one"}\n')
    recipe.write_text("name: all\nsources: {a: {path: a.jsonl}}\n")

    def campaign_of(tokens: int) -> Any:
        settings = script.EvaluationSettings(
            base_model="tiny",
            training=script.Training(max_tokens=tokens),
            items=5,
            accuracy=False,
        )
        return script.Campaign(tmp_path, settings)

    campaign = campaign_of(100)
    jobs = [job_type(recipe.parents[1], recipe, seed) for seed in (0, 1)]
    assert script.unmeasured(jobs, campaign) == jobs
    measured = MeasurementRecord(
        recipe_name="all", recipe="name: all\nsources:\n  a:\n    path: a.jsonl\n",
        recipe_key="r", task="fruit", task_key="t", base_model="tiny", seed=1, score=0.5,
        scores={}, features={}, versions={}, seconds=1.0, corpus={}, vocabulary="v",
        training=script.Training(max_tokens=100).model_dump() | {"items": 5},
    )  # fmt: skip
    History(campaign.history).add(measured)
    assert script.unmeasured(jobs, campaign) == jobs[:1]
    assert script.unmeasured(jobs, campaign_of(200)) == jobs
