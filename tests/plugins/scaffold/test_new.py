"""`chef new` writes what the documentation shows, which works as it is, and overwrites nothing."""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path

import pytest
from command import chef, environment_with

from datachef.core import DatachefError, Host, check_recipe
from datachef.core.cli.state import set_host
from datachef.plugins.scaffold.command import new
from datachef.plugins.scaffold.package import class_name, key_of
from datachef.plugins.scaffold.template import rendered

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize(
    ("page", "template", "name", "module"),
    [
        ("CONTRIBUTING.md", "operator.py", "shouting_filter", "my_filters"),
        ("CONTRIBUTING.md", "test_operator.py", "shouting_filter", "my_filters"),
        ("docs/extending/source.md", "source.py", "sqlite_source", "sqlite_source"),
        ("docs/extending/source.md", "test_source.py", "sqlite_source", "sqlite_source"),
        ("docs/extending/reward.md", "reward.py", "few_steps", "few_steps"),
        ("docs/extending/reward.md", "test_reward.py", "few_steps", "few_steps"),
    ],
)
def test_what_is_written_is_what_the_pages_show(
    page: str, template: str, name: str, module: str
) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    shown = re.findall(r"```python[^\n]*\n(.*?)```", text, re.DOTALL)
    values = {"class_name": class_name(name), "key": key_of(name)}
    assert rendered(template, name=name, module=module, **values) in shown


def test_a_package_is_installed_and_its_parts_are_used(tmp_path: Path) -> None:
    """From the command to a corpus: built and installed by pip, tested, checked, run."""
    done = chef("new", "plugin", "whale_tools", folder=tmp_path)
    assert done.stdout.endswith('cd whale-tools && pip install -e ".[test]" && pytest\n'), done
    package = tmp_path / "whale-tools"
    for kind, name in (("operator", "loud_filter"), ("source", "logbook"), ("reward", "short")):
        new(kind, name, package)
    python = environment_with(tmp_path / "environment", package)

    def run(*arguments: object) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [python, "-P", "-m", *map(str, arguments)],
            cwd=tmp_path, env=os.environ, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        return done

    tested = run("pytest", "-q", "-p", "no:cacheprovider", package)
    assert re.search(r"\d\d passed", tested.stdout), tested.stdout
    checked = run("datachef.core.cli", "plugins", "check", "whale-tools", "--json")
    checks = json.loads(checked.stdout)["result"]["checks"]
    states = {(one["kind"], one["name"]): one["state"] for one in checks}
    assert states["operator", "whale_tools_filter"] == states["operator", "loud_filter"] == "passed"
    assert states["reward", "short"] == "passed"
    assert states["source", "logbook"] == "untried"
    (tmp_path / "rows.jsonl").write_text('{"text": "A LOUD LINE"}\n{"text": "a quiet line"}\n')
    (recipe,) = re.findall(r"```yaml\n(.*?)```", (package / "README.md").read_text(), re.DOTALL)
    (tmp_path / "recipe.yaml").write_text(recipe)
    made = run("datachef.core.cli", "run", "recipe.yaml", "--json", "-w", 1)
    step = json.loads(made.stdout)["result"]["ledger"][1]
    assert (step["op"], step["dropped"]) == ("whale_tools_filter", {"shouting": 1})


def test_a_recipe_and_a_task_are_valid(tmp_path: Path) -> None:
    new("recipe", "whales", tmp_path)
    new("task", "whales", tmp_path)
    result = check_recipe(tmp_path / "whales.yaml", overrides=["task=whales.task.yaml"])
    assert not [*result.problems, *result.warnings]


@pytest.fixture(scope="module", autouse=True)
def _host() -> None:
    set_host(Host())


@pytest.mark.parametrize(
    ("kind", "name", "said"),
    [
        ("opertor", "mine", ["did you mean operator?"]),
        ("operator", "Mine-2", ["'Mine-2' is no name in snake_case"]),
        ("plugin", "class", ["'class' is a word or a module of Python"]),
        ("plugin", "numpy", ["a package numpy is installed already"]),
        ("operator", "length_filter", ["datachef-core has an operator length_filter already"]),
        ("source", "steps", ["sources have a field 'steps' already"]),
        ("reward", "proxy", ["there is a reward proxy already"]),
        ("recipe", "Whales", ["'Whales' is no name", "Whales.yaml is there already"]),
    ],
)
def test_all_that_is_wrong_is_told_and_nothing_is_written(
    tmp_path: Path, kind: str, name: str, said: list[str]
) -> None:
    (tmp_path / "Whales.yaml").write_text("name: mine\n")
    with pytest.raises(DatachefError) as refused:
        new(kind, name, tmp_path)
    told = f"{refused.value.message}\n{refused.value.hint}"
    assert all(part in told for part in said), told
    assert [path.name for path in tmp_path.iterdir()] == ["Whales.yaml"]
    assert (tmp_path / "Whales.yaml").read_text() == "name: mine\n"


def test_an_entry_point_that_cannot_be_added_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "mine").mkdir()
    described = '[project]\nname = "mine"\nentry-points.datachef = {first = "mine.first"}\n'
    (tmp_path / "pyproject.toml").write_text(described)
    new("operator", "second_filter", tmp_path)
    assert 'add the line second_filter = "mine.second_filter" under' in capsys.readouterr().out
    assert (tmp_path / "mine" / "second_filter.py").is_file()
    assert (tmp_path / "pyproject.toml").read_text() == described
