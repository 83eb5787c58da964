"""One rule for every path a person writes: `~` is a home folder, and nothing else is replaced."""

from __future__ import annotations

import getpass
import json
import os
from pathlib import Path

import pytest
from command import chef

from datachef.core import Host, check_recipe, document, located
from datachef.core.recipe.resolving import read_task
from datachef.core.system.paths import (
    default_cache,
    expanded,
    located_or_named,
    not_expanded,
    with_homes,
)
from datachef.operators.dedup.decontaminate import Decontaminate
from datachef.operators.filters.language_filter import LanguageFilter
from datachef.plugins.sources.files import FileSource
from datachef.plugins.sources.hub import HubSource
from datachef.policy.commands.evolve import load_evolve_settings
from datachef.reward.config import RewardOptions


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "home"
    folder.mkdir()
    monkeypatch.setenv("HOME", str(folder))
    return folder


def test_what_is_replaced_and_what_is_not(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WHERE", "elsewhere")
    assert expanded("~/a") == home / "a"
    assert expanded("~") == home
    owner = Path(os.path.expanduser(f"~{getpass.getuser()}"))  # noqa: PTH111
    assert expanded(f"~{getpass.getuser()}/a") == owner / "a"
    for literal in ("~nobody-of-that-name/a", "a/~/b", "$WHERE/a", "${WHERE}/a", "a[1]*?", "./~"):
        assert expanded(literal) == Path(literal)
    assert located(Path("/x"), "~/a") == home / "a"
    assert located(Path("/x"), "a") == Path("/x/a")


def test_folders_or_names_of_a_hub(home: Path) -> None:
    (home / "model").mkdir()
    assert located_or_named(home, "model") == str(home / "model")
    assert located_or_named(Path("/"), "~/model") == str(home / "model")
    assert located_or_named(home, "org/model") == "org/model"
    assert located_or_named(home, "tiny") == "tiny"


def test_every_place_of_a_file_has_the_same_rule(home: Path, tmp_path: Path) -> None:
    (home / "hub").mkdir()
    (home / "model").mkdir()
    assert FileSource(path="~/a.jsonl").located(tmp_path).path == (str(home / "a.jsonl"),)
    assert HubSource(hf="~/hub").located(tmp_path).hf == str(home / "hub")
    assert LanguageFilter(model="~/m.bin").located(tmp_path).model == str(home / "m.bin")
    operator = Decontaminate(benchmark={"path": "~/b.jsonl"}).located(tmp_path)  # type: ignore[arg-type]
    assert operator.files() == (str(home / "b.jsonl"),)
    options = RewardOptions(history=Path("~/h.sqlite"), limits=Path("l.yaml")).located_in(tmp_path)
    assert options.history == home / "h.sqlite"
    assert options.limits == tmp_path / "l.yaml"
    (tmp_path / "task.yaml").write_text(
        "name: t\nbenchmark: {path: ~/b.jsonl}\nexamples: {path: ~/e.jsonl}\nbase_model: ~/model\n"
    )
    task = read_task(tmp_path / "task.yaml")
    assert task.benchmark.path == str(home / "b.jsonl")  # type: ignore[union-attr]
    assert task.examples is not None and task.examples.path == str(home / "e.jsonl")
    assert task.base_model == str(home / "model")


def test_settings_of_training_and_evolution(home: Path, tmp_path: Path) -> None:
    (home / "model").mkdir()
    tasks = [{"task": "~/task.yaml", "pool": "pool.yaml"}]
    train = {"tasks": tasks, "model": "~/model"}
    (tmp_path / "evolve.yaml").write_text(
        document.dump({"output": "~/runs", "train": train, "human_recipes": ["~/mine.yaml"]})
    )
    settings = load_evolve_settings(tmp_path / "evolve.yaml")
    assert settings.output == home / "runs"
    assert settings.human_recipes == (home / "mine.yaml",)
    assert settings.train.model == str(home / "model")
    assert settings.train.tasks[0].task == home / "task.yaml"
    assert settings.train.tasks[0].pool == tmp_path / "pool.yaml"


def test_the_cache_of_the_environment(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATACHEF_CACHE", "~/cache")
    assert default_cache() == home / "cache"


def test_arguments_that_the_shell_leaves_alone(home: Path) -> None:
    arguments = ["run", "~/r.yaml", "--output=~/c", "-o~/c", "--set", "a.b=~/c", "--json", "a~b"]
    assert with_homes(arguments) == [
        "run", f"{home}/r.yaml", f"--output={home}/c", f"-o{home}/c",
        "--set", "a.b=~/c", "--json", "a~b",
    ]  # fmt: skip


def test_a_run_from_the_command_line(home: Path, tmp_path: Path) -> None:
    (home / "a.jsonl").write_text(json.dumps({"text": "words"}))
    (home / "recipe.yaml").write_text("name: r\nsources:\n  s: {path: ~/a.jsonl}\n")
    asked = ("run", "~/recipe.yaml", "--output=~/corpus", "--cache=~/cache", "--workers", 1)
    done = chef(*asked, folder=tmp_path, DATACHEF_PLUGINS="engines,sources")
    assert done.returncode == 0, done.stderr
    assert (home / "corpus" / "ledger.json").is_file()
    assert (home / "cache" / "partitions").is_dir()
    assert not (tmp_path / "~").exists()


@pytest.mark.parametrize("field", ["path", "task", "pool", "model"])
def test_a_variable_is_not_expanded_and_the_hint_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, field: str
) -> None:
    monkeypatch.setenv("DATA", str(tmp_path))
    (tmp_path / "a.jsonl").write_text(json.dumps({"text": "words"}))
    recipe = {"name": "r", "sources": {"s": {"path": "a.jsonl"}}}
    if field == "path":
        recipe["sources"] = {"s": {"path": "$DATA/a.jsonl"}}
    elif field == "model":
        recipe["steps"] = [{"op": "language_filter", "model": "$DATA/m.bin"}]  # type: ignore[recipe_task]
    else:
        recipe[field] = "${DATA}/x.yaml"
    (tmp_path / "recipe.yaml").write_text(document.dump(recipe))
    problems = check_recipe(tmp_path / "recipe.yaml", Host()).problems
    (problem,) = [problem for problem in problems if problem.code == "no_file"]
    assert "variables are not expanded" in problem.message + problem.hint


def test_a_path_without_a_variable_needs_no_such_hint() -> None:
    assert not_expanded("a/b.jsonl") == ""
    assert not_expanded("price in $.jsonl") == ""
